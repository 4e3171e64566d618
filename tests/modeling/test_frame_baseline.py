import pytest
import torch
from fastreid.modeling import build_model
from fastreid.utils.events import EventStorage

from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import IMAGES, TARGETS

FRAMES = 3
# MGN cuts its map of a sixteenth of this into two and into three parts.
SIZE = (96, 48)


def config(architecture="Baseline"):
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "FrameBaseline"
    cfg.MODEL.FRAME_BASELINE.META_ARCHITECTURE = architecture
    # MGN cuts its branches out of a network of bottlenecks.
    cfg.MODEL.BACKBONE.DEPTH = "50x" if architecture == "MGN" else "18x"
    cfg.MODEL.BACKBONE.FEAT_DIM = 2048 if architecture == "MGN" else 512
    cfg.MODEL.HEADS.NUM_CLASSES = 4
    cfg.MODEL.HEADS.WITH_BNNECK = True
    cfg.MODEL.HEADS.EMBEDDING_DIM = 16 if architecture == "MGN" else 0
    cfg.MODEL.LOSSES.NAME = ("CrossEntropyLoss", "TripletLoss")
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = list(SIZE)
    cfg.INPUT.CLIP.FRAMES = FRAMES
    return cfg


def batch():
    images = torch.randint(0, 256, (4, FRAMES, 3, *SIZE), dtype=torch.uint8)
    return {IMAGES: images, TARGETS: torch.tensor([0, 1, 0, 1])}


@pytest.mark.parametrize("architecture", ["Baseline", "MGN"])
def test_trains_and_embeds_clips(architecture):
    model = build_model(config(architecture))
    inputs = batch()
    before = inputs[IMAGES].clone()
    with EventStorage():
        losses = model(inputs)
    sum(losses.values()).backward()
    assert any(parameter.grad is not None for parameter in model.parameters())
    assert torch.equal(inputs[IMAGES], before)
    model.eval()
    assert len(model(batch())) == 4


def test_a_clip_of_one_picture_embeds_as_the_hosts_model_embeds_the_picture():
    model = build_model(config()).eval()
    picture = torch.randint(0, 256, (2, 1, 3, *SIZE), dtype=torch.uint8)
    clip = picture.expand(-1, FRAMES, -1, -1, -1)
    cfg_of_host = config()
    cfg_of_host.MODEL.META_ARCHITECTURE = "Baseline"
    host = build_model(cfg_of_host).eval()
    host.load_state_dict({k.removeprefix("image_model."): v for k, v in model.state_dict().items()})
    torch.testing.assert_close(model({IMAGES: clip}), host({IMAGES: picture[:, 0].float()}), atol=1e-5, rtol=1e-5)
