import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.feature_sets import random_features
from tests.hostile import Hostile
from xreid_plugin.evaluation.archive import ALWAYS_UNPACKED, Archive, FeatureFileError
from xreid_plugin.evaluation.features import TrackletFeatures, load_features, save_features


def npy(shape, dtype="<f4", content=b""):
    """An array's file with a header that claims ``shape``, and whatever bytes come after it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


def archive_of(path, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return path


def test_an_object_array_is_refused_and_runs_nothing(tmp_path):
    np.savez(tmp_path / "f.npz", features=np.array([Hostile(tmp_path / "mark")], dtype=object))
    with pytest.raises(FeatureFileError, match=r"f\.npz: array 'features' cannot be read .it holds pickled objects"):
        Archive.read(tmp_path / "f.npz", ["features"])
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("shape", [(10**12,), (2**40, 2**40), (3,)])
def test_a_header_that_claims_another_size_is_refused(tmp_path, shape):
    path = archive_of(tmp_path / "f.npz", features=npy(shape, content=bytes(4)))
    with pytest.raises(FeatureFileError, match=r"its header claims [\d,]+ bytes, its entry has 4"):
        Archive.read(path, ["features"])


def test_an_archive_that_unpacks_to_far_more_than_it_holds_is_refused(tmp_path):
    count = ALWAYS_UNPACKED // 4 + 1
    path = archive_of(tmp_path / "f.npz", features=npy((count,), content=bytes(4 * count)))
    assert path.stat().st_size < ALWAYS_UNPACKED // 500
    with pytest.raises(FeatureFileError, match=r"the archive cannot be read .it has [\d,]+ bytes and would unpack to"):
        Archive.read(path, ["features"])


def test_compressed_features_are_read(tmp_path):
    np.savez_compressed(tmp_path / "f.npz", features=np.zeros((1000, 1000), np.float32))
    assert Archive.read(tmp_path / "f.npz", ["features"]).matrix("features").shape == (1000, 1000)


def test_an_entry_that_is_no_array_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("features", b"text")
    with pytest.raises(FeatureFileError, match="array 'features' cannot be read"):
        Archive.read(tmp_path / "f.npz", ["features"])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "f.npz"
    data = random_features(halves=True, names=tuple(f"t{i}" for i in range(48)), protocol={"frames": "even"})
    save_features(path, data)
    return path, path.read_bytes(), data


@settings(max_examples=400, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 10**6)),
)
def test_a_damaged_file_is_read_as_it_was_or_refused(saved, flips, cut):
    path, original, data = saved
    content = bytearray(original)
    for place, value in flips:
        content[place % len(content)] = value
    path.write_bytes(content if cut is None else content[: cut % len(content)])
    try:
        found = load_features(path)
    except FeatureFileError as error:
        found = str(error)
    if isinstance(found, TrackletFeatures):
        # What zip checks no sum of are names and dates; an optional array can go missing by its name.
        np.testing.assert_array_equal(found.features, data.features)
        np.testing.assert_array_equal(found.pids, data.pids)
        assert dict(found.tasks) == {name: data.tasks[name] for name in found.tasks}
    else:
        assert found.startswith(f"{path}: ")
        assert "\n" not in found
