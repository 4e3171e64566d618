import random

import pytest
import torch
from torch import nn

from tests.engine.same_end import assert_equal
from xreid_plugin.engine.checkpoints import RunCheckpointer, load_for_evaluation, load_whole_checkpoint, read_checkpoint
from xreid_plugin.torch_files import WeightFileError


class Model(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Linear(width, 2)
        self.mii = nn.ModuleDict({"cii": nn.Linear(2, 2)})


def checkpointer(folder, keep=0, seed=0):
    torch.manual_seed(seed)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model.backbone(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return RunCheckpointer(model, str(folder), keep=keep, save_to_disk=True, optimizer=optimizer)


def saved_run(folder, names, keep=0):
    saver = checkpointer(folder, keep)
    for number, name in enumerate(names):
        with torch.no_grad():
            saver.model.backbone.weight.fill_(number)
        saver.save(name, epoch=number)
    return saver


def files(folder):
    return sorted(path.name for path in folder.glob("*.pth"))


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(0, ["model_0000", "model_0001", "model_0002", "model_final"]), (1, ["model_0002", "model_final"])],
)
def test_the_newest_are_kept_and_the_final_one_always(tmp_path, keep, kept):
    saved_run(tmp_path, ["model_0000", "model_0001", "model_0002", "model_final"], keep)
    assert files(tmp_path) == [f"{name}.pth" for name in kept]
    # A run that is lengthened saves more; the final one of before stays.
    saver = checkpointer(tmp_path, keep, seed=1)
    assert saver.resume_or_load("")["epoch"] == 3
    saver.save("model_0004", epoch=4)
    assert "model_final.pth" in files(tmp_path)
    assert ("model_0002.pth" in files(tmp_path)) == (keep == 0)


def test_files_of_an_earlier_run_are_neither_removed_nor_resumed(tmp_path):
    saved_run(tmp_path, ["model_0007", "model_final"])
    saver = checkpointer(tmp_path, keep=1)
    saver.forget_earlier_run()
    assert saver.resume_or_load("") == {}
    for name in ("model_0000", "model_0001"):
        saver.save(name)
    assert files(tmp_path) == ["model_0001.pth", "model_0007.pth", "model_final.pth"]
    (tmp_path / "model_0001.pth").write_bytes(b"")
    with pytest.raises(WeightFileError, match=str(tmp_path)):
        checkpointer(tmp_path).resume_or_load("")


def damaged(content, rng):
    if rng.random() < 0.2:
        return content[: rng.randrange(len(content))]
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def test_damage_is_found_or_does_no_harm(tmp_path):
    saved_run(tmp_path, ["model_0000"])
    path = tmp_path / "model_0000.pth"
    content, expected = path.read_bytes(), torch.load(path, weights_only=True)
    rng, refused = random.Random(0), 0
    for _ in range(200):
        path.write_bytes(damaged(content, rng))
        try:
            assert_equal(load_whole_checkpoint(path), expected)
        except WeightFileError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("harm", ["cut", "flip", "gone"])
def test_a_run_goes_on_from_the_newest_whole_one_and_says_so(tmp_path, caplog, harm):
    saved_run(tmp_path, ["model_0000", "model_0001", "model_0002"])
    newest = tmp_path / "model_0002.pth"
    content = bytearray(newest.read_bytes())
    if harm == "cut":
        newest.write_bytes(content[: len(content) // 2])
    elif harm == "flip":
        content[content.index(torch.full((2, 3), 2.0).numpy().tobytes())] ^= 1
        newest.write_bytes(content)
        # Torch itself does not notice.
        assert torch.load(newest, weights_only=True)["epoch"] == 2
    else:
        newest.unlink()
    with caplog.at_level("INFO"):
        other = checkpointer(tmp_path, seed=1)
        assert other.resume_or_load("")["epoch"] == 1
    assert other.model.backbone.weight.eq(1).all()
    assert f"Resuming from {tmp_path / 'model_0001.pth'}" in caplog.text
    assert (f"{newest} is" in caplog.text) == (harm != "gone")


def stored(path, state):
    torch.save({"model": state, "epoch": 4}, path)
    return read_checkpoint(path)


def test_what_training_alone_uses_may_be_absent_and_nothing_else(tmp_path):
    trained, model = Model(), Model()
    state = {key: value for key, value in trained.state_dict().items() if key.startswith("backbone")}
    load_for_evaluation(model, stored(tmp_path / "model.pth", state))
    assert torch.equal(model.backbone.weight, trained.backbone.weight)
    del state["backbone.bias"]
    with pytest.raises(ValueError, match=r"backbone\.bias"):
        load_for_evaluation(Model(), stored(tmp_path / "model.pth", state))
    with pytest.raises(ValueError, match=r"backbone\.weight is \(2, 4\).*\(2, 3\)"):
        load_for_evaluation(Model(), stored(tmp_path / "model.pth", Model(4).state_dict()))
