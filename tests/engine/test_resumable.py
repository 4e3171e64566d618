import io
import multiprocessing
import os
import random
import signal

import pytest
import torch

from tests.data.small_set import small_config
from tests.engine.same_end import assert_same_end, metrics, run
from tests.ranks import run_on_two_ranks
from xreid_plugin.data import clips
from xreid_plugin.engine.metrics import MetricsFile
from xreid_plugin.engine.setup import checkpoint_to_evaluate
from xreid_plugin.engine.signals import RunStopped
from xreid_plugin.modeling.prototypes import PrototypeMemory

# As for ranks: a child that is forked from a server without threads, and has everything imported.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["xreid_plugin.engine.trainer"])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As the children have: another number of threads adds in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(small_set, tmp_path_factory):
    """The folder of a run that was never interrupted."""
    output = tmp_path_factory.mktemp("whole")
    run(small_set, output)
    return output


def signal_at(step, number=signal.SIGTERM):
    """Has a trainer signal itself in the middle of a step, counted over the run."""

    def prepare(trainer):
        forward = trainer.model.forward

        def signalling(batch):
            if trainer.model.training and trainer.iter == step:
                os.kill(os.getpid(), number)
            return forward(batch)

        trainer.model.forward = signalling

    return prepare


def stopped(small_set, output, prepare, resume=False):
    with pytest.raises(RunStopped) as stop:
        run(small_set, output, resume=resume, prepare=prepare)
    return stop.value


@pytest.mark.parametrize("step", [0, 4, 5, 7, 11], ids=lambda step: f"step{step}")
def test_a_stopped_run_goes_on_in_mid_epoch(small_set, whole, tmp_path, step):
    assert stopped(small_set, tmp_path, signal_at(step)).exit_code == 143
    saved = torch.load(tmp_path / (tmp_path / "last_checkpoint").read_text(), weights_only=True)
    assert (saved["epoch"] + 1) * 4 + saved["step_in_epoch"] == step + 1
    resumed = run(small_set, tmp_path, resume=True)
    assert resumed.start_iter == step + 1
    assert_same_end(whole, tmp_path)
    assert not (tmp_path / "model_stopped.pth").exists()


def test_a_run_may_be_stopped_again_and_again(small_set, whole, tmp_path):
    for resume, step in ((False, 1), (True, 2), (True, 6), (True, 9)):
        stop = stopped(small_set, tmp_path, signal_at(step, signal.SIGINT), resume)
        assert stop.exit_code == 130
    run(small_set, tmp_path, resume=True)
    assert_same_end(whole, tmp_path)


def replace_call(owner, name, count, instead):
    """Has ``instead(original, *arguments)`` called in place of the ``count``-th call; gives back what undoes it."""
    original, calls = getattr(owner, name), []

    def counting(*arguments, **keywords):
        calls.append(None)
        if len(calls) == count:
            return instead(original, *arguments, **keywords)
        return original(*arguments, **keywords)

    setattr(owner, name, counting)
    return lambda: setattr(owner, name, original)


