import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.feature_sets import random_features
from tests.hostile import Hostile
from xreid_plugin.data.tracklet import RetrievalTask
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


def test_a_plain_file_of_another_method_is_enough(tmp_path):
    np.savez_compressed(tmp_path / "f.npz", **plain(features=np.ones((4, 3), np.float64)))
    data = load_features(tmp_path / "f.npz")
    assert data.features.dtype == np.float32
    assert data.tasks == {"I2V": RetrievalTask((0, 2), (1, 3)), "V2I": RetrievalTask((1, 3), (0, 2))}
    assert (data.names, data.protocol, data.first_half) == (None, {}, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"v2i_query": [3], "v2i_gallery": np.array([0, 2], np.uint16)}, {"V2I": RetrievalTask((3,), (0, 2))}),
        # Strays of the other modality may be searched, as HITSZ-VCM's protocol allows.
        ({"i2v_query": [0], "i2v_gallery": [1, 2, 3]}, {"I2V": RetrievalTask((0,), (1, 2, 3))}),
    ],
)
def test_index_arrays_of_one_direction_are_enough_and_come_before_flags(tmp_path, changes, expected):
    assert load_features(written(tmp_path / "f.npz", plain(**changes))).tasks == expected


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1)), min_size=1, max_size=12))
def test_flags_of_queries_make_the_tasks(rows):
    is_query, modalities = (np.array(column) for column in zip(*rows, strict=True))
    swapped = len({query == (modality == 0) for query, modality in rows}) == 1
    expected = {}
    for direction, asking in (("I2V", 0), ("V2I", 1)):
        query = tuple(i for i, (asks, modality) in enumerate(rows) if modality == asking and (asks or swapped))
        gallery = tuple(i for i, (asks, modality) in enumerate(rows) if modality != asking and (not asks or swapped))
        if query and gallery:
            expected[direction] = RetrievalTask(query, gallery)
    assert tasks_of_flags(is_query, modalities) == expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"features": None}, "features"),
        ({"pids": np.array([1, 2, 3])}, "pids"),
        ({"modalities": np.array([0, 1, 2, 1])}, "modalities"),
        ({"is_query": None}, "is_query"),
        ({"i2v_query": [0, 2], "i2v_gallery": [1, 2]}, "i2v_gallery"),
        ({"first_half": np.ones((4, 3))}, "first_half"),
    ],
)
def test_a_bad_array_is_named(tmp_path, changes, named):
    path = written(tmp_path / "f.npz", plain(**changes))
    with pytest.raises(ValueError, match=named) as error:
        load_features(path)
    assert str(error.value).startswith(str(path))


def test_an_object_array_is_refused_and_runs_nothing(tmp_path):
    path = written(tmp_path / "f.npz", plain(pids=np.array([Hostile(tmp_path / "mark")] * 4, dtype=object)))
    with pytest.raises(ValueError, match=r"f\.npz"):
        load_features(path)
    assert not (tmp_path / "mark").exists()
