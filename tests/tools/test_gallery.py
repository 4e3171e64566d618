"""The gallery command, run as a user runs it."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.checkpoints import write_checkpoint
from tests.e2e.commands import run_tool
from xreid_plugin.data.build import build_dataset
from xreid_plugin.evaluation.features import TrackletFeatures, save_features, tasks_of_flags
from xreid_plugin.gallery.store import Gallery
from xreid_plugin.predictor import TrackletPredictor


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("gallery").main


@pytest.fixture
def main(tool, capsys):
    """Runs the tool in this process: its exit status and what it printed."""

    def run(*arguments):
        status = tool([*map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    return write_checkpoint(small_set, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def tracklets(trained):
    return build_dataset(trained[1], "HITSZVCM").test


@pytest.fixture(scope="module")
def saved(trained, tracklets, tmp_path_factory):
    """Features of the test set, as an evaluation saves them."""
    features = TrackletPredictor(trained[0], "cpu").embed(tracklets)
    modalities = np.array([tracklet.modality for tracklet in tracklets], np.int64)
    path = tmp_path_factory.mktemp("saved") / "features.npz"
    data = TrackletFeatures(
        features=3 * features,
        pids=np.array([tracklet.pid for tracklet in tracklets]),
        camids=np.array([tracklet.camid for tracklet in tracklets]),
        modalities=modalities,
        tasks=tasks_of_flags(modalities == 0, modalities),
        names=tuple(tracklet.name for tracklet in tracklets),
    )
    save_features(path, data)
    return path


@pytest.fixture(scope="module")
def built(tool, small_set, trained, saved, tmp_path_factory):
    """A gallery of the dataset's visible tracklets, calibrated."""
    folder = tmp_path_factory.mktemp("galleries") / "gallery"
    calibration = ["--calibrate", str(saved), "--false-match-rate", "0.05"]
    dataset = ["--dataset", "HITSZVCM", "--root", str(small_set), "--direction", "I2V", "--device", "cpu"]
    assert tool(["build", str(folder), "--checkpoint", str(trained[0]), *dataset, *calibration]) == 0
    return folder


def frames_of(tracklet, folder):
    folder.mkdir(parents=True)
    for path in tracklet.paths:
        (folder / Path(path).name).symlink_to(Path(path).absolute())
    return folder


def test_a_tracklet_finds_itself_and_a_picture_shows_it(main, built, tracklets, tmp_path):
    mine = next(tracklet for tracklet in tracklets if tracklet.modality == 1)
    folder, picture = frames_of(mine, tmp_path / "asking"), tmp_path / "found.png"
    status, printed = main(
        *("query", built, "--frames", folder, "--camera", mine.camid, "--top", 3, "--picture", picture),
        *("--device", "cpu"),
    )
    assert status == 0, printed
    header, _, best, *_ = printed.splitlines()
    assert header.split() == ["rank", "score", "identity", "or", "source", "camera", "time"]
    assert best.split() == ["1", "1.0000", str(mine.pid), str(mine.camid)]
    with Image.open(picture) as opened:
        sheet = np.asarray(opened)
    # The first frame of the query, and below it that of the tracklet itself.
    rows = [np.flatnonzero((sheet[:, 8] == colour).all(1)) for colour in ([0, 0, 0], [46, 139, 87])]
    query, match = (sheet[row[0] + 30 : row[0] + 158, 18:82] for row in rows)
    assert query.std() > 10
    np.testing.assert_array_equal(query, match)


def test_below_the_threshold_there_is_no_match(main, built, tracklets, tmp_path):
    folder = tmp_path / "noise"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (48, 24, 3), np.uint8)
    Image.fromarray(noise).save(folder / "0.png")
    calibration = Gallery(built).manifest.calibration
    arguments = ("query", built, "--frames", folder, "--device", "cpu", "--top", "2")
    status, printed = main(*arguments, "--all")
    assert status == 0
    score = float(printed.splitlines()[2].split()[1])
    assert score < calibration.threshold, "noise must look like nobody for this test to mean anything"
    status, printed = main(*arguments)
    assert status == 0
    start = f"No match: the best score is {score:.4f}. Nothing reaches the threshold {calibration.threshold:.4f}."
    assert printed.startswith(start)


def test_features_query_and_fill_a_gallery_without_a_model(main, saved, tracklets, tmp_path):
    folder = tmp_path / "gallery"
    status, printed = main("build", folder, "--features", saved, "--direction", "V2I")
    assert status == 0, printed
    assert "model      not known" in printed
    infrared = [row for row, tracklet in enumerate(tracklets) if tracklet.modality == 0]
    assert [record.source for record in Gallery(folder).records()] == [tracklets[row].name for row in infrared]
    status, printed = main("query", folder, "--features", saved, "--row", infrared[2], "--top", "1")
    assert printed.splitlines()[2].split() == [
        "1",
        "1.0000",
        str(tracklets[infrared[2]].pid),
        str(tracklets[infrared[2]].camid),
    ]
    status, printed = main("query", folder, "--features", saved, "--row", len(tracklets))
    assert (status, f"no row {len(tracklets)}" in printed) == (2, True)
    status, printed = main("query", folder, "--frames", tmp_path)
    assert (status, "not known which model" in printed) == (2, True)
    status, printed = main("add", folder, "--features", saved)
    assert status == 0
    assert len(Gallery(folder)) == len(infrared) + len(tracklets)


