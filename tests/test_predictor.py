import concurrent.futures

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
from xreid_plugin.predictor import TrackletInput, TrackletPredictor


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


def test_a_camera_counts_where_training_knew_it_and_is_left_out_elsewhere(predictor, tracklets):
    images = pictures(tracklets[0])
    known = tracklets[0].camid
    assert known in predictor.cameras
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


def test_every_fault_of_an_input_is_named(predictor, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, named in [
        (tmp_path / "nowhere", "nowhere: there is no such folder"),
        (tmp_path / "empty", "empty holds no picture"),
        ([], "no frame"),
        (np.zeros((3, 8, 8), np.uint8), r"frames, H, W, 3"),
        ([np.zeros((8, 8, 4), np.uint8)], "uint8"),
    ]:
        with pytest.raises(ValueError, match=named):
            predictor.embed([source])
    (tmp_path / "empty" / "0.png").write_bytes(b"no picture")
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    for alone in (str(tmp_path), TrackletInput(frames), frames, list(frames), [Image.fromarray(frames[0])]):
        with pytest.raises(ValueError, match=r"embed\(\[frames\]\)"):
            predictor.embed(alone)
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
        ("unknown.pth", {**content, "config": "NO_SUCH_KEY: 1"}, "NO_SUCH_KEY"),
    ]:
        torch.save(changed, tmp_path / name)
        with pytest.raises(ValueError, match=f"{name}.*{named}"):
            TrackletPredictor(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        TrackletPredictor(tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"MODEL\.DEVICE.*'gpu'"):
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
