import random
import resource

import pytest
import torch
from torch import nn

from tests.engine.same_end import assert_equal
from xreid_plugin.engine.run_checkpoints import RunCheckpointer, load_whole_checkpoint
from xreid_plugin.files import WriteError
from xreid_plugin.torch_files import WeightFileError


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(3, 2)


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
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"
    # A run that is lengthened saves more; the final one of before stays.
    saver = checkpointer(tmp_path, keep, seed=1)
    assert saver.resume_or_load("")["epoch"] == 3
    saver.save("model_0004", epoch=4)
    assert "model_final.pth" in files(tmp_path)
    assert ("model_0002.pth" in files(tmp_path)) == (keep == 0)


def test_files_of_an_earlier_run_are_neither_removed_nor_resumed(tmp_path):
    saved_run(tmp_path, ["model_0007", "model_final"])
    saved_run(tmp_path, ["model_0000", "model_0001"], keep=1)
    assert files(tmp_path) == ["model_0001.pth", "model_0007.pth", "model_final.pth"]
    (tmp_path / "model_0001.pth").write_bytes(b"")
    with pytest.raises(WeightFileError, match=r"None of the checkpoints .* can be read: model_0001\.pth"):
        checkpointer(tmp_path).resume_or_load("")


def test_a_run_that_saved_nothing_hides_the_one_before_it(tmp_path):
    saved_run(tmp_path, ["model_0000", "model_0001"])
    # Twice in a row, and the list of the run that saved something is still there.
    for _ in range(2):
        checkpointer(tmp_path, seed=1).put_list_aside()
        assert (tmp_path / "checkpoints.txt.previous").read_text() == "model_0000.pth\nmodel_0001.pth\n"
        again = checkpointer(tmp_path, seed=2)
        assert not again.has_checkpoint()
        before = again.model.backbone.weight.clone()
        assert again.resume_or_load("") == {}
        assert torch.equal(again.model.backbone.weight, before)
    assert files(tmp_path) == ["model_0000.pth", "model_0001.pth"]


def test_a_note_of_another_program_is_hidden_too(tmp_path):
    saved_run(tmp_path, ["model_0000"])
    (tmp_path / "checkpoints.txt").unlink()
    assert checkpointer(tmp_path).has_checkpoint()
    checkpointer(tmp_path).put_list_aside()
    assert not checkpointer(tmp_path).has_checkpoint()


def test_a_checkpoint_in_mid_epoch_goes_with_the_next(tmp_path):
    saver = saved_run(tmp_path, ["model_0000", "model_stopped"], keep=1)
    assert files(tmp_path) == ["model_0000.pth", "model_stopped.pth"]
    saver.save("model_0001", epoch=2)
    assert files(tmp_path) == ["model_0001.pth"]


def damaged(content, rng):
    if rng.random() < 0.2:
        return content[: rng.randrange(len(content))]
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def test_damage_is_found_or_does_no_harm(tmp_path):
    saved_run(tmp_path, ["model_0000", "model_0001"])
    newest = tmp_path / "model_0001.pth"
    content, expected = newest.read_bytes(), torch.load(newest, weights_only=True)
    rng = random.Random(0)
    messages = []
    for _ in range(400):
        newest.write_bytes(damaged(content, rng))
        try:
            loaded = load_whole_checkpoint(newest)
        except WeightFileError as error:
            messages.append(str(error))
        else:
            assert_equal(loaded, expected)
    assert len(messages) > 200
    for message in messages:
        assert str(newest) in message
        assert message.endswith(f"The checkpoint before it is {tmp_path / 'model_0000.pth'}.")


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
    with caplog.at_level("WARNING"):
        other = checkpointer(tmp_path, seed=1)
        assert other.resume_or_load("")["epoch"] == 1
    assert other.model.backbone.weight.eq(1).all()
    if harm != "gone":
        assert "model_0002.pth is damaged" in caplog.text or "model_0002.pth is not a readable file" in caplog.text
        assert f"Resuming from {tmp_path / 'model_0001.pth'}; damaged: {newest}." in caplog.text


@pytest.mark.parametrize("room", [0, 1000, 3000])
def test_a_full_disk_leaves_the_run_as_it_was(tmp_path, room):
    saver = saved_run(tmp_path, ["model_0000"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"model_0001\.pth could not be written: File too large \(.* needed\)"):
            saver.save("model_0001", epoch=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path) == ["model_0000.pth"]
    assert not list(tmp_path.glob("*.part"))
    assert checkpointer(tmp_path, seed=1).resume_or_load("")["epoch"] == 0
    saver.save("model_0001", epoch=1)
    assert checkpointer(tmp_path, seed=1).resume_or_load("")["epoch"] == 1
