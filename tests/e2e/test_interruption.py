"""Real runs, killed, stopped and starved: what is on the disk stays whole, and a resumed run ends as it would have."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest

from tests.data.small_set import SMALL
from tests.e2e.commands import run_tool
from tests.engine.same_end import assert_same_end, metrics

TOOL = [sys.executable, "-W", "error", "tools/train_net.py", "--config-file", "projects/XReID/configs/synthetic.yml"]
EPOCHS = ["SOLVER.ITERS_PER_EPOCH", "4", "SOLVER.MAX_EPOCH", "3", "SOLVER.LOG_PERIOD", "3", "SOLVER.WARMUP_ITERS", "4"]


def arguments(root, output, *more):
    return [*SMALL, *EPOCHS, "MODEL.DEVICE", "cpu", "DATASETS.ROOT", str(root), "OUTPUT_DIR", str(output), *more]


@contextmanager
def started(*line, **options):
    """A run, in a group of its own, of which nothing outlives the test."""
    process = subprocess.Popen(
        [*TOOL, *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        start_new_session=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(process, condition):
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.001)


def read_until(process, words):
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"never said {words!r}")


def resumed(root, output, *more):
    done = run_tool("train_net", *TOOL[4:], "--resume", *arguments(root, output, *more))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def whole(small_set, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    done = run_tool("train_net", *TOOL[4:], *arguments(small_set, output))
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_killed_while_a_checkpoint_is_written(small_set, whole, tmp_path):
    with started(*arguments(small_set, tmp_path)) as process:
        wait_for(process, lambda: list(tmp_path.glob("model_0001.pth.*.part")))
        process.kill()
    said = resumed(small_set, tmp_path)
    assert "Starting training from iteration" in said
    assert not list(tmp_path.glob("*.part"))
    assert_same_end(whole, tmp_path)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_terminated_group_of_processes_saves_and_goes_on(small_set, whole, tmp_path, workers):
    with started(*arguments(small_set, tmp_path, "DATALOADER.NUM_WORKERS", workers)) as process:
        read_until(process, "epoch 1  iteration 3/12")
        os.killpg(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "Traceback" not in said
    assert "--resume goes on from there" in said
    assert (tmp_path / "model_stopped.pth").is_file()
    resumed(small_set, tmp_path, "DATALOADER.NUM_WORKERS", workers)
    assert_same_end(whole, tmp_path)


def test_two_processes_stop_together_on_a_signal_to_the_one_that_started_them(small_set, tmp_path):
    endless = ["SOLVER.MAX_EPOCH", "10000", "TEST.EVAL_PERIOD", "0", "SOLVER.CHECKPOINT_PERIOD", "10000"]
    with started("--num-gpus", "2", *arguments(small_set, tmp_path, *endless)) as process:
        read_until(process, "epoch 2  iteration")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert said.count("Stopped after iteration") == 1
    assert "Traceback" not in said
    assert (tmp_path / "last_checkpoint").read_text() == "model_stopped.pth"


def test_a_loss_that_is_not_finite_ends_the_run_with_one_message(small_set, tmp_path):
    done = run_tool("train_net", *TOOL[4:], *arguments(small_set, tmp_path, "SOLVER.BASE_LR", "1e30"))
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith("train_net: A loss is not finite at iteration")
    assert not list(tmp_path.glob("*.pth"))


def least_file_sizes():
    # What a checkpoint takes is more, all else is less.
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


def test_a_disk_that_refuses_a_checkpoint(small_set, whole, tmp_path):
    assert (whole / "model_0000.pth").stat().st_size > 300_000
    with started(*arguments(small_set, tmp_path), preexec_fn=least_file_sizes) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    message = said.splitlines()[-1]
    assert message.startswith(f"train_net: {tmp_path / 'model_0000.pth'} could not be written: File too large")
    assert "needed" in message
    assert "Traceback" not in said
    assert not [*tmp_path.glob("*.part"), *tmp_path.glob("*.pth")]


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a disk of its own")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(ballast):
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


def test_a_full_disk(small_set, whole, small_disk):
    output = small_disk / "run"
    ballast = small_disk / "ballast"
    with started(*arguments(small_set, output)) as process:
        read_until(process, "epoch 1  iteration 3/12")
        wait_for(process, lambda: (output / "model_0000.pth").is_file())
        fill(ballast)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "could not be written" in said.splitlines()[-1]
    assert " free" in said.splitlines()[-1]
    ballast.unlink()
    resumed(small_set, output)
    assert metrics(output) == metrics(whole)
    assert_same_end(whole, output)
