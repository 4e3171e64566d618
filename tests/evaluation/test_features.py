import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.feature_sets import random_features
from xreid_plugin.data.tracklet import RetrievalTask
from xreid_plugin.evaluation.archive import FeatureFileError
from xreid_plugin.evaluation.features import load_features, save_features, tasks_of_flags


def plain(**changes):
    """The fewest arrays of a file that another method may write: four tracklets, two of them queries."""
    arrays = {
        "features": np.arange(8, dtype=np.float32).reshape(4, 2) + 1,
        "pids": np.array([1, 1, 2, 2]),
        "camids": np.array([1, 2, 1, 2], np.uint8),
        "modalities": np.array([0, 1, 0, 1], np.int32),
        "is_query": np.array([True, False, True, False]),
        **changes,
    }
    return {name: values for name, values in arrays.items() if values is not None}


def written(path, arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("halves", [False, True])
def test_what_is_saved_is_read_back(tmp_path, halves):
    data = random_features(halves=halves, names=tuple(f"tracklet {i}" for i in range(48)), protocol={"frames": "even"})
    save_features(tmp_path / "some.features", data)
    again = load_features(tmp_path / "some.features")
    for field in dataclasses.fields(data):
        expected, found = getattr(data, field.name), getattr(again, field.name)
        if isinstance(expected, np.ndarray):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
        else:
            assert found == expected
    assert [path.name for path in tmp_path.iterdir()] == ["some.features"]


def test_the_file_holds_the_documented_arrays_and_no_pickle(tmp_path):
    save_features(tmp_path / "f.npz", random_features(protocol={"frames": "dense"}))
    with np.load(tmp_path / "f.npz", allow_pickle=False) as archive:
        assert archive["features"].dtype == np.float32
        assert json.loads(archive["protocol"].item()) == {"frames": "dense"}
        assert set(archive.files) == {
            *("features", "pids", "camids", "modalities", "protocol"),
            *("i2v_query", "i2v_gallery", "v2i_query", "v2i_gallery"),
        }


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = written(tmp_path / "f.npz", plain())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_features(path, random_features(protocol={"not": object()}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_plain_file_of_another_method_is_enough(tmp_path):
    data = load_features(written(tmp_path / "f.npz", plain(features=np.ones((4, 3), np.float64))))
    assert data.features.dtype == np.float32
    assert data.tasks == {"I2V": RetrievalTask((0, 2), (1, 3)), "V2I": RetrievalTask((1, 3), (0, 2))}
    assert (data.names, data.protocol, data.first_half) == (None, {}, None)


def test_index_arrays_of_one_direction_are_enough_and_come_before_flags(tmp_path):
    changes = {"v2i_query": np.array([3]), "v2i_gallery": np.array([0, 2], np.uint16)}
    data = load_features(written(tmp_path / "f.npz", plain(**changes)))
    assert data.tasks == {"V2I": RetrievalTask((3,), (0, 2))}


def test_strays_of_the_other_modality_may_be_searched_as_hitsz_vcms_rule_allows(tmp_path):
    changes = {"i2v_query": np.array([0]), "i2v_gallery": np.array([1, 2, 3])}
    data = load_features(written(tmp_path / "f.npz", plain(**changes)))
    assert data.tasks == {"I2V": RetrievalTask((0,), (1, 2, 3))}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1)), min_size=1, max_size=12))
def test_flags_of_queries_make_the_tasks(rows):
    is_query, modalities = (np.array(column) for column in zip(*rows, strict=True))
    swapped = all(query == (modality == 0) for query, modality in rows) or all(
        query == (modality == 1) for query, modality in rows
    )
    expected = {}
    for direction, asking in (("I2V", 0), ("V2I", 1)):
        query = tuple(i for i, (asks, modality) in enumerate(rows) if modality == asking and (asks or swapped))
        gallery = tuple(i for i, (asks, modality) in enumerate(rows) if modality != asking and (not asks or swapped))
        if query and gallery:
            expected[direction] = RetrievalTask(query, gallery)
    assert tasks_of_flags(is_query, modalities) == expected


