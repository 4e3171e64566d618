import pytest

from tests.data.datasets.trees import small_vcm
from xreid_plugin.data.check_frames import frames_led_astray, missing_frames, unreadable_frames
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM


@pytest.fixture
def home(tmp_path):
    return small_vcm(tmp_path / "copy").write()


def tracklets_of(home):
    dataset = HITSZVCM(home)
    return [*dataset.train, *dataset.test]


def test_missing_frames_and_folders_are_named(home):
    (home / "Train/0007/rgb/D3/5.jpg").unlink()
    for frame in (home / "Test/0504/ir/D12").iterdir():
        frame.unlink()
    (home / "Test/0504/ir/D12").rmdir()
    (home / "Test/0503/ir/D1/2.jpg").unlink()
    (home / "Test/0503/ir/D1/2.jpg").mkdir()
    assert missing_frames(tracklets_of(home)) == [
        f"{home}/Train/0007/rgb/D3/5.jpg",
        f"{home}/Test/0503/ir/D1/2.jpg",
        *(f"{home}/Test/0504/ir/D12/{frame}.jpg" for frame in range(25, 37)),
    ]


def test_frames_are_led_astray_by_links_out_of_the_copy_alone(home, tmp_path):
    first, second, third = (home / f"Train/0007/rgb/D3/{number}.jpg" for number in (4, 5, 6))
    for frame, target in ((first, tmp_path / "first.jpg"), (second, home / "second.jpg"), (third, home / "third.jpg")):
        frame.rename(target)
        frame.symlink_to(target)
    (home / "third.jpg").rename(tmp_path / "third.jpg")
    (home / "third.jpg").symlink_to("../third.jpg")
    tracklets = tracklets_of(home)
    assert frames_led_astray(tracklets) == [str(first), str(third)]
    assert [line.split(": ")[:2] for line in unreadable_frames(tracklets, set(), 1)] == [
        [str(first), f"it is a link to {tmp_path}/first.jpg, outside {home}"],
        [str(third), f"it is a link to {tmp_path}/third.jpg, outside {home}"],
    ]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_frames_that_cannot_be_decoded_are_named(home, workers):
    cut = home / "Train/0007/rgb/D3/5.jpg"
    cut.write_bytes(cut.read_bytes()[:-60])
    (home / "Test/0504/ir/D12/30.jpg").write_bytes(b"")
    broken = unreadable_frames(tracklets_of(home), set(), workers)
    assert [line.split(": ")[0] for line in broken] == [str(cut), f"{home}/Test/0504/ir/D12/30.jpg"]
    assert [line.split(": ")[1] for line in broken] == ["it was cut off", "it is empty"]
    assert unreadable_frames(HITSZVCM(home).train, {str(cut)}, workers) == []
