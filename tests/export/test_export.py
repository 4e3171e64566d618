"""A file's embeddings beside those of evaluation, and what becomes of a file that disagrees."""

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml

from tests.checkpoints import write_checkpoint
from tests.modeling.test_frame_baseline import config as image_config
from xreid_plugin.data.build import build_dataset
from xreid_plugin.data.frames import even
from xreid_plugin.engine.restore import restore
from xreid_plugin.export.check import CheckError, Runtime, write_checked
from xreid_plugin.export.program import ClipEmbedder, clip_shape, facts, random_clips, translate
from xreid_plugin.host import Checkpointer, build_model
from xreid_plugin.predictor import TrackletInput, TrackletPredictor

pytestmark = pytest.mark.slow

CLIP = (3, (48, 24))


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    """A checkpoint of X-ReID, and its configuration; one block of SII makes a smaller program."""
    return write_checkpoint(small_set, tmp_path_factory.mktemp("run"), "MODEL.MII.SII.DEPTH", "1")


@pytest.fixture(scope="module")
def source(trained):
    return restore(trained[0], "cpu")


@pytest.fixture(scope="module")
def embedder(source):
    return ClipEmbedder(source.model, flip=False, raw=False)


@pytest.fixture(scope="module")
def program(source, embedder):
    return translate(embedder, *CLIP, facts(source, raw=False))


@pytest.fixture(scope="module")
def file(program, embedder, source, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    agreements = write_checked(program, embedder, path, CLIP, source.cameras)
    assert [agreement.clips for agreement in agreements] == [1, 2, 5]
    assert all(agreement.cosine > 1 - 1e-6 for agreement in agreements)
    return path


@pytest.fixture(scope="module")
def runtime(file):
    return Runtime(file)


def test_embeds_tracklets_as_evaluation_does(trained, small_set, runtime):
    predictor = TrackletPredictor(trained[0], device="cpu")
    tracklets = build_dataset(trained[1], "HITSZVCM").test[:4]
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (length, *CLIP[1], 3), np.uint8) for length in (2, 3, 9, 14)]
    cameras = [tracklet.camid for tracklet in tracklets[:3]] + [99]
    assert 99 not in predictor.cameras
    assert set(cameras[:3]) <= set(predictor.cameras)
    expected = predictor.embed([TrackletInput(*pair) for pair in zip(pictures, cameras, strict=True)])
    clips = np.stack([frames[even(len(frames), CLIP[0])] for frames in pictures]).transpose(0, 1, 4, 2, 3)
    found = runtime(torch.from_numpy(np.ascontiguousarray(clips)), torch.tensor(cameras)).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_the_file_is_one_and_tells_what_it_is(file, runtime, trained):
    assert [path.name for path in file.parent.iterdir()] == ["model.onnx"]
    told = runtime.metadata
    predictor = TrackletPredictor(trained[0], device="cpu")
    assert told["fingerprint"] == predictor.fingerprint
    assert json.loads(told["cameras"]) == list(predictor.cameras)
    assert (told["frames"], told["height"], told["width"]) == ("3", "48", "24")
    assert (told["clips"], told["flip"], told["raw"]) == ("even", "false", "false")
    assert json.loads(told["pixel_mean"]) == list(predictor.cfg.MODEL.PIXEL_MEAN)
    assert json.loads(told["pixel_std"]) == list(predictor.cfg.MODEL.PIXEL_STD)
    assert yaml.safe_load(told["config"])["MODEL"]["BACKBONE"]["CLIP_MODEL"] == "xreid-tiny"
    inputs = {entry.name: (entry.type, entry.shape) for entry in runtime.session.get_inputs()}
    assert inputs == {"images": ("tensor(uint8)", ["clips", 3, 3, 48, 24]), "cameras": ("tensor(int64)", ["clips"])}
    (output,) = runtime.session.get_outputs()
    assert (output.name, output.type, output.shape) == ("embedding", "tensor(float)", ["clips", predictor.dimensions])


def test_training_leaves_nothing_and_no_path_of_the_source_in_it(file):
    model = onnx.load(file)
    names = [weight.name for weight in model.graph.initializer]
    assert any("lii" in name for name in names)
    assert not [name for name in names if "classifier" in name or "cii" in name or "prototypes" in name]
    assert str(Path(__file__).parents[2] / "xreid_plugin") not in str(model.graph)


def test_a_file_that_disagrees_is_not_left_and_the_former_one_stays(program, embedder, source, tmp_path):
    other = copy.deepcopy(embedder)
    with torch.no_grad():
        other.model.backbone.visual.proj *= -1
    target = tmp_path / "model.onnx"
    with pytest.raises(CheckError, match="1e-05"):
        write_checked(program, other, target, CLIP, source.cameras)
    assert list(tmp_path.iterdir()) == []
    target.write_bytes(b"former")
    with torch.no_grad():
        other.model.backbone.visual.proj.fill_(float("nan"))
    with pytest.raises(CheckError, match="nan"):
        write_checked(program, other, target, CLIP, source.cameras)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model.onnx", b"former")]


def test_an_image_model_is_exported_mirrored_and_unnormalised_as_well(tmp_path):
    cfg = image_config()
    cfg.merge_from_list(["MODEL.BACKBONE.PRETRAIN", "False", "TEST.FLIP.ENABLED", "True"])
    Checkpointer(build_model(cfg), str(tmp_path)).save("model_final", config=cfg.dump())
    source = restore(tmp_path / "model_final.pth", "cpu")
    assert source.cameras == ()
    clip = clip_shape(source.cfg)
    raw = ClipEmbedder(source.model, flip=True, raw=True)
    path = tmp_path / "model.onnx"
    write_checked(translate(raw, *clip, facts(source, raw=True)), raw, path, clip, source.cameras)
    runtime = Runtime(path)
    assert (runtime.metadata["flip"], runtime.metadata["raw"]) == ("true", "true")
    images, cameras = random_clips(4, *clip), torch.tensor([-1, 0, 7, 7])
    found = runtime(images, cameras)
    with torch.inference_mode():
        sides = [source.model({"images": side}) for side in (images, images.flip(-1))]
    assert (sides[0] - sides[1]).abs().max() > 1e-3
    torch.testing.assert_close(found, (sides[0] + sides[1]) / 2, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(runtime(images.flip(-1), cameras), found, rtol=1e-4, atol=1e-5)