@pytest.mark.parametrize(
    ("changes", "named", "expected"),
    [
        ({"features": None}, "'features' is missing", "floating numbers of shape (tracklets, dimensions)"),
        ({"features": np.ones((4, 2), int)}, "'features' is int64 of shape (4, 2)", "floating"),
        ({"features": np.ones(4)}, "'features' is float64 of shape (4,)", "(tracklets, dimensions)"),
        ({"features": np.ones((0, 2))}, "'features' is float64 of shape (0, 2)", "neither of them 0"),
        ({"features": np.array([[1.0], [2.0], [np.nan], [1.0]])}, "'features'", "row 2"),
        ({"features": np.array([[1.0], [1e300], [3.0], [1.0]])}, "'features'", "row 1"),
        ({"pids": None}, "'pids' is missing", "integers of shape (4,)"),
        ({"pids": np.array([1, 2, 3])}, "'pids' is int64 of shape (3,)", "(4,)"),
        ({"camids": np.ones(4)}, "'camids' is float64 of shape (4,)", "integers"),
        ({"modalities": np.array([0, 1, 2, 1])}, "'modalities'", "0 for infrared and 1 for visible"),
        ({"is_query": None}, "'i2v_query' is missing", "'is_query'"),
        ({"is_query": np.ones(4)}, "'is_query' is float64", "booleans of shape (4,)"),
        ({"is_query": np.ones(4, bool)}, "'is_query'", "no queries"),
        ({"i2v_query": np.array([0])}, "'i2v_gallery' is missing", "integers"),
        ({"i2v_query": np.array([0]), "i2v_gallery": np.array([4])}, "'i2v_gallery'", "0..3"),
        ({"i2v_query": np.array([-1]), "i2v_gallery": np.array([1])}, "'i2v_query'", "0..3"),
        ({"i2v_query": np.array([0, 2, 0]), "i2v_gallery": np.array([1])}, "'i2v_query'", "each index once, but 0"),
        ({"i2v_query": np.array([0]), "i2v_gallery": np.array([3, 1, 3])}, "'i2v_gallery'", "each index once, but 3"),
        ({"i2v_query": np.array([0, 2]), "i2v_gallery": np.array([1, 2])}, "'i2v_gallery'", "but 2 is in both"),
        ({"i2v_query": np.array([1, 3]), "i2v_gallery": np.array([0])}, "'i2v_query'", "infrared tracklets, but all"),
        ({"i2v_query": np.array([0]), "i2v_gallery": np.array([2])}, "'i2v_gallery'", "visible tracklets, but all"),
        ({"v2i_query": np.array([0]), "v2i_gallery": np.array([2])}, "'v2i_query'", "visible tracklets, but all"),
        ({"i2v_query": np.array([], int), "i2v_gallery": np.array([1])}, "'i2v_query'", "one index or more"),
        ({"first_half": np.ones((4, 3))}, "'first_half' is float64 of shape (4, 3)", "(4, 2) as 'features' has"),
        ({"names": np.array(["a", "b"])}, "'names'", "text of shape (4,)"),
        ({"names": np.arange(4)}, "'names' is int64", "text"),
        ({"protocol": np.array("no JSON")}, "'protocol'", "JSON object"),
        ({"protocol": np.array("[1]")}, "'protocol'", "JSON object"),
        ({"protocol": np.array(3)}, "'protocol' is int64", "text"),
        ({"pids": np.array([{}] * 4, object)}, "'pids' cannot be read", "without pickled objects"),
    ],
)
def test_a_bad_array_is_named_with_what_was_expected(tmp_path, changes, named, expected):
    path = written(tmp_path / "f.npz", plain(**changes))
    with pytest.raises(FeatureFileError) as error:
        load_features(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert named in message
    assert expected in message


def test_a_file_that_is_no_archive_is_named(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(FeatureFileError, match="no such file"):
        load_features(path)
    for content in (b"", b"features", b"\x80\x04\x95pickle"):
        path.write_bytes(content)
        with pytest.raises(FeatureFileError, match="the archive cannot be read"):
            load_features(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(FeatureFileError, match=r"no zip, as np\.savez"):
        load_features(tmp_path / "one.npy")


@given(st.integers(0, 2**32))
def test_a_damaged_file_is_an_error_and_never_a_crash(tmp_path_factory, seed):
    path = written(tmp_path_factory.mktemp("damaged") / "f.npz", plain())
    rng = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        del content[int(rng.integers(len(content))) :]
    else:
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    try:
        load_features(path)
    except FeatureFileError as error:
        message = str(error)
    else:
        return  # the change hit what is not read
    assert message.startswith(f"{path}: ")