# Batches of the evaluation before training, of the first refreshes, and of the first evaluation after an epoch.
@pytest.mark.parametrize("count", [2, 4, 7, 10, 14], ids=lambda count: f"read{count}")
def test_what_can_be_done_again_is_left_at_once(small_set, whole, tmp_path, count):
    def signal_first(original, *arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    undo = replace_call(clips.TestClips, "__getitems__", count, signal_first)
    try:
        stopped(small_set, tmp_path, lambda trainer: None)
    finally:
        undo()
    run(small_set, tmp_path, resume=True)
    assert_same_end(whole, tmp_path)


def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def half_a_checkpoint(save, data, file):
    whole = io.BytesIO()
    save(data, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    kill()


def half_a_line(write, self):
    self._file_handle.write('{"iteration": 5, "lr": 0.0')
    self._file_handle.flush()
    kill()


def half_a_memory(refresh, self, features, targets, modalities):
    self.infrared.zero_()
    kill()


# In each: what is called, for which time, and what happens then.
MOMENTS = {
    "first checkpoint": (torch, "save", 1, half_a_checkpoint),
    "second checkpoint": (torch, "save", 2, half_a_checkpoint),
    "last checkpoint": (torch, "save", 3, half_a_checkpoint),
    **{f"sync {count}": (os, "fsync", count, kill) for count in range(10, 14)},
    "line": (MetricsFile, "write", 4, half_a_line),
    "refresh": (PrototypeMemory, "refresh", 2, half_a_memory),
    "evaluation": (clips.TestClips, "__getitems__", 10, kill),
    "last evaluation": (clips.TestClips, "__getitems__", 15, kill),
}


def killed_run(moment, root, output):
    torch.set_num_threads(1)
    replace_call(*MOMENTS[moment])
    run(root, output)


def in_a_child(work, *arguments):
    child = _context.Process(target=work, args=arguments, daemon=True)
    child.start()
    return child


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_ends_as_one_never_interrupted(small_set, whole, tmp_path, moment):
    child = in_a_child(killed_run, moment, small_set, tmp_path)
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    if "checkpoint" in moment:
        assert list(tmp_path.glob("*.part"))
    for file in tmp_path.glob("*.pth"):
        torch.load(file, weights_only=True)
    run(small_set, tmp_path, resume=True)
    assert_same_end(whole, tmp_path)
    assert not list(tmp_path.glob("*.part"))


def resumed_run(root, output):
    torch.set_num_threads(1)
    run(root, output, resume=True)


def test_kills_at_any_time(small_set, whole, tmp_path):
    rng = random.Random(0)
    ended = []
    while 0 not in ended:
        child = in_a_child(resumed_run, small_set, tmp_path)
        child.join(timeout=60 if len(ended) == 5 else rng.uniform(0.2, 2.0))
        child.kill()
        child.join()
        ended.append(child.exitcode)
    assert set(ended) <= {0, -signal.SIGKILL}
    assert_same_end(whole, tmp_path)


def test_the_record_of_an_earlier_run_is_put_aside(small_set, whole, tmp_path):
    (tmp_path / "metrics.json").write_text('{"iteration": 7, "lr": 0.5}\n')
    run(small_set, tmp_path)
    assert metrics(tmp_path) == metrics(whole)
    assert (tmp_path / "metrics.json.previous").read_text() == '{"iteration": 7, "lr": 0.5}\n'


def test_what_dies_before_its_first_checkpoint_is_not_mistaken_for_the_run_before(small_set, whole, tmp_path, caplog):
    stopped(small_set, tmp_path, signal_at(5))

    class Killed(BaseException):
        pass

    def die(trainer):
        def at_once(*_):
            raise Killed

        trainer._trainer.run_step = at_once

    with pytest.raises(Killed):
        run(small_set, tmp_path, prepare=die)
    cfg = small_config(small_set, tmp_path)
    assert checkpoint_to_evaluate(cfg) == tmp_path / "model_stopped.pth"
    with caplog.at_level("INFO"):
        resumed = run(small_set, tmp_path, resume=True)
    assert resumed.start_iter == 0
    assert "this one starts from scratch. The checkpoints of the run before it are named in" in caplog.text
    assert_same_end(whole, tmp_path)


def stopped_on_rank(rank, folder):
    number = int((folder / "step").read_text())

    def prepare(trainer):
        # As the backbone of an image model, which sees a rank's own clips alone.
        trainer.bare_model.own = torch.nn.BatchNorm1d(1, affine=False)
        trainer.bare_model.own.running_mean.fill_(rank)
        # Only the second rank is asked to end.
        if rank == 1:
            signal_at(number)(trainer)

    try:
        run(*(folder / name for name in ("set", "run")), prepare=prepare)
    except RunStopped as stop:
        return str(stop)


@pytest.mark.parametrize("step", [1, 3])
def test_ranks_stop_together_where_one_is_asked_to(small_set, tmp_path, step):
    (tmp_path / "set").symlink_to(small_set)
    (tmp_path / "run").mkdir()
    (tmp_path / "step").write_text(str(step))
    one, two = run_on_two_ranks(stopped_on_rank, tmp_path)
    assert one == two
    assert one.startswith("Stopped after iteration")
    saved = torch.load(tmp_path / "run" / (tmp_path / "run" / "last_checkpoint").read_text(), weights_only=True)
    assert len(saved["random"]) == 2
    assert saved["model"]["own.running_mean"].tolist() == [0.5]
    assert (saved["epoch"] + 1) * 4 + saved["step_in_epoch"] in (step + 1, step + 2)
