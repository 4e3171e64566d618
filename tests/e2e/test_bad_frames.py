"""Real runs on damaged files, and with workers that die."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.small_set import SMALL
from tests.e2e.commands import run_tool
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM

pytestmark = pytest.mark.slow

CONFIG = ["--config-file", "projects/XReID/configs/synthetic.yml"]
RUN = [*SMALL, "DATALOADER.NUM_WORKERS", "2", "TEST.EVAL_AT_START", "False"]


@pytest.fixture
def damaged(small_set, tmp_path):
    """A copy of the small set with a frame of every tracklet cut off."""
    root = tmp_path / "damaged"
    shutil.copytree(small_set, root)
    dataset = HITSZVCM(root)
    for tracklet in [*dataset.train, *dataset.test]:
        frame = Path(tracklet.paths[4])
        frame.write_bytes(frame.read_bytes()[:-10])
    return root


def test_a_run_goes_on_without_bad_frames_and_tells(damaged, tmp_path):
    places = ["DATASETS.ROOT", str(damaged), "OUTPUT_DIR", str(tmp_path / "run")]
    refused = run_tool("train_net", *CONFIG, *RUN, *places)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert re.fullmatch(
        rf"train_net: Frame {damaged}\S+\.jpg of tracklet \S+ is not usable: .*check_dataset\.py --deep .*\.",
        refused.stderr.strip().splitlines()[-1],
    )
    done = run_tool("train_net", *CONFIG, *RUN, *places, "INPUT.BAD_FRAMES", "substitute")
    assert done.returncode == 0, done.stdout + done.stderr
    for what in ("Training, epoch 1", "Training, epoch 2", "Refreshing prototypes", "Evaluating"):
        assert re.search(rf"{what}: \d+ bad frames in \d+ tracklets were substituted, such as {damaged}", done.stdout)
    results = json.loads((tmp_path / "run" / "results_epoch_2.json").read_text())
    assert results["protocol"]["substituted_frames"] > 0


def children(pid):
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in listed}


def is_alive(pid):
    """Whether there is such a process and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(),
    reason="finds the workers in /proc/PID/task/PID/children, which this system lacks",
)
def test_a_killed_worker_ends_the_run_with_a_message_and_leaves_no_process(small_set, tmp_path):
    endless = ["SOLVER.MAX_EPOCH", "100000", "SOLVER.SCHED", "MultiStepLR", "TEST.EVAL_PERIOD", "0"]
    places = ["DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(tmp_path)]
    command = [sys.executable, "tools/train_net.py", *CONFIG, *RUN, *endless, *places]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as run:
        for line in run.stdout:
            if "epoch 2 " in line:
                break
        workers = children(run.pid)
        assert len(workers) == 4  # two of the training clips, two of the refresh
        os.kill(max(workers), signal.SIGKILL)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    [message] = [line for line in errors.splitlines() if line.startswith("train_net: ")]
    assert "Killed" in message
    assert "DATALOADER.NUM_WORKERS" in message
    assert not any(map(is_alive, workers))


MAY_MOUNT = ["unshare", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs -o size=100k tmpfs /dev/shm"]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="makes a small /dev/shm by unshare, which is not installed")
def test_shared_memory_that_is_full_ends_the_run_with_a_message(small_set, tmp_path):
    allowed = subprocess.run(MAY_MOUNT, capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"may not mount a small /dev/shm in a namespace of its own: {allowed.stderr.strip()}")
    arguments = [*CONFIG, *RUN, "DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(tmp_path)]
    command = [*MAY_MOUNT[:-1], MAY_MOUNT[-1] + ' && exec "$@"', "sh", sys.executable, "tools/train_net.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    [message] = [line for line in done.stderr.splitlines() if line.startswith("train_net: ")]
    assert "/dev/shm" in message
    assert "--shm-size" in message
    assert "Traceback" not in done.stderr
