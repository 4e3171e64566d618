"""The gallery command, run as a user runs it."""

import csv
import io
import json
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.checkpoints import write_checkpoint
from tests.tools.conftest import TOOLS
from xreid_plugin.data.build import build_dataset
from xreid_plugin.data.tracks import read_tracks
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
        save_features(folder / name, replace(features, protocol={"model": model, "drawn": True}))
    return folder / "known.npz", folder / "unknown.npz"


@pytest.fixture(scope="module")
def built(main, small_set, trained, saved, tmp_path_factory):
    """A gallery of the dataset's visible tracklets, calibrated."""
    folder = tmp_path_factory.mktemp("galleries") / "gallery"
    calibration = ["--calibrate", saved[0], "--false-match-rate", "0.05"]
    dataset = ["--dataset", "HITSZVCM", "--root", small_set, "--direction", "I2V", "--device", "cpu"]
    assert main("build", folder, "--checkpoint", trained[0], *dataset, *calibration)[0] == 0
    return folder


def frames_at(tracklet, folder):
    folder.mkdir(parents=True)
    for path in tracklet.paths:
        (folder / Path(path).name).symlink_to(Path(path).absolute())
    return folder


def found_by(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_tracklet_finds_itself_with_the_embedding_of_its_camera_if_asked(main, built, trained, tracklets, tmp_path):
    mine = next(tracklet for tracklet in tracklets if tracklet.modality == 1)
    folder = frames_at(mine, tmp_path / "asking")
    # The gallery's tracklets have their cameras', as in evaluation.
    asked = ("query", built, "--frames", folder, "--device", "cpu", "--top", 1, "--csv", tmp_path / "found.csv")
    lines = []
    for more in (["--model-camera", mine.camid], ["--camera", mine.camid], []):
        status, printed = main(*asked, *more, "--all")
        assert status == 0, printed
        lines += found_by(tmp_path / "found.csv")
    assert (lines[0]["identity"], lines[0]["camera"]) == (str(mine.pid), str(mine.camid))
    similarities = [float(line["similarity"]) for line in lines]
    assert similarities[0] == pytest.approx(1, abs=1e-5)
    # A place's own name or number changes nothing.
    assert similarities[1] == similarities[2] < 0.999
    known = TrackletPredictor(trained[0], "cpu").cameras
    assert f"{', '.join(map(str, known))}, not 99" in main(*asked, "--model-camera", 99)[1]


def test_features_fill_and_query_a_gallery_and_those_of_unknown_models_never(main, saved, built, tracklets, tmp_path):
    known, unknown = saved
    folder = tmp_path / "gallery"
    status, printed = main("build", folder, "--features", known, "--direction", "V2I")
    assert status == 0, printed
    # One is of drawn people's features, the other of their dataset.
    assert "people     drawn" in printed
    assert "queries and gallery" in main("query", folder, "--from", built)[1]
    infrared = [row for row, tracklet in enumerate(tracklets) if tracklet.modality == 0]
    records = Gallery(folder).records()
    assert [record.source for record in records] == [tracklets[row].name for row in infrared]
    assert {record.modality for record in records} == {"infrared"}
    main("query", folder, "--features", known, "--row", infrared[2], "--top", 1, "--csv", tmp_path / "one.csv")
    (line,) = found_by(tmp_path / "one.csv")
    assert (line["rank"], line["identity"]) == ("1", str(tracklets[infrared[2]].pid))
    assert float(line["similarity"]) == pytest.approx(1, abs=1e-5)
    # What is there already is told.
    _, printed = main("add", folder, "--features", known)
    assert f"{len(infrared)} of the tracklets are in the gallery already" in printed
    assert len(Gallery(folder)) == len(tracklets)
    assert "Added 0 " in main("add", folder, "--features", known)[1]
    _, printed = main("calibrate", folder, "--calibrate", known, "--false-match-rate", "0.2")
    people = len({tracklet.pid for tracklet in tracklets})
    assert f"Warning: {people} of the {people} people" in printed
    assert "asked for: 0.2" in main("info", folder)[1]
    for command in (["build", tmp_path / "new"], ["add", folder], ["query", folder]):
        assert "unknown.npz does not say which model" in main(*command, "--features", unknown)[1]
    assert "unknown.npz does not say which model" in main("calibrate", built, "--calibrate", unknown)[1]


def test_lists_videos_and_folders_of_folders_are_added_once(main, trained, tracklets, tmp_path):
    frames_at(tracklets[0], tmp_path / "people" / "a")
    frames_at(tracklets[1], tmp_path / "people" / "b\x1b[31m")
    pictures = [cv2.imread(path) for path in tracklets[0].paths]
    (height, width), video = pictures[0].shape[:2], tmp_path / "c.mkv"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"FFV1"), 25, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    (tmp_path / "c.csv").write_text(f"frame,x1,y1,x2,y2\n0,0,0,{width},{height}\n3,0,0,{width},{height}\n")
    lines = ["frames,tracks,identity,camera,time,modality", "people/a,,,,,", "c.mkv,c.csv,Cy\x1b[2J,gate 4,,visible"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    folder = tmp_path / "gallery"
    build = ["build", folder, "--checkpoint", trained[0], "--device", "cpu", "--settings", "TEST.FRAMES", "dense"]
    status, printed = main(*build, "--frames", tmp_path / "people", "--camera", "hall", "--time", "60.5")
    assert status == 0, printed
    _, printed = main("add", folder, "--list", tmp_path / "list.csv", "--device", "cpu")
    assert "1 of the tracklets are in the gallery already" in printed
    a, _, c = Gallery(folder).records()
    assert (a.camera, a.time, c.identity, c.camera, c.modality) == ("hall", 60.5, "Cy\x1b[2J", "gate 4", "visible")
    # What the model has seen, side by side.
    strip = cv2.imdecode(np.frombuffer(a.strip, np.uint8), cv2.IMREAD_COLOR)
    assert strip.shape == (48, 4 * 24, 3)
    assert len(a.strip) < 20_000
    assert np.abs(strip[:, :24].astype(int) - cv2.resize(pictures[len(pictures) // 8], (24, 48))).mean() < 25
    query = ("query", folder, "--video", video, "--tracks", tmp_path / "c.csv", "--device", "cpu", "--threshold", -0.5)
    _, printed = main(*query, "--html", tmp_path / "c.html", "--json", tmp_path / "c.json")
    assert "Cy\\x1b[2J" in printed
    assert "\x1b" not in printed + main("list", folder)[1] + (tmp_path / "c.html").read_text()
    found = json.loads((tmp_path / "c.json").read_text())
    (answer,) = found["answers"]
    assert [found["threshold"], *{hit["match"] for hit in answer["found"]}] == [-0.5, True]
    assert (answer["query"]["begins"], answer["query"]["ends"]) == (0, 0.12)
    assert answer["found"][0]["similarity"] == pytest.approx(1, abs=1e-5)
    # Three tracklets for two that may be found, each once.
    assert main("query", folder, "--from", folder, "--only-camera", "hall", "--assign")[1].count("no match") == 1
    assert "Say which" in main("remove", folder)[1]
    status, told = main("query", folder, "--from", folder, "--only-camera", "gate 5")
    assert status == 2
    assert "'gate 4'" in told
    assert "Removed 1 " in main("remove", folder, "--only-camera", "gate 4")[1]
    assert "Removed 1 " in main("remove", folder, "1")[1]
    assert [record.number for record in Gallery(folder).records()] == [2]


@pytest.fixture
def in_tokyo(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


def test_two_videos_give_an_answer(main, trained, load_tool, tmp_path, in_tokyo):
    drawn = tmp_path / "videos"
    draw = ["--layout", "videos", "--train-identities", "1", "--test-identities", "1", "--size", "48", "24"]
    assert load_tool("make_synthetic_vcm").main(["--output", str(drawn), *draw]) == 0
    gallery, model = tmp_path / "gallery", ["--checkpoint", trained[0], "--device", "cpu"]
    seen = ["--video", drawn / "visible.avi", "--tracks", drawn / "visible.txt", "--modality", "visible"]
    status, printed = main("build", gallery, *model, *seen, "--camera", "gate 4", "--time", "2026-03-01T17:45")
    assert status == 0, printed
    for told in ("6 tracks, read as MOTChallenge", "Added 6 tracklets, numbered 1 to 6."):
        assert told in printed
    records = Gallery(gallery).records()
    assert [record.track for record in records] == ["1", "2", "3", "4", "5", "6"]
    # Walks begin 18 frames after one another.
    assert [round(25 * record.begins) for record in records] == [0, 18, 36, 54, 72, 90]
    assert records[5].when == "2026-03-01T17:45:03+09:00"
    # One pass over the video gives what a pass for each track gives.
    tracks = read_tracks(drawn / "visible.avi", drawn / "visible.txt")
    predictor = TrackletPredictor(trained[0], "cpu")
    alone = [predictor.embed_tracks(tracks.only([place]))[0][0] for place in range(6)]
    np.testing.assert_allclose(Gallery(gallery).embeddings, alone, atol=1e-5)
    assert "6 of the tracklets are in the gallery already" in main("add", gallery, *seen, "--device", "cpu")[1]

    asked = ["--video", drawn / "infrared.avi", "--tracks", drawn / "infrared.txt", "--device", "cpu"]
    outputs = ["--assign", "--csv", tmp_path / "new" / "a.csv", "--html", tmp_path / "newer" / "a.html"]
    status, printed = main("query", gallery, *asked, *outputs, "--only-modality", "visible")
    assert status == 0, printed
    lines = found_by(tmp_path / "new" / "a.csv")
    assert [line["assigned_similarity"] for line in lines] == [line["similarity"] for line in lines]
    assert [line["query_track"] for line in lines] == ["1", "2", "3", "4", "7", "8"]
    assert sorted(line["track"] for line in lines) == ["1", "2", "3", "4", "5", "6"]
    page = (tmp_path / "newer" / "a.html").read_text()
    assert page.count("data:image/jpeg") == 12
    for told in ("modality visible", "queries of drawn people", "gallery of drawn people"):
        assert told in page
    assert "people     drawn" in main("info", gallery)[1]
    assert "modality 'visible'" in main("query", gallery, *asked, "--track", "7", "--only-modality", "infrared")[1]
    late = main("query", gallery, *asked, "--track", "7", "--after", "2026-03-01T08:45:02Z")[1]
    assert late.count("visible.avi, track") == 3


def test_another_model_is_refused(main, small_set, built, saved, tmp_path):
    other, _ = write_checkpoint(small_set, tmp_path / "other", seed=1)
    model = ("--checkpoint", other, "--device", "cpu")
    for command in ("query", "add"):
        assert str(other) in main(command, built, "--frames", small_set, *model)[1]
    assert main("build", tmp_path / "new", *model, "--dataset", "HITSZVCM", "--root", small_set)[0] == 0
    for command in (["add", "--features"], ["query", "--features"], ["calibrate", "--calibrate"]):
        assert "known.npz" in main(command[0], tmp_path / "new", *command[1:], saved[0])[1]
    assert str(built) in main("query", tmp_path / "new", "--from", built)[1]


def test_other_databases_hold_the_whole_gallery_and_find_the_same(main, built, tmp_path):
    duckdb, parquet = pytest.importorskip("duckdb"), pytest.importorskip("pyarrow.parquet")
    assert main("export", built, "--to", tmp_path, "--format", "npy", "parquet", "duckdb")[0] == 0
    gallery = Gallery(built)
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), gallery.embeddings)
    table = parquet.read_table(tmp_path / "tracklets.parquet")
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), gallery.embeddings)
    for name in ("identity", "source", "track", "camera", "modality", "time", "begins", "number"):
        assert table[name].to_pylist() == [getattr(record, name) for record in gallery.records()]
    found = gallery.search(gallery.embeddings[3:4], 6)
    similarity = f"array_inner_product(embedding, $1::FLOAT[{gallery.manifest.dimensions}])"
    with duckdb.connect(str(tmp_path / "gallery.duckdb"), read_only=True) as database:
        chosen = f"SELECT id, {similarity} AS near FROM tracklets ORDER BY near DESC, id LIMIT 6"
        answer = database.execute(chosen, [gallery.embeddings[3].tolist()]).fetchall()
    np.testing.assert_allclose([line[1] for line in answer], found.similarities[0], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["query", "{built}", "--frames", "{tmp}", "--time", "noon"], '"noon"'),
        (["add", "{built}", "--list", "{tmp}/bad.csv"], "bad.csv, line 2"),
        (["query", "{built}", "--list", "{tmp}/none.csv", "--device", "cpu"], "no tracklet to search for"),
        (["build", "{built}", "--features", "{saved}"], "a gallery already"),
        (["query", "{built}", "--from", "{built}", "--threshold", "1.5"], "--threshold"),
        (["query", "{built}", "--frames", "{tmp}", "--checkpoint", "{tmp}/none.pth"], "--checkpoint"),
        (["info", "{tmp}/none"], "no gallery"),
    ],
)
def test_a_user_error_is_one_message(main, built, saved, tmp_path, arguments, named):
    (tmp_path / "bad.csv").write_text("frames\nnowhere\n")
    (tmp_path / "none.csv").write_text("frames\n")
    places = {"tmp": tmp_path, "built": built, "saved": saved[0]}
    status, printed = main(*(argument.format(**places) for argument in arguments))
    assert (status, len(printed.splitlines())) == (2, 1)
    assert named in printed
