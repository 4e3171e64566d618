"""The gallery command, run as a user runs it."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.checkpoints import write_checkpoint
from tests.tools.conftest import TOOLS
from xreid_plugin.data.build import build_dataset
from xreid_plugin.evaluation.features import TrackletFeatures, save_features, tasks_of_flags
from xreid_plugin.gallery.store import Gallery
from xreid_plugin.predictor import TrackletPredictor


@pytest.fixture(scope="module")
def main(load_tool):
    """Runs the tool in this process: its exit status and what it printed."""

    def run(*arguments):
        with redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed):
            status = tool([*map(str, arguments)])
        return status, printed.getvalue()

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        tool = load_tool("gallery").main
        yield run


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    return write_checkpoint(small_set, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def tracklets(trained):
    return build_dataset(trained[1], "HITSZVCM").test


@pytest.fixture(scope="module")
def saved(trained, tracklets, tmp_path_factory):
    """Files of the test set's features, of another length: one as evaluation saves it, one that names no model."""
    predictor, folder = TrackletPredictor(trained[0], "cpu"), tmp_path_factory.mktemp("saved")
    _, pids, camids, modalities, names, *_ = zip(*tracklets, strict=True)
    labels = [np.array(values, np.int64) for values in (pids, camids, modalities)]
    tasks = tasks_of_flags(labels[2] == 0, labels[2])
    for name, model in (("known.npz", predictor.fingerprint), ("unknown.npz", "")):
        features = TrackletFeatures(3 * predictor.embed(tracklets), *labels, tasks, names=names)
        save_features(folder / name, replace(features, protocol={"model": model}))
    return folder / "known.npz", folder / "unknown.npz"


@pytest.fixture(scope="module")
def built(main, small_set, trained, saved, tmp_path_factory):
    """A gallery of the dataset's visible tracklets, calibrated."""
    folder = tmp_path_factory.mktemp("galleries") / "gallery"
    calibration = ["--calibrate", saved[0], "--false-match-rate", "0.05"]
    dataset = ["--dataset", "HITSZVCM", "--root", small_set, "--direction", "I2V", "--device", "cpu"]
    assert main("build", folder, "--checkpoint", trained[0], *dataset, *calibration)[0] == 0
    return folder


def frames_of(tracklet, folder):
    folder.mkdir(parents=True)
    for path in tracklet.paths:
        (folder / Path(path).name).symlink_to(Path(path).absolute())
    return folder


def test_a_tracklet_finds_itself_and_a_picture_shows_it(main, built, tracklets, tmp_path):
    mine = next(tracklet for tracklet in tracklets if tracklet.modality == 1)
    folder, picture = frames_of(mine, tmp_path / "asking"), tmp_path / "found.png"
    asked = ("query", built, "--frames", folder, "--camera", mine.camid, "--picture", picture, "--device", "cpu")
    status, printed = main(*asked)
    assert status == 0, printed
    assert printed.splitlines()[2].split() == ["1", "1.0000", str(mine.pid), str(mine.camid)]
    with Image.open(picture) as opened:
        sheet = np.asarray(opened)
    # The first frame of the query, and below it that of the tracklet itself.
    query, match = sheet[36:164, 18:82], sheet[200:328, 18:82]
    assert query.std() > 10
    np.testing.assert_array_equal(query, match)