def test_lists_videos_and_folders_of_folders_are_added(main, trained, tracklets, tmp_path):
    frames_of(tracklets[0], tmp_path / "people" / "a")
    frames_of(tracklets[1], tmp_path / "people" / "b")
    frames = [cv2.imread(path) for path in tracklets[0].paths]
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(tmp_path / "c.mkv"), cv2.VideoWriter_fourcc(*"FFV1"), 25, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    (tmp_path / "c.csv").write_text(f"frame,x1,y1,x2,y2\n0,0,0,{width},{height}\n3,0,0,{width},{height}\n")
    (tmp_path / "list.csv").write_text(
        "frames,boxes,identity,camera,time\npeople/b,,Bo,2,2026-01-02T03:04:05+00:00\nc.mkv,c.csv,Cy,,\n"
    )
    folder = tmp_path / "gallery"
    build = ["build", folder, "--checkpoint", trained[0], "--device", "cpu", "--settings", "TEST.FRAMES", "dense"]
    status, printed = main(*build, "--frames", tmp_path / "people", "--camera", 1)
    assert status == 0, printed
    assert "with TEST.FRAMES dense" in printed
    assert "without a camera" not in printed
    status, printed = main("add", folder, "--list", tmp_path / "list.csv", "--device", "cpu")
    assert status == 0, printed
    assert "1 of 2 tracklets embedded without a camera" in printed
    a, b, listed, video = Gallery(folder).records()
    assert [Path(record.source).name for record in (a, b, listed, video)] == ["a", "b", "b", "c.mkv with c.csv"]
    assert [record.camera for record in (a, b, listed, video)] == [1, 1, 2, None]
    assert (listed.identity, listed.when) == ("Bo", "2026-01-02T03:04:05+00:00")
    assert [(frame.number, frame.box) for frame in video.frames] == [(n, (0, 0, width, height)) for n in (0, 3)]
    query = ("query", folder, "--video", tmp_path / "c.mkv", "--boxes", tmp_path / "c.csv", "--device", "cpu")
    status, printed = main(*query, "--picture", tmp_path / "c.jpg")
    assert printed.splitlines()[2].split() == ["1", "1.0000", "Cy"]
    assert (tmp_path / "c.jpg").is_file()


def test_another_model_is_refused(main, small_set, built, tmp_path):
    other, _ = write_checkpoint(small_set, tmp_path / "other", seed=1)
    before = len(Gallery(built))
    for command in (["query", built], ["add", built]):
        status, printed = main(*command, "--frames", small_set, "--checkpoint", other, "--device", "cpu")
        assert status == 2
        assert "was made by model" in printed
        assert str(other) in printed
    assert len(Gallery(built)) == before


def test_recalibrated_and_informed(main, built, saved):
    status, printed = main("calibrate", built, "--calibrate", saved, "--false-match-rate", "0.2")
    assert status == 0
    assert "asked for: 0.2" in printed
    looser = Gallery(built).manifest.calibration
    assert main("calibrate", built, "--calibrate", saved, "--false-match-rate", "0.05")[0] == 0
    assert Gallery(built).manifest.calibration.threshold > looser.threshold
    assert looser.false_match_rate <= 0.2
    status, printed = main("calibrate", built, "--calibrate", saved, "--false-match-rate", "1e-9")
    assert (status, "1000000000 at least" in printed) == (2, True)
    status, printed = main("info", built)
    assert status == 0
    assert f"{len(Gallery(built)):,} of" in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["info", "{tmp}/nowhere"], "is no gallery"),
        (["build", "{tmp}/new", "--frames", "{tmp}"], "--checkpoint"),
        (["build", "{tmp}/new", "--frames", "{tmp}", "--checkpoint", "{tmp}/none.pth"], "No checkpoint at"),
        (["build", "{tmp}/new", "--features", "{tmp}/none.npz"], "no such file"),
        (["query", "{built}", "--video", "{tmp}/a.mp4"], "--boxes"),
        (["query", "{built}", "--frames", "{tmp}/nowhere"], "no such folder"),
        (["query", "{built}", "--frames", "{tmp}", "--picture", "{tmp}/found.gif"], "must end in"),
        (["query", "{built}", "--frames", "{tmp}", "--time", "noon"], '"noon" is no time'),
        (["add", "{built}", "--list", "{tmp}/bad.csv"], "bad.csv, line 2: .*no such folder"),
        (["build", "{built}", "--features", "{saved}"], "a gallery already"),
        (["build", "{tmp}/new", "--features", "{saved}", "--recall", "2"], "--recall is 2.0"),
    ],
)
def test_a_user_error_is_one_message(main, built, saved, tmp_path, arguments, named):
    (tmp_path / "bad.csv").write_text("frames\nnowhere\n")
    places = {"tmp": tmp_path, "built": built, "saved": saved}
    status, printed = main(*(argument.format(**places) for argument in arguments))
    assert status == 2
    assert printed.startswith("gallery: ")
    assert len(printed.splitlines()) == 1
    assert re.search(named, printed), printed


def test_the_command_is_quiet_without_a_terminal(saved, tmp_path):
    done = run_tool("gallery", "build", str(tmp_path / "gallery"), "--features", str(saved))
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["gallery"]
