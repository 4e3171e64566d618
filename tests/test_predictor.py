import concurrent.futures

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkpoints import write_checkpoint
from xreid_plugin.data.build import build_dataset
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.engine.checkpoints import load_for_evaluation, read_checkpoint
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.evaluation.features import load_features
from xreid_plugin.host import build_model
from xreid_plugin.predictor import TrackletInput, TrackletPredictor, VideoTracklet

SIZE = (48, 24)


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    return write_checkpoint(small_set, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def predictor(trained):
    return TrackletPredictor(trained[0], device="cpu")


@pytest.fixture(scope="module")
def tracklets(trained):
    return build_dataset(trained[1], "HITSZVCM").test


def pictures(tracklet):
    return [Image.open(path).convert("RGB") for path in tracklet.paths]


@pytest.mark.parametrize("frames", ["even", "dense"])
@pytest.mark.parametrize("flip", ["True", "False"])
def test_embeds_as_evaluation_does(trained, tracklets, tmp_path, frames, flip):
    path, cfg = trained
    cfg = cfg.clone()
    cfg.merge_from_list(
        ["TEST.FRAMES", frames, "TEST.FLIP.ENABLED", flip, "TEST.SAVE_FEATURES", str(tmp_path / "features.npz")]
    )
    cfg.OUTPUT_DIR = str(tmp_path)
    model = build_model(cfg)
    load_for_evaluation(model, read_checkpoint(path))
    XReIDTrainer.test(cfg, model)
    saved = load_features(tmp_path / "features.npz").features
    cfg.MODEL.WEIGHTS = str(path)
    embedded = TrackletPredictor(cfg, device="cpu").embed(tracklets)
    np.testing.assert_allclose(embedded, saved / np.linalg.norm(saved, axis=1, keepdims=True), atol=1e-6)


def test_rows_are_unit_and_do_not_depend_on_their_company(predictor, tracklets):
    together = predictor.embed(tracklets)
    assert together.dtype == np.float32
    assert together.shape == (len(tracklets), predictor.dimensions)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([predictor.embed([tracklet]) for tracklet in tracklets[:5]])
    np.testing.assert_allclose(alone, together[:5], atol=1e-6)
    assert predictor.embed([]).shape == (0, predictor.dimensions)


def test_all_kinds_of_input_are_the_same_tracklet(predictor, tracklets, tmp_path):
    tracklet = tracklets[0]
    images = pictures(tracklet)
    # Written so that an order by text would be another: 10 before 9.
    for number, image in enumerate(images):
        image.save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    arrays = [np.asarray(image) for image in images]
    expected = predictor.embed([tracklet._replace(camid=-5)])
    for source in (tmp_path, str(tmp_path), images, arrays, tuple(arrays), np.stack(arrays)):
        np.testing.assert_allclose(predictor.embed([source]), expected, atol=1e-6)


def test_grey_frames_are_three_equal_channels(predictor):
    grey = np.random.default_rng(0).integers(0, 256, (5, *SIZE), np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=3)
    np.testing.assert_array_equal(predictor.embed([list(grey)]), predictor.embed([colour]))


def test_a_camera_counts_where_training_knew_it_and_is_left_out_elsewhere(predictor, tracklets):
    images = pictures(tracklets[0])
    known = tracklets[0].camid
    assert predictor.knows_camera(known)
    assert not predictor.knows_camera(99)
    assert not predictor.knows_camera(None)
    of_known, of_unseen, of_none, bare = predictor.embed(
        [TrackletInput(images, known), TrackletInput(images, 99), TrackletInput(images), images]
    )
    np.testing.assert_allclose(of_known, predictor.embed([tracklets[0]])[0], atol=1e-6)
    np.testing.assert_allclose(of_unseen, of_none, atol=1e-6)
    np.testing.assert_allclose(bare, of_none, atol=1e-6)
    assert np.abs(of_known - of_none).max() > 1e-3


def test_many_threads_get_the_answers_of_one(predictor, tracklets):
    jobs = [[tracklets[(start + step) % len(tracklets)] for step in range(3)] for start in range(24)]
    expected = [predictor.embed(job) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(predictor.embed, jobs))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def write_video(path, pictures):
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, (width, height))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A lossless video, its frames, and a box in all but its first two frames."""
    rng = np.random.default_rng(1)
    # Codecs of even sides alone; blocks, so that chroma is no matter.
    frames = [np.kron(rng.integers(0, 256, (12, 16, 1), np.uint8), np.ones((8, 8, 3), np.uint8)) for _ in range(14)]
    path = tmp_path_factory.mktemp("video") / "scene.mkv"
    write_video(path, frames)
    boxes = [(number, 4.0 + number, 6, 40 + number, 90) for number in range(2, 14)]
    return path, frames, boxes


@pytest.mark.parametrize("mode", ["even", "dense"])
def test_boxes_in_a_video_are_what_they_cut_out(trained, scene, tmp_path, mode):
    video, frames, boxes = scene
    cfg = trained[1].clone()
    cfg.merge_from_list(["TEST.FRAMES", mode, "MODEL.WEIGHTS", str(trained[0])])
    predictor = TrackletPredictor(cfg, device="cpu")
    cut = [frames[n][y1:y2, int(x1) : int(x2)] for n, x1, y1, x2, y2 in boxes]
    table = tmp_path / "boxes.csv"
    lines = [f"{n},{x1},{y1},{x2},{y2},kept" for n, x1, y1, x2, y2 in boxes]
    table.write_text("\n".join(["frame,x1,y1,x2,y2,remark", *lines]))
    expected, by_array, by_file = predictor.embed([cut, VideoTracklet(video, boxes), VideoTracklet(video, table)])
    np.testing.assert_allclose(by_array, expected, atol=1e-3)
    np.testing.assert_array_equal(by_array, by_file)


def test_boxes_are_cut_at_the_edges_of_the_frame(predictor, scene):
    video, frames, _ = scene
    beyond = [(-50, -1, 1000, 1e6)] * len(frames)
    cut, whole = predictor.embed([VideoTracklet(video, beyond), np.stack(frames)])
    np.testing.assert_allclose(cut, whole, atol=1e-3)


def test_every_fault_of_an_input_is_named(predictor, scene, tmp_path):
    video, _, boxes = scene
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.mp4").write_bytes(b"this is no video" * 100)
    bad_line = tmp_path / "boxes.csv"
    bad_line.write_text("frame,x1,y1,x2,y2\n0,1,2,3,4\n1,5,2,three,4\n")
    (tmp_path / "columns.csv").write_text("frame,left,top,right,bottom\n0,1,2,3,4\n")
    for source, named in [
        (tmp_path / "nowhere", "nowhere: there is no such folder"),
        (tmp_path / "empty", "empty holds no picture"),
        ([], "no frame"),
        (np.zeros((3, 8, 8), np.uint8), r"frames, H, W, 3"),
        ([np.zeros((8, 8, 3))], "frame 0"),
        ([np.zeros((8, 8, 4), np.uint8)], "uint8"),
        ([np.zeros((0, 8, 3), np.uint8)], "frame 0"),
        ([Image.new("F", (8, 8))], "frame 0"),
        (["a.jpg"], "frame 0"),
        (7, "is a int"),
        (VideoTracklet(tmp_path / "none.mp4", boxes), "none.mp4"),
        (VideoTracklet(tmp_path / "no.mp4", boxes), "no.mp4"),
        (VideoTracklet(video, bad_line), "boxes.csv"),
        (VideoTracklet(video, tmp_path / "columns.csv"), "columns.csv"),
        (VideoTracklet(video, tmp_path / "none.csv"), "none.csv"),
        (VideoTracklet(video, [[1, 2, 3]]), r"\(1, 3\)"),
        (VideoTracklet(video, [[0, 5, 2, 5, 4]]), "row 0"),
        (VideoTracklet(video, [[1, 1, 2, 3, 4], [1, 1, 2, 3, 4]]), "row 1"),
        (VideoTracklet(video, [[0.5, 1, 2, 3, 4]]), "row 0"),
        (VideoTracklet(video, [[0, 1, float("nan"), 3, 4]]), "row 0"),
        (VideoTracklet(video, [[0, 500, 1, 600, 4]]), "frame 0"),
        (VideoTracklet(video, [[14, 1, 1, 6, 4]]), "frame 14"),
    ]:
        with pytest.raises(ValueError, match=named):
            predictor.embed([source])
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    for alone in (str(tmp_path), TrackletInput(frames), frames, list(frames), [Image.fromarray(frames[0])]):
        with pytest.raises(ValueError, match=r"embed\(\[frames\]\)"):
            predictor.embed(alone)
    (tmp_path / "empty" / "0.png").write_bytes(b"no picture")
    with pytest.raises(FrameError, match=r"0\.png"):
        predictor.embed([tmp_path / "empty"])


def test_the_fingerprint_is_of_the_weights_and_of_what_embeddings_depend_on(trained, small_set, tmp_path):
    path, cfg = trained
    first = TrackletPredictor(path, "cpu").fingerprint
    moved = tmp_path / "copy.pth"
    content = torch.load(path, weights_only=True)
    torch.save({**content, "epoch": 7}, moved)
    assert TrackletPredictor(moved, "cpu").fingerprint == first
    name = "backbone.visual.proj"
    torch.save({**content, "model": {**content["model"], name: content["model"][name] + 1e-3}}, moved)
    assert TrackletPredictor(moved, "cpu").fingerprint != first
    dense = cfg.clone()
    dense.merge_from_list(["TEST.FRAMES", "dense", "MODEL.WEIGHTS", str(path)])
    assert TrackletPredictor(dense, "cpu").fingerprint != first


def test_a_checkpoint_that_cannot_serve_is_refused(trained, tmp_path):
    path = trained[0]
    content = torch.load(path, weights_only=True)
    for name, changed, named in [
        ("bare.pth", {"model": content["model"]}, "configuration"),
        ("odd.pth", {**content, "config": "MODEL: ["}, "configuration"),
        ("list.pth", {**content, "config": "[1, 2]"}, "configuration"),
        ("unknown.pth", {**content, "config": "NO_SUCH_KEY: 1"}, "NO_SUCH_KEY"),
    ]:
        torch.save(changed, tmp_path / name)
        with pytest.raises(ValueError, match=f"{name}.*{named}"):
            TrackletPredictor(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        TrackletPredictor(tmp_path / "none.pth")
    with pytest.raises(ValueError, match="'gpu'; expected auto, cpu, cuda"):
        TrackletPredictor(path, device="gpu")


def test_a_bare_checkpoint_is_completed_by_a_configuration(trained, tracklets, predictor, tmp_path):
    path, cfg = trained
    bare = tmp_path / "bare.pth"
    torch.save({"model": torch.load(path, weights_only=True)["model"]}, bare)
    cfg = cfg.clone()
    cfg.MODEL.WEIGHTS, cfg.MODEL.BACKBONE.CAMERAS, cfg.MODEL.HEADS.NUM_CLASSES = str(bare), [], 0
    completed = TrackletPredictor(cfg, device="cpu")
    assert completed.cameras == predictor.cameras
    np.testing.assert_array_equal(completed.embed(tracklets[:2]), predictor.embed(tracklets[:2]))
