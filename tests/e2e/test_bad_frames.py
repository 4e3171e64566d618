"""Real runs on damaged files, and with workers that die."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.data.small_set import SMALL
from tests.e2e.runs import FRESH, Run, run_to_its_end
from xreid_plugin.data.datasets.hitsz_vcm import HITSZVCM

pytestmark = pytest.mark.slow


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
    line = [*RUN, "DATASETS.ROOT", str(damaged), "OUTPUT_DIR", str(tmp_path / "run")]
    with Run(tmp_path, *line) as refused:
        assert refused.wait() == 2
    assert "Traceback" not in refused.said()
    message = refused.complaints().splitlines()[-1]
    assert re.match(rf"train_net: Frame {damaged}\S+\.jpg of tracklet \S+ is not usable: .*--deep", message)
    said = run_to_its_end(tmp_path, *line, "INPUT.BAD_FRAMES", "substitute")
    for what in ("Training, epoch 1", "Training, epoch 2", "Refreshing prototypes", "Evaluating"):
        assert re.search(rf"{what}: \d+ bad frames in \d+ tracklets were substituted, such as {damaged}", said)
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
    with Run(tmp_path, *RUN, *endless, "DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(tmp_path / "run")) as run:
        run.wait_for_words("epoch 2 ")
        workers = children(run.pid)
        assert len(workers) == 4  # two of the training clips, two of the refresh
        os.kill(max(workers), signal.SIGKILL)
        assert run.wait(60) == 1
    [message] = [line for line in run.complaints().splitlines() if line.startswith("train_net: ")]
    assert "DataLoader worker" in message  # torch names the signal unless it met the worker's end first
    assert "DATALOADER.NUM_WORKERS" in message
    assert not any(map(is_alive, workers))


MAY_MOUNT = ["unshare", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs -o size=100k tmpfs /dev/shm"]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="makes a small /dev/shm by unshare, which is not installed")
def test_shared_memory_that_is_full_ends_the_run_with_a_message(small_set, tmp_path):
    allowed = subprocess.run(MAY_MOUNT, capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"may not mount a small /dev/shm in a namespace of its own: {allowed.stderr.strip()}")
    mounted = [*MAY_MOUNT[:-1], MAY_MOUNT[-1] + ' && exec "$@"', "sh", *FRESH]
    line = [*RUN, "DATASETS.ROOT", str(small_set), "OUTPUT_DIR", str(tmp_path / "run")]
    with Run(tmp_path, *line, fresh=mounted) as run:
        assert run.wait() == 1, run.said()
    [message] = [line for line in run.complaints().splitlines() if line.startswith("train_net: ")]
    assert "/dev/shm" in message
    assert "--shm-size" in message
    assert "Traceback" not in run.said()
