"""projects/CLIPReID: its losses, what each stage trains, and a run of both."""

import json
import sys

import open_clip
import pytest
import torch
from torch.testing import assert_close

from tests.data.small_set import SMALL
from tests.docs.markdown import CHECKOUT
from tests.e2e.runs import run_to_its_end
from tests.modeling.tiny_model import N, make_batch, make_cfg
from xreid_plugin.config import DEFAULTS
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.extensions import import_extensions
from xreid_plugin.host import build_model
from xreid_plugin.modeling.clip_config import read_model_config

MODULE = str(CHECKOUT / "projects/CLIPReID/clip_reid.py")

LOSSES = {1: ["ImageTextContrast"], 2: ["ImageToText", "TripletLoss", "CrossEntropyLoss"]}


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Its keys are taken back afterwards: the other tests of this process know nothing of it."""
    global clip_reid
    import_extensions([MODULE])
    clip_reid = sys.modules["clip_reid"]
    yield
    del DEFAULTS.MODEL["CLIP_REID"]


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """A configuration of CLIP whose towers are both tiny."""
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    file = tmp_path_factory.mktemp("tower") / "tiny.json"
    file.write_text(json.dumps(read_model_config("xreid-tiny") | {"text_cfg": text}))
    return str(file)


def make(tower, stage, **keys):
    torch.manual_seed(0)
    cfg = make_cfg(off=("CPC", "SII", "LII", "CII"), **{"MODEL.BACKBONE.CLIP_MODEL": tower, **keys})
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.CLIP_REID.STAGE, cfg.MODEL.LOSSES.NAME = "CLIPReID", stage, LOSSES[stage]
    return cfg, build_model(cfg).train()


def test_contrast_is_the_sum_of_its_definition():
    torch.manual_seed(1)
    images, texts, targets = torch.randn(6, 4), torch.randn(6, 4), [0, 1, 0, 2, 2, 2]
    expected = 0.0
    for own in range(6):
        scores = [torch.dot(images[own], text).exp() for text in texts]
        positives = [n for n in range(6) if targets[n] == targets[own]]
        expected -= sum((scores[n] / sum(scores)).log() for n in positives) / len(positives) / 6
    assert_close(clip_reid.contrast(images, texts, torch.tensor(targets)), expected)


def test_a_sentence_has_the_feature_that_open_clip_gives_it(tower, tmp_path):
    """With the pretrained tower of a file, and the vectors of a word in place of learned ones."""
    torch.manual_seed(2)
    config = read_model_config(tower)
    clip = open_clip.CLIP(
        config["embed_dim"], config["vision_cfg"] | {"image_size": 32}, config["text_cfg"], quick_gelu=True
    ).eval()
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    pretrained = {"MODEL.BACKBONE.PRETRAIN": True, "MODEL.BACKBONE.PRETRAIN_PATH": str(tmp_path / "clip.pt")}
    _, model = make(tower, 2, **pretrained)
    tokens = open_clip.SimpleTokenizer()(["A photo of a tall man in black person."], context_length=16)
    with torch.no_grad():
        model.text.vectors.copy_(clip.token_embedding(tokens[:, 5:9]))
        assert_close(model.text(torch.tensor([1, 4])), clip.encode_text(tokens).expand(2, -1))
    torch.save(clip.visual.state_dict(), tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"clip\.pt"):
        make(tower, 2, **pretrained)


def step(cfg, model):
    """Names of the parameters with a gradient, and of those that a step has changed."""
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(cfg, model)
    losses = model(make_batch())
    sum(losses.values()).backward()
    optimizer.step()
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    return {name for name, value in model.named_parameters() if value.grad is not None}, changed, losses


def test_stage_1_trains_the_prompts_alone(tower):
    cfg, model = make(tower, 1)
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    with_gradient, changed, losses = step(cfg, model)
    assert with_gradient == changed == {"text.vectors"}
    assert losses.keys() == {"loss_i2t", "loss_t2i"}
    # Identities of the batch alone.
    assert model.text.vectors.grad.flatten(1).any(1).tolist() == [n in (0, 1) for n in range(N)]
    assert_close(dict(model.named_buffers()), statistics)


def test_stage_2_trains_the_image_tower_and_the_heads_alone_with_texts_computed_once(tower):
    cfg, model = make(tower, 2)
    calls = []
    model.text.register_forward_hook(lambda *_: calls.append(1))
    with_gradient, changed, losses = step(cfg, model)
    trained = {name for name, _ in model.named_parameters() if name.startswith(("backbone.", "heads."))}
    frozen = {"backbone.visual.conv1.weight", *(name for name in trained if name.endswith("neck.bias"))}
    assert with_gradient == trained - frozen >= changed
    assert {"loss_i2tce", "loss_triplet", "loss_ce_clip"} <= losses.keys()
    first = model(make_batch())["loss_i2tce"]
    assert len(calls) == 1
    model.load_state_dict({**model.state_dict(), "text.vectors": torch.randn_like(model.text.vectors)})
    assert model(make_batch())["loss_i2tce"] != first
    assert len(calls) == 2
    assert model.eval()(make_batch()).shape == (8, model.heads.feature_dim)


@pytest.mark.slow
def test_both_stages_run(tower, small_set, tmp_path):
    keys = [*SMALL, "DATASETS.ROOT", str(small_set), "MODEL.BACKBONE.CLIP_MODEL", tower]
    keys += ["MODEL.BACKBONE.PRETRAIN", "False", "MODEL.DEVICE", "cpu", "SOLVER.BASE_LR", "0.001"]
    keys += ["SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_AT_START", "False"]
    weights = []
    for stage in (1, 2):
        given = ["--import", MODULE, "--config-file", f"projects/CLIPReID/configs/stage{stage}.yml"]
        start = ["MODEL.WEIGHTS", str(tmp_path / "1/model_final.pth")] if stage == 2 else ["TEST.EVAL_PERIOD", "0"]
        run_to_its_end(tmp_path, *given, *keys, *start, "OUTPUT_DIR", str(tmp_path / str(stage)))
        weights.append(torch.load(tmp_path / f"{stage}/model_final.pth", weights_only=True)["model"])
    # Both come from stage 1, where the prompts have moved and the text tower has not.
    assert_close(*({k: v for k, v in part.items() if k.startswith("text.")} for part in weights), rtol=0, atol=0)
    assert not torch.equal(*(part["backbone.visual.proj"] for part in weights))
    metrics = json.loads((tmp_path / "2/results_epoch_1.json").read_text())["metrics"]
    assert 0 < metrics["I2V/mAP"] <= 100
