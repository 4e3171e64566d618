import pytest

from xreid_plugin.data.datasets.base import ListedTracklets, VideoCrossModalityDataset, resolve_below


def test_what_a_list_names_stays_below_its_folder(tmp_path):
    inside = tmp_path / "inside"
    (inside / "real/deep").mkdir(parents=True)
    (inside / "alias").symlink_to(inside / "real")
    (tmp_path / "inside-not").mkdir()
    (inside / "sibling").symlink_to(tmp_path / "inside-not")
    (tmp_path / "root").symlink_to(inside)
    assert resolve_below(inside, "alias/deep") == inside / "real/deep"
    assert resolve_below(inside, "not/there") == inside / "not/there"
    assert resolve_below(tmp_path / "root", "real") == inside / "real"
    for outside in ("..", "../inside-not", "real/../../x", "/etc", "sibling", "sibling/deep"):
        with pytest.raises(ValueError, match="out of"):
            resolve_below(inside, outside)


def test_a_dataset_that_says_no_home_is_told_what_to_set():
    class Homeless(VideoCrossModalityDataset):
        default_min_length = 1

    with pytest.raises(ValueError, match="Homeless must set home"):
        Homeless(ListedTracklets([], [], {}), min_length=0)
