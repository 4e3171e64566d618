import pytest

from xreid_plugin.data.datasets.files import FramePaths
from xreid_plugin.data.tracklet import Modality, Tracklet
from xreid_plugin.evaluation.halves import with_halves


def tracklet(length, name="0001-D3"):
    return Tracklet([f"{i}.jpg" for i in range(length)], 1, 3, Modality.VISIBLE, name)


@pytest.mark.parametrize(
    ("length", "first", "second"),
    [(1, [0], [0]), (2, [0], [1]), (5, [0, 1], [2, 3, 4]), (6, [0, 1, 2], [3, 4, 5])],
)
def test_the_halves_of_a_tracklet(length, first, second):
    _, one, two = with_halves([tracklet(length)])
    assert list(one.paths) == [f"{i}.jpg" for i in first]
    assert list(two.paths) == [f"{i}.jpg" for i in second]
    assert one[1:4] == two[1:4] == tracklet(length)[1:4]
    assert (one.name, two.name) == ("0001-D3, first half", "0001-D3, second half")


def test_wholes_come_first_then_first_halves_then_second():
    wholes = [tracklet(4, "a"), tracklet(6, "b")]
    entries = with_halves(wholes)
    assert entries[:2] == wholes
    assert [entry.name for entry in entries[2:]] == [
        "a, first half",
        "b, first half",
        "a, second half",
        "b, second half",
    ]


def test_packed_paths_are_read_through(tmp_path):
    paths = FramePaths.below(tmp_path, [f"D3/{i}.jpg" for i in range(5)])
    _, one, two = with_halves([tracklet(5)._replace(paths=paths)])
    assert [*one.paths, *two.paths] == list(paths)
    assert two.paths[-1] == paths[4]
    assert two.paths[1:] == list(paths)[3:]
    with pytest.raises(IndexError):
        one.paths[2]
