"""Two ranks train as one process does, with the same global batch."""

import json

import pytest
import torch
from fastreid.utils.events import EventStorage
from torch.testing import assert_close

from tests.modeling.tiny_model import make_batch, make_cfg, make_model
from tests.ranks import run_on_two_ranks
from xreid_plugin.config import get_cfg
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.host import build_model, compress_gradients, distributed

pytestmark = pytest.mark.slow

# Of two ranks, one after the other.
BATCHES = [make_batch(seed=seed) for seed in range(2)]


def make_baseline():
    """An image model whose backbone has no batch statistics of its own."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "FrameBaseline"
    cfg.MODEL.BACKBONE.NAME = "build_osnet_backbone"
    cfg.MODEL.BACKBONE.DEPTH = "x0_25"
    cfg.MODEL.BACKBONE.NORM = "FrozenBN"
    cfg.MODEL.BACKBONE.FEAT_DIM = 128
    cfg.MODEL.HEADS.NUM_CLASSES = 5
    cfg.MODEL.HEADS.WITH_BNNECK = True
    cfg.MODEL.LOSSES.NAME = ("CrossEntropyLoss", "TripletLoss")
    cfg.INPUT.CLIP.FRAMES = 2
    torch.manual_seed(0)
    return build_model(cfg)


def given_model(given):
    model = make_baseline() if given["baseline"] else make_model(**given["keys"])
    return model.double()


def shard(batch, rank):
    """A rank's part, as the sampler gives it: its identities' infrared clips, and their visible ones."""
    return {key: torch.cat([block.chunk(2)[rank] for block in values.chunk(2)]) for key, values in batch.items()}


def trained(model, bare, batches, cfg):
    """Losses and gradients of every step, and the state at the end."""
    optimizer = build_optimizer(cfg, bare)
    memory = getattr(bare, "prototypes", None)
    seen = {"losses": [], "gradients": []}
    for batch in batches:
        # The host's losses log their accuracy.
        with EventStorage():
            losses = model.train()(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        if memory is not None:
            memory.update()
        seen["losses"].append({name: value.detach() for name, value in losses.items()})
        gradients = {name: parameter.grad for name, parameter in bare.named_parameters()}
        # The next step writes to the same memory.
        seen["gradients"].append({k: None if v is None else v.clone() for k, v in gradients.items()})
    return {**seen, "state": bare.state_dict()}


def train_on_rank(rank, folder):
    given = json.loads((folder / "given.json").read_text())
    # The other rank's weights are those of the first, whatever it has made.
    bare = given_model(given)
    with torch.no_grad():
        next(bare.parameters()).mul_(1 + rank)
    model = distributed(bare, device_ids=[rank], broadcast_buffers=False)
    if given["compressed"]:
        compress_gradients(model)
    return trained(model, bare, [shard(batch, rank) for batch in BATCHES], sgd())


def sgd():
    """Steps that are as long as the gradients, which Adam's would not be."""
    return make_cfg(**{"SOLVER.OPT": "SGD", "SOLVER.BASE_LR": 1e-3, "SOLVER.WEIGHT_DECAY": 1e-2})


def alone_and_on_ranks(folder, baseline=False, compressed=False, **keys):
    given = {"baseline": baseline, "compressed": compressed, "keys": keys}
    (folder / "given.json").write_text(json.dumps(given))
    model = given_model(given)
    return trained(model, model, BATCHES, sgd()), run_on_two_ranks(train_on_rank, folder)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"MODEL.MII.DETACH": False},
        # Classifiers, necks and CII that no loss uses.
        {"MODEL.LOSSES.NAME": ["CPCL"]},
        {"baseline": True},
    ],
    ids=lambda given: " ".join(str(value) for value in given.values()),
)
def test_two_ranks_train_as_one_process(given, tmp_path):
    alone, ranks = alone_and_on_ranks(tmp_path, **given)
    bounds = {"atol": 1e-10, "rtol": 1e-10}
    for held in ranks:
        for part in ("losses", "gradients"):
            for expected, actual in zip(alone[part], held[part], strict=True):
                unused = {name for name, value in expected.items() if value is None}
                assert unused == {name for name, value in actual.items() if value is None}
                assert_close(*({k: v for k, v in x.items() if k not in unused} for x in (actual, expected)), **bounds)
        assert_close(held["state"], alone["state"], **bounds)
    for name, value in ranks[0]["state"].items():
        assert torch.equal(value, ranks[1]["state"][name]), name


def test_compressed_gradients_are_those_of_one_process_to_the_digits_of_bfloat16(tmp_path):
    alone, ranks = alone_and_on_ranks(tmp_path, compressed=True)
    used = [name for name, value in alone["gradients"][0].items() if value is not None]
    expected, actual = (
        torch.cat([held["gradients"][0][name].flatten() for name in used]) for held in (alone, ranks[0])
    )
    # Every summand is rounded to eight bits, and some cancel each other.
    assert 0 < (actual - expected).norm() < 2**-6 * expected.norm()
