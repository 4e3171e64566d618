import pytest
import torch
from torch import nn

from xreid_plugin.engine.checkpoint import load_for_evaluation, read_checkpoint


class Model(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Linear(width, 2)
        self.mii = nn.ModuleDict({"cii": nn.Linear(2, 2)})
        self.heads = nn.ModuleDict({"classifier": nn.Linear(2, 5)})


def saved(path, state):
    torch.save({"model": state, "epoch": 4}, path)
    return read_checkpoint(path)


def test_what_training_alone_uses_may_be_absent(tmp_path):
    trained = Model()
    kept = {key: value for key, value in trained.state_dict().items() if key.startswith("backbone")}
    model = Model()
    assert load_for_evaluation(model, saved(tmp_path / "model.pth", kept))["epoch"] == 4
    assert torch.equal(model.backbone.weight, trained.backbone.weight)


def test_a_missing_weight_is_refused(tmp_path):
    state = Model().state_dict()
    del state["backbone.bias"]
    with pytest.raises(ValueError, match=r"backbone\.bias is not in it"):
        load_for_evaluation(Model(), saved(tmp_path / "model.pth", state))


def test_a_weight_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"backbone\.weight is \(2, 4\) in the checkpoint and \(2, 3\)"):
        load_for_evaluation(Model(), saved(tmp_path / "model.pth", Model(4).state_dict()))
