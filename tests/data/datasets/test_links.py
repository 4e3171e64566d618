from pathlib import Path

import pytest

from tests.data.datasets.trees import small_bupt, small_vcm
from xreid_plugin.data.check import check_dataset
from xreid_plugin.data.datasets.base import MetadataError
from xreid_plugin.data.datasets.bupt_campus import BUPTCampus
from xreid_plugin.data.datasets.files import Enclosure
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.frame_files import LooseFrames
from xreid_plugin.data.frame_reader import FrameError


def moved_and_linked(path, target):
    path.rename(target)
    path.symlink_to(target)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_vcm_folder_that_leads_out_is_named_with_its_line(tmp_path, depth):
    tree = small_vcm(tmp_path / "copy")
    home = tree.write()
    below = ["0002", "rgb", "D11"][:depth]
    moved_and_linked(home.joinpath("Train", *below), tmp_path / "elsewhere")
    # The first name of identity 2 follows two tracklets of 12 frames.
    with pytest.raises(MetadataError, match=r"train_name\.txt, line 25: .*0002/rgb/D11 is a link that leads out"):
        HITSZVCM(home)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_bupt_folder_that_leads_out_is_named_with_its_line(tmp_path, depth):
    home = small_bupt(tmp_path / "copy").write()
    moved_and_linked(home.joinpath("DATA", *["9", "IR", "LS3"][:depth]), tmp_path / "elsewhere")
    with pytest.raises(MetadataError, match=r"train\.txt, line 2: .*frames in 9/IR/LS3, a link that leads out of DATA"):
        BUPTCampus(home)


def test_the_folders_of_frames_may_be_links_themselves(tmp_path):
    home = small_vcm(tmp_path / "copy").write()
    for name in ("Train", "Test"):
        moved_and_linked(home / name, tmp_path / f"disk-{name}")
    moved_and_linked(home / "Train/0002", tmp_path / "disk-Train/second")
    (tmp_path / "root").symlink_to(home)
    dataset = HITSZVCM(tmp_path / "root")
    assert len(dataset.train) == 4
    assert not check_dataset(dataset, compare_counts=False).failed


def test_frames_that_lead_out_are_a_failure_of_the_copy(tmp_path):
    home = small_vcm(tmp_path / "copy").write()
    frame = home / "Train/0007/rgb/D3/5.jpg"
    moved_and_linked(frame, tmp_path / "frame.jpg")
    for deep in (False, True):
        report = check_dataset(HITSZVCM(home), compare_counts=False, deep=deep)
        (finding,) = [finding for finding in report.findings if finding.failure]
        assert finding.what == "frames are links that lead out of the copy"
        assert finding.examples == [str(frame)]


@pytest.mark.parametrize(
    ("make", "kind", "frame"),
    [
        (small_vcm, HITSZVCM, "Train/0007/rgb/D3/5.jpg"),
        (small_vcm, HITSZVCM, "Test/0504/ir/D12/30.jpg"),
        (small_bupt, BUPTCampus, None),
    ],
)
def test_a_frame_that_leads_out_is_refused_when_it_is_read(tmp_path, make, kind, frame):
    home = make(tmp_path / "copy").write()
    dataset = kind(home)
    frame = home / frame if frame else Path(dataset.test[0].paths[0])
    moved_and_linked(frame, tmp_path / "frame.jpg")
    [(tracklet, index)] = [
        (tracklet, list(tracklet.paths).index(str(frame)))
        for tracklet in (*dataset.train, *dataset.test)
        if str(frame) in tracklet.paths
    ]
    with pytest.raises(
        FrameError, match=f"{frame} of tracklet {tracklet.name} is refused: .* link to {tmp_path}/frame"
    ):
        LooseFrames().read(tracklet, [index], (8, 4))
    others = [other for other in range(len(tracklet.paths)) if other != index]
    assert len(LooseFrames().read(tracklet, others, (8, 4))) == len(others)


def test_a_frame_that_leads_to_itself_is_missing(tmp_path):
    home = small_vcm(tmp_path / "copy").write()
    frame = home / "Train/0007/rgb/D3/5.jpg"
    frame.unlink()
    frame.symlink_to(frame.name)
    findings = check_dataset(HITSZVCM(home), compare_counts=False, deep=True).findings
    assert [finding.examples for finding in findings if finding.what == "frames are missing"] == [[str(frame)]]


def test_an_enclosure_follows_links_that_stay_within(tmp_path):
    inside = tmp_path / "inside"
    (inside / "real/deep").mkdir(parents=True)
    (inside / "alias").symlink_to(inside / "real")
    (inside / "loop").symlink_to("loop")
    (tmp_path / "inside-not").mkdir()
    (inside / "sibling").symlink_to(tmp_path / "inside-not")
    enclosure = Enclosure(inside)
    assert enclosure.holds("alias/deep")
    assert enclosure.holds("not/there")
    assert enclosure.holds("loop")
    assert not enclosure.holds("sibling")
    assert not enclosure.holds("sibling/deep")


def test_tracklets_that_share_their_frames_over_and_over_are_refused(tmp_path):
    tree = small_vcm(tmp_path / "copy")
    tree.write()
    file = tree.info / "track_train_info.txt"
    # 48 frames: lines of 12 may name them four times, and no more.
    file.write_text(file.read_text().splitlines()[0] + "\n" + file.read_text() * 5)
    with pytest.raises(MetadataError, match=r"track_train_info\.txt, line 17: .*share the frames"):
        HITSZVCM(tree.home)


def test_a_list_that_was_cut_off_is_told(tmp_path, caplog):
    tree = small_vcm(tmp_path / "copy")
    tree.write()
    file = tree.info / "track_train_info.txt"
    HITSZVCM(tree.home)
    assert "cut off" not in caplog.text
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    HITSZVCM(tree.home)
    assert "names 48 frames, but the tracklets of track_train_info.txt have 36" in caplog.text