def test_below_the_threshold_there_is_no_match(main, built, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 24, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.png")
    arguments = ("query", built, "--frames", tmp_path, "--device", "cpu", "--top", "2")
    _, score, match, *_ = main(*arguments, "--all")[1].splitlines()[2].split()
    assert match == "no", "noise must look like nobody for this test to mean anything"
    assert main(*arguments)[1].startswith(f"No match: the best score is {score}.")


def test_features_fill_and_query_a_gallery(main, saved, built, trained, tracklets, tmp_path):
    known, unknown = saved
    folder = tmp_path / "gallery"
    status, printed = main("build", folder, "--features", unknown, "--direction", "V2I")
    assert status == 0, printed
    infrared = [row for row, tracklet in enumerate(tracklets) if tracklet.modality == 0]
    records = Gallery(folder).records()
    assert [record.source for record in records] == [tracklets[row].name for row in infrared]
    assert {record.modality for record in records} == {"infrared"}
    _, printed = main("query", folder, "--features", unknown, "--row", infrared[2], "--top", "1")
    asked = tracklets[infrared[2]]
    assert printed.splitlines()[2].split() == ["1", "1.0000", str(asked.pid), str(asked.camid)]
    assert main("add", folder, "--features", unknown)[0] == 0
    assert len(Gallery(folder)) == len(infrared) + len(tracklets)
    assert main("calibrate", folder, "--calibrate", unknown, "--false-match-rate", "0.2")[0] == 0
    assert "asked for: 0.2" in main("info", folder)[1]
    # Where the gallery's model is known, features have to be of it.
    before = len(Gallery(built))
    assert "--checkpoint" in main("add", built, "--features", unknown)[1]
    assert main("add", built, "--features", unknown, "--checkpoint", trained[0], "--device", "cpu")[0] == 0
    assert main("add", built, "--features", known)[0] == 0
    assert len(Gallery(built)) == before + 2 * len(tracklets)


def test_lists_videos_and_folders_of_folders_are_added(main, trained, tracklets, tmp_path):
    frames_of(tracklets[0], tmp_path / "people" / "a")
    frames_of(tracklets[1], tmp_path / "people" / "b")
    height, width = cv2.imread(tracklets[0].paths[0]).shape[:2]
    writer = cv2.VideoWriter(str(tmp_path / "c.mkv"), cv2.VideoWriter_fourcc(*"FFV1"), 25, (width, height))
    for path in tracklets[0].paths:
        writer.write(cv2.imread(path))
    writer.release()
    (tmp_path / "c.csv").write_text(f"frame,x1,y1,x2,y2\n0,0,0,{width},{height}\n3,0,0,{width},{height}\n")
    lines = ["frames,boxes,identity,camera,time", "people/b,,Bo,2,2026-01-02T04:04:05+01:00", "c.mkv,c.csv,Cy,,"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    folder = tmp_path / "gallery"
    build = ["build", folder, "--checkpoint", trained[0], "--device", "cpu", "--settings", "TEST.FRAMES", "dense"]
    status, printed = main(*build, "--frames", tmp_path / "people", "--camera", 1, "--time", "60.5")
    assert status == 0, printed
    assert "without a camera" not in printed
    assert "1 of 2 tracklets" in main("add", folder, "--list", tmp_path / "list.csv", "--device", "cpu")[1]
    records = a, _, listed, video = Gallery(folder).records()
    assert [Path(record.source).name for record in records] == ["a", "b", "b", "c.mkv with c.csv"]
    assert [record.camera for record in records] == [1, 1, 2, None]
    assert (a.time, listed.identity, listed.when) == (60.5, "Bo", "2026-01-02T03:04:05+00:00")
    assert [tuple(frame)[1:] for frame in video.frames] == [(number, [0, 0, width, height]) for number in (0, 3)]
    query = ("query", folder, "--video", tmp_path / "c.mkv", "--boxes", tmp_path / "c.csv", "--device", "cpu")
    _, printed = main(*query, "--picture", tmp_path / "c.jpg")
    assert printed.splitlines()[2].split() == ["1", "1.0000", "Cy"]
    with Image.open(tmp_path / "c.jpg") as picture:
        assert picture.format == "JPEG"


def test_another_model_is_refused(main, small_set, built, saved, tmp_path):
    other, _ = write_checkpoint(small_set, tmp_path / "other", seed=1)
    model = ("--checkpoint", other, "--device", "cpu")
    for command in ("query", "add"):
        assert str(other) in main(command, built, "--frames", small_set, *model)[1]
    assert main("build", tmp_path / "new", *model, "--dataset", "HITSZVCM", "--root", small_set)[0] == 0
    for command in (["add", "--features"], ["query", "--row", 0, "--features"], ["calibrate", "--calibrate"]):
        assert "known.npz" in main(command[0], tmp_path / "new", *command[1:], saved[0])[1]


def test_other_databases_hold_the_whole_gallery_and_find_the_same(main, built, tmp_path):
    duckdb, parquet = pytest.importorskip("duckdb"), pytest.importorskip("pyarrow.parquet")
    assert main("export", built, "--to", tmp_path, "--format", "npy", "parquet", "duckdb")[0] == 0
    gallery = Gallery(built)
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), gallery.embeddings)
    table = parquet.read_table(tmp_path / "tracklets.parquet")
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), gallery.embeddings)
    for name in ("identity", "source", "camera", "modality", "time"):
        assert table[name].to_pylist() == [getattr(record, name) for record in gallery.records()]
    found = gallery.search(gallery.embeddings[3:4], 6)
    score = f"array_inner_product(embedding, $1::FLOAT[{gallery.manifest.dimensions}])"
    with duckdb.connect(str(tmp_path / "gallery.duckdb"), read_only=True) as database:
        chosen = f"SELECT id, {score} AS score FROM tracklets ORDER BY score DESC, id LIMIT 6"
        answer = database.execute(chosen, [gallery.embeddings[3].tolist()]).fetchall()
    np.testing.assert_allclose([line[1] for line in answer], found.scores[0], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["info", "{tmp}/nowhere"], "nowhere"),
        (["build", "{tmp}/new", "--features", "{tmp}/none.npz"], "none.npz"),
        (["query", "{built}", "--frames", "{tmp}", "--time", "noon"], '"noon"'),
        (["add", "{built}", "--list", "{tmp}/bad.csv"], "bad.csv, line 2"),
        (["build", "{built}", "--features", "{saved}"], "a gallery already"),
    ],
)
def test_a_user_error_is_one_message(main, built, saved, tmp_path, arguments, named):
    (tmp_path / "bad.csv").write_text("frames\nnowhere\n")
    places = {"tmp": tmp_path, "built": built, "saved": saved[0]}
    status, printed = main(*(argument.format(**places) for argument in arguments))
    assert (status, len(printed.splitlines())) == (2, 1)
    assert named in printed
