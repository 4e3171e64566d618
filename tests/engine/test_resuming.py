"""Runs that are stopped or killed anywhere and resumed: they end as one that never was, bit for bit."""

import multiprocessing
import os
import random
import signal

import pytest
import torch

from tests.engine.same_end import assert_same_end, metrics, run
from tests.ranks import run_on_two_ranks
from xreid_plugin.engine.signals import RunStopped

# The children have one thread: another number of threads adds in another order.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

# As for ranks: a child that is forked from a server without threads, and has everything imported.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["xreid_plugin.engine.trainer"])


@pytest.fixture(scope="module")
def whole(one_thread, small_set, tmp_path_factory):
    """The folder of a run that was never interrupted."""
    output = tmp_path_factory.mktemp("whole")
    run(small_set, output)
    return output


def signal_at_step(step, number=signal.SIGTERM):
    """Has a trainer signal itself in the middle of a step, counted over the run."""

    def prepare(trainer):
        def send(module, arguments):
            if module.training and trainer.iter == step:
                os.kill(os.getpid(), number)

        trainer.bare_model.register_forward_pre_hook(send)

    return prepare


def signal_at_batch(count, number=signal.SIGTERM):
    """Has a trainer signal itself in a batch, counted over those of training, refreshes and evaluations."""

    def prepare(trainer):
        seen = []

        def send(module, arguments):
            seen.append(None)
            if len(seen) == count:
                os.kill(os.getpid(), number)

        trainer.bare_model.backbone.register_forward_pre_hook(send)

    return prepare


def stopped(small_set, output, prepare, resume=False):
    with pytest.raises(RunStopped) as stop:
        run(small_set, output, resume=resume, prepare=prepare)
    return stop.value


# The last steps of an epoch and of the run.
@pytest.mark.parametrize("step", [7, 11], ids=lambda step: f"step{step}")
def test_a_stopped_run_goes_on_in_mid_epoch(small_set, whole, tmp_path, step):
    assert stopped(small_set, tmp_path, signal_at_step(step)).exit_code == 143
    saved = torch.load(tmp_path / (tmp_path / "last_checkpoint").read_text(), weights_only=True)
    assert (saved["epoch"] + 1) * 4 + saved["step_in_epoch"] == step + 1
    resumed = run(small_set, tmp_path, resume=True)
    assert resumed.start_iter == step + 1
    labels = list(resumed.evaluations)
    assert (labels[0], labels[-1]) == ("before training", "epoch 3")
    assert_same_end(whole, tmp_path)
    assert not (tmp_path / "model_stopped.pth").exists()


def test_a_run_may_be_stopped_again_and_again(small_set, whole, tmp_path):
    for resume, step in ((False, 1), (True, 2), (True, 9)):
        stop = stopped(small_set, tmp_path, signal_at_step(step, signal.SIGINT), resume)
        assert stop.exit_code == 130
    run(small_set, tmp_path, resume=True)
    assert_same_end(whole, tmp_path)


# Batches of a refresh, and of an evaluation after an epoch.
@pytest.mark.parametrize("count", [4, 16], ids=lambda count: f"batch{count}")
def test_what_can_be_done_again_is_left_at_once(small_set, whole, tmp_path, count):
    stopped(small_set, tmp_path, signal_at_batch(count))
    run(small_set, tmp_path, resume=True)
    assert_same_end(whole, tmp_path)


def run_in_a_child(root, output, count):
    torch.set_num_threads(1)
    run(root, output, resume=True, prepare=signal_at_batch(count, signal.SIGKILL))


def ended(small_set, output, count=0, seconds=60.0):
    child = _context.Process(target=run_in_a_child, args=(small_set, output, count), daemon=True)
    child.start()
    child.join(timeout=seconds)
    child.kill()
    child.join()
    return child.exitcode


def test_kills_in_a_batch_and_at_any_time(small_set, whole, tmp_path):
    assert ended(small_set, tmp_path, count=20) == -signal.SIGKILL
    for file in tmp_path.glob("*.pth"):
        torch.load(file, weights_only=True)
    rng = random.Random(0)
    codes = [ended(small_set, tmp_path, seconds=rng.uniform(0.2, 2.0)) for _ in range(4)]
    assert set(codes) <= {0, -signal.SIGKILL}
    run(small_set, tmp_path, resume=True)
    assert_same_end(whole, tmp_path)
    assert not list(tmp_path.glob("*.part"))


def test_what_dies_before_its_first_checkpoint_is_not_mistaken_for_the_run_before(small_set, whole, tmp_path):
    stopped(small_set, tmp_path, signal_at_step(5))

    def die(trainer):
        def at_once(module, arguments):
            if module.training:
                raise KeyboardInterrupt

        trainer.bare_model.register_forward_pre_hook(at_once)

    with pytest.raises(KeyboardInterrupt):
        run(small_set, tmp_path, prepare=die)
    assert (tmp_path / "metrics.json.previous").is_file()
    resumed = run(small_set, tmp_path, resume=True)
    assert resumed.start_iter == 0
    assert metrics(tmp_path) == metrics(whole)
    assert_same_end(whole, tmp_path)


def stopped_on_rank(rank, folder):
    def prepare(trainer):
        # As the backbone of an image model, which sees a rank's own clips alone.
        trainer.bare_model.own = torch.nn.BatchNorm1d(1, affine=False)
        trainer.bare_model.own.running_mean.fill_(rank)
        # Only the second rank is asked to end.
        if rank == 1:
            signal_at_step(1)(trainer)

    try:
        run(*(folder / name for name in ("set", "run")), prepare=prepare)
    except RunStopped as stop:
        return str(stop)


def test_ranks_stop_together_where_one_is_asked_to(small_set, tmp_path):
    (tmp_path / "set").symlink_to(small_set)
    (tmp_path / "run").mkdir()
    one, two = run_on_two_ranks(stopped_on_rank, tmp_path)
    assert one == two
    assert one.startswith("Stopped after iteration")
    saved = torch.load(tmp_path / "run" / (tmp_path / "run" / "last_checkpoint").read_text(), weights_only=True)
    assert len(saved["random"]) == 2
    assert saved["model"]["own.running_mean"].tolist() == [0.5]
    assert (saved["epoch"] + 1) * 4 + saved["step_in_epoch"] in (2, 3)
