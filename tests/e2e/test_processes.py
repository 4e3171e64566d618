"""Real jobs of two processes, in every way to start them: the losses and figures of one process, and a clean end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.data.small_set import SMALL

TOOL = ["tools/train_net.py", "--config-file", "projects/XReID/configs/synthetic.yml"]
PYTHON = [sys.executable, "-W", "error"]
# Rates that do not depend on the number of epochs, so that a run without end begins like a short one.
STEADY = ["SOLVER.SCHED", "MultiStepLR", "SOLVER.STEPS", "[]"]
# Adam's first steps are as long for a gradient that is nothing but rounding as for any other.
STEADY += ["SOLVER.OPT", "SGD", "SOLVER.MOMENTUM", "0.9"]
ENDLESS = ["SOLVER.MAX_EPOCH", "100000", "TEST.EVAL_PERIOD", "2"]
# Of whole numbers of clips per batch and rank, the three: 28 test tracklets in dense clips are an odd number.
DENSE = ["TEST.FRAMES", "dense", "TEST.IMS_PER_BATCH", "6"]
MARK = "XREID_TEST_JOB"


def overrides(root, output, *more):
    return [*SMALL, *STEADY, *DENSE, "DATASETS.ROOT", str(root), "OUTPUT_DIR", str(output), *more]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def commands(style, *arguments):
    """The command lines of a job of two processes, one of them for each machine."""
    if style == "torchrun":
        return [[sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *TOOL, *arguments]]
    if style == "one machine":
        return [[*PYTHON, *TOOL, "--num-gpus", "2", *arguments]]
    meeting = ["--num-machines", "2", "--dist-url", f"tcp://127.0.0.1:{free_port()}"]
    return [[*PYTHON, *TOOL, *meeting, "--machine-rank", str(machine), *arguments] for machine in range(2)]


class Job:
    """Commands that run side by side, and whatever processes they start."""

    def __init__(self, command_lines, folder):
        self._mark = uuid.uuid4().hex
        environment = {**os.environ, MARK: self._mark, "OMP_NUM_THREADS": "1"}
        self.logs = [folder / f"command{number}.log" for number in range(len(command_lines))]
        self.commands = []
        for line, log in zip(command_lines, self.logs, strict=True):
            with log.open("wb") as file:
                self.commands.append(subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT, env=environment))

    def said(self):
        return "\n".join(log.read_text() for log in self.logs)

    def processes(self):
        """All that bear the mark of this job, which they inherit whoever starts them."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"{MARK}={self._mark}".encode() in (entry / "environ").read_bytes():
                    found.append(entry)
            except OSError:
                # It has ended since, or is not ours.
                continue
        return found

    def pid_of_rank_1(self):
        """It is the process that writes that rank's log."""
        for entry in self.processes():
            for file in (entry / "fd").iterdir():
                if file.readlink().name == "log.txt.rank1":
                    return int(entry.name)
        raise AssertionError("rank 1 is not running")

    def end(self):
        for entry in self.processes():
            os.kill(int(entry.name), signal.SIGKILL)
        for command in self.commands:
            command.wait()


@contextmanager
def running(command_lines, folder):
    job = Job(command_lines, folder)
    with ExitStack() as stack:
        stack.callback(job.end)
        yield job


def wait_until(condition, seconds, job):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, job.said()
        time.sleep(0.05)


def training_record(output, iterations):
    """What metrics.json has of the first iterations, without what a clock has measured."""
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    clocked = ("time", "data_time", "clips_per_second")
    return [
        {key: value for key, value in line.items() if key not in clocked}
        for line in lines
        if line["iteration"] < iterations and "total_loss" in line
    ]


@pytest.fixture(scope="module")
def alone(small_set, tmp_path_factory):
    """The folder of a run of a single process, of two epochs."""
    output = tmp_path_factory.mktemp("alone")
    line = [*PYTHON, *TOOL, *overrides(small_set, output, "SOLVER.MAX_EPOCH", "2", "TEST.EVAL_PERIOD", "2")]
    with running([line], tmp_path_factory.mktemp("log")) as job:
        assert job.commands[0].wait(timeout=120) == 0, job.said()
    return output


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for orphans in /proc")
@pytest.mark.parametrize("style", ["one machine", "torchrun", "two machines"])
def test_two_processes_are_like_one_until_one_is_killed(style, alone, small_set, tmp_path):
    output = tmp_path / "run"
    with running(commands(style, *overrides(small_set, output, *ENDLESS)), tmp_path) as job:
        wait_until(lambda: (output / "results_epoch_2.json").exists(), 120, job)
        os.kill(job.pid_of_rank_1(), signal.SIGKILL)
        for command in job.commands:
            assert command.wait(timeout=60) == 1, job.said()
        wait_until(lambda: not job.processes(), 10, job)
        for log in job.logs:
            assert any(words in log.read_text() for words in ("Rank 1 of 2 was killed", "rank 1 is gone", "SIGKILL"))
        assert "UserWarning" not in job.said()

    for name in ("results_before_training.json", "results_epoch_2.json"):
        one, two = (json.loads((folder / name).read_text()) for folder in (alone, output))
        assert two == one
    for expected, actual in zip(training_record(alone, 5), training_record(output, 5), strict=True):
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert any(name.startswith("loss_") for name in expected)


def test_two_processes_evaluate_like_one_and_end_well(alone, small_set, tmp_path):
    # Raw figures come out of the features; an equal table could hide that a tracklet was embedded twice.
    features = ["TEST.SAVE_FEATURES", str(tmp_path / "features.npz"), "MODEL.WEIGHTS", str(alone / "model_final.pth")]
    arguments = ["--eval-only", *overrides(small_set, tmp_path / "run", *features)]
    with running(commands("one machine", *arguments), tmp_path) as job:
        assert job.commands[0].wait(timeout=60) == 0, job.said()
    again = json.loads((tmp_path / "run" / "results_evaluation_dense.json").read_text())
    assert again["figures"] == json.loads((alone / "results_epoch_2.json").read_text())["figures"]


def test_what_is_wrong_for_all_processes_is_said_once_a_machine(small_set, tmp_path):
    # One process could share them, two cannot: 2 modalities × 2 clips × 2 processes make 8.
    wrong = ["SOLVER.IMS_PER_BATCH", "12"]
    with running(commands("one machine", *overrides(small_set, tmp_path / "run", *wrong)), tmp_path) as job:
        for command, log in zip(job.commands, job.logs, strict=True):
            assert command.wait(timeout=60) == 2
            (message,) = log.read_text().splitlines()
            assert message.startswith("train_net: ")
            assert "SOLVER.IMS_PER_BATCH is 12" in message
            assert "2 processes" in message
