import pytest
import torch
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.engine import DefaultTrainer
from torch import nn

from tests.data.small_set import small_config
from xreid_plugin.data.build import build_dataset
from xreid_plugin.data.datasets.base import DRAWN
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM
from xreid_plugin.data.tracklet import CAMIDS, IMAGES
from xreid_plugin.engine.checkpoints import read_checkpoint
from xreid_plugin.engine.evaluation import NO_CAMERA, show_test_sets
from xreid_plugin.engine.setup import adopt_checkpoint_facts, complete_config
from xreid_plugin.engine.trainer import XReIDTrainer
from xreid_plugin.evaluation.results import read_results


class OtherSet(HITSZVCM):
    """Another place, whose cameras happen to have the same numbers."""


@pytest.fixture(autouse=True)
def other_set(monkeypatch):
    monkeypatch.setitem(DATASET_REGISTRY._obj_map, "OtherSet", OtherSet)


def config(small_set, folder, *overrides):
    cfg = small_config(small_set, folder, "MODEL.DEVICE", "cpu", *overrides)
    complete_config(cfg)
    return cfg


class CameraRecorder(nn.Module):
    """Embeds clips by their first pixels, and keeps the cameras that it was told."""

    def __init__(self):
        super().__init__()
        self.cameras = []

    def forward(self, batch):
        self.cameras.append(set(batch[CAMIDS].tolist()))
        return batch[IMAGES][:, 0, 0, 0, :8].float() + 1


def test_a_copy_that_is_not_the_full_dataset_is_told_and_its_results_say_so(small_set, tmp_path, caplog):
    (drawn,), home = small_set.rglob(DRAWN), tmp_path / "HITSZ-VCM"
    home.mkdir()
    for entry in drawn.parent.iterdir():
        if entry != drawn:
            (home / entry.name).symlink_to(entry)
    cfg = config(tmp_path, tmp_path / "run")
    show_test_sets(cfg)
    assert "not the full dataset" in caplog.text
    XReIDTrainer.test(cfg, CameraRecorder())
    (file,) = (tmp_path / "run").glob("results_*.json")
    assert any("identities of test" in line for line in read_results(file).protocol["differs_from_full_dataset"])


ON_OTHER = ["DATASETS.TESTS", "('HITSZVCM', 'OtherSet')", "TEST.IMS_PER_BATCH", "512"]
NONE = ["MODEL.BACKBONE.UNSEEN_CAMERA", "none"]
REFUSAL = r"OtherSet has cameras .* of HITSZVCM.*MODEL\.BACKBONE\.UNSEEN_CAMERA none"


@pytest.mark.parametrize("refuse", [show_test_sets, lambda cfg: XReIDTrainer.test(cfg, CameraRecorder())])
def test_cameras_of_another_dataset_are_refused_whatever_their_numbers(small_set, tmp_path, refuse):
    cfg = config(small_set, tmp_path, *ON_OTHER, "DATASETS.TESTS", "('OtherSet',)")
    with pytest.raises(ValueError, match=REFUSAL):
        refuse(cfg)


def test_each_test_set_is_embedded_by_its_own_cameras_or_without(small_set, tmp_path):
    cfg = config(small_set, tmp_path, *ON_OTHER, *NONE)
    show_test_sets(cfg)
    recorder = CameraRecorder()
    metrics = XReIDTrainer.test(cfg, recorder)
    own = {tracklet.camid for tracklet in build_dataset(cfg, "HITSZVCM").test}
    assert recorder.cameras == [own, {NO_CAMERA}]
    # Cameras are left out of the embedding, and not of the protocol of ranking.
    of_sets = [{k.split("/", 1)[1]: v for k, v in metrics.items() if k.startswith(s)} for s in ("HITSZ", "Other")]
    assert of_sets[0] == of_sets[1] != {}


@pytest.fixture
def trained(small_set, tmp_path):
    """A checkpoint as a run on HITSZ-VCM leaves it."""
    cfg = config(small_set, tmp_path)
    model = XReIDTrainer.build_model(cfg)
    torch.save({"model": model.state_dict(), "config": cfg.dump()}, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_a_checkpoint_tells_what_it_was_trained_on(small_set, tmp_path, trained):
    names = ["DATASETS.NAMES", "('OtherSet',)", "DATASETS.TESTS", "('OtherSet',)"]
    cfg = small_config(small_set, tmp_path, *names, "MODEL.WEIGHTS", str(trained), "MODEL.DEVICE", "cpu")
    with pytest.raises(ValueError, match=REFUSAL):
        DefaultTrainer.test(cfg, CameraRecorder())
    adopt_checkpoint_facts(cfg, read_checkpoint(trained))
    with pytest.raises(ValueError, match=REFUSAL):
        show_test_sets(cfg)


def test_cameras_of_bare_weights_are_those_they_hold(small_set, tmp_path, trained):
    weights = torch.load(trained, weights_only=True)["model"]
    weights["backbone.camera_numbers"] += 50
    torch.save({"model": weights}, trained)
    cfg = small_config(small_set, tmp_path)
    adopt_checkpoint_facts(cfg, read_checkpoint(trained))
    assert cfg.MODEL.BACKBONE.CAMERAS == weights["backbone.camera_numbers"].tolist() != []
    with pytest.raises(ValueError, match=r"trained on cameras \[5\d"):
        show_test_sets(cfg)
