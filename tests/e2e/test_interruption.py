"""Real runs, killed, stopped and starved: what is on the disk stays whole, and a resumed run ends as it would have."""

import os
import re
import resource
import signal
from pathlib import Path

import pytest
import torch

from tests.data.small_set import SMALL
from tests.e2e.runs import FRESH, TORCHRUN, Run, run_to_its_end, two_ranks
from tests.engine.same_end import assert_same_end

pytestmark = pytest.mark.slow

# Whoever sends a signal at the first line, of iteration 3, has three steps for it to come in mid-epoch.
EPOCHS = ["SOLVER.ITERS_PER_EPOCH", "7", "SOLVER.MAX_EPOCH", "2", "SOLVER.LOG_PERIOD", "3", "SOLVER.WARMUP_ITERS", "4"]
FIRST_LINE = "epoch 1 iter 3/14"


def arguments(root, output, *more):
    return [*SMALL, *EPOCHS, "MODEL.DEVICE", "cpu", "DATASETS.ROOT", str(root), "OUTPUT_DIR", str(output), *more]


@pytest.fixture(scope="module")
def whole(small_set, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "run"
    run_to_its_end(output.parent, *arguments(small_set, output))
    return output


@pytest.fixture
def output(tmp_path):
    return tmp_path / "run"


def test_killed_while_a_checkpoint_is_written(small_set, whole, output, tmp_path):
    with Run(tmp_path, *arguments(small_set, output)) as run:
        run.wait_for(lambda: list(output.glob("model_final.pth.part")), while_it_runs=True, every=0.001)
        os.kill(run.pid, signal.SIGKILL)
    said = run_to_its_end(tmp_path, "--resume", *arguments(small_set, output))
    assert "Starting training from iteration 8 of 14" in said
    assert not list(output.glob("*.part"))
    assert_same_end(whole, output)


def test_a_terminated_group_of_processes_saves_and_goes_on(small_set, whole, output, tmp_path):
    line = arguments(small_set, output, "DATALOADER.NUM_WORKERS", "2")
    with Run(tmp_path, *line, fresh=FRESH) as run:
        run.wait_for_words(FIRST_LINE)
        os.killpg(run.pid, signal.SIGTERM)
        assert run.wait() == 143, run.said()
    assert "Traceback" not in run.said()
    assert "--resume goes on from there" in run.said()
    assert (output / "model_stopped.pth").is_file()
    run_to_its_end(tmp_path, "--resume", *line)
    assert_same_end(whole, output)


@pytest.fixture(scope="module")
def whole_of_two(small_set, tmp_path_factory):
    """The folder of a run of two processes that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole_of_two")
    two_to_their_end(small_set, folder / "run")
    return folder / "run"


def two_to_their_end(root, output, *more):
    with two_ranks(output.parent, *more, *arguments(root, output)) as ranks:
        for rank in ranks:
            assert rank.wait() == 0, rank.said()


STARTERS = {
    "Ctrl-C to --num-gpus": ([], ["--num-gpus", "2"], signal.SIGINT, 143),
    # It passes the signal on, waits for the ranks, and ends with a traceback of its own.
    "SIGTERM to torchrun": (TORCHRUN, [], signal.SIGTERM, 1),
}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds orphans by /proc/PID/environ")
@pytest.mark.parametrize(("fresh", "options", "number", "code"), STARTERS.values(), ids=STARTERS)
def test_two_processes_stop_together_on_a_signal_to_the_one_that_started_them(
    fresh, options, number, code, small_set, whole_of_two, output, tmp_path
):
    with Run(tmp_path, *options, *arguments(small_set, output), fresh=fresh) as run:
        run.wait_for_words(FIRST_LINE)
        os.kill(run.pid, number)
        assert run.wait() == code, run.said()
        run.wait_for(lambda: not run.processes(), seconds=10)
    logs = [(output / name).read_text() for name in ("log.txt", "log.txt.rank1")]
    (ended_at,) = {stop for log in logs for stop in re.findall(r"Stopped after iteration (\d+) of 14", log)}
    assert all(log.count("Stopped after iteration") == 1 for log in logs)
    assert run.said().count("Stopped after iteration") == 1
    assert run.complaints().count("Traceback") == (fresh == TORCHRUN)
    assert (output / "last_checkpoint").read_text() == "model_stopped.pth"
    saved = torch.load(output / "model_stopped.pth", weights_only=True)
    assert (saved["epoch"] + 1) * 7 + saved["step_in_epoch"] == int(ended_at)
    two_to_their_end(small_set, output, "--resume")
    assert_same_end(whole_of_two, output)


def least_file_sizes():
    # What a checkpoint takes is more, all else is less.
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


def test_a_disk_that_refuses_a_checkpoint(small_set, whole, output, tmp_path):
    assert (whole / "model_0000.pth").stat().st_size > 300_000
    with Run(tmp_path, *arguments(small_set, output), prepare=least_file_sizes) as run:
        assert run.wait() == 1, run.said()
    message = run.said().splitlines()[-1]
    assert message.startswith(f"train_net: {output / 'model_0000.pth'} could not be written: File too large")
    assert "free" in message
    assert "Traceback" not in run.said()
    assert not [*output.glob("*.part"), *output.glob("*.pth")]
