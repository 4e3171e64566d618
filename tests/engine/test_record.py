import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fastreid.utils.events import EventStorage

from tests.e2e.runs import FRESH
from xreid_plugin.engine.record import RunWriter, console_line


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def begun(path, start):
    """A writer of a run that goes on with an iteration."""
    writer = RunWriter(path, period=1)
    writer.trainer = SimpleNamespace(start_iter=start, iters_per_epoch=4)
    writer.before_train()
    return writer


def write_lines(path, *iterations, torn=""):
    path.write_text("".join(json.dumps({"iteration": n, "lr": n / 8}) + "\n" for n in iterations) + torn)


def test_what_lies_beyond_the_checkpoint_and_half_lines_are_cut_off(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(
        path, 0, 2, torn='{"iteration": 3, "lr"\n{"iteration": 5, "lr": 0.625}\n{"iteration": 8}\n{"iteration": 9'
    )
    writer = begun(path, 6)
    assert [line["iteration"] for line in lines(path)] == [0, 2, 5]
    with EventStorage() as storage:
        # The first is written already.
        for iteration, name in ((5, "old"), (6, "new")):
            storage.iter = iteration
            storage.put_scalar(name, 1.0)
        writer.write()
    writer.close()
    assert lines(path)[3:] == [{"iteration": 6, "new": 1.0}]


def test_a_fresh_run_keeps_the_file_of_the_last_beside_its_own(tmp_path):
    path = tmp_path / "metrics.json"
    write_lines(path, 0, 2)
    begun(path, 0).close()
    assert path.read_text() == ""
    assert [line["iteration"] for line in lines(tmp_path / "metrics.json.previous")] == [0, 2]


def test_the_longest_line_about_an_iteration_has_120_characters():
    with EventStorage() as storage:
        storage.epoch, storage.iter = 998, 10_000
        kinds = ("ce_clip", "ce_frame", "cpcl", "triplet", "cmcl")
        losses = {f"loss_{kind}": 12.345 for kind in kinds}
        storage.put_scalars(total_loss=61.7, lr=3.5e-4, clips_per_second=1024, **losses)
        line = console_line(storage, 99_999, 4080, torch.device("cpu"))
    terms = "loss 61.7 ce 24.7 cpcl 12.3 triplet 12.3 cmcl 12.3"
    assert line == f"epoch 999 iter 10001/99999 {terms} lr 3.5e-04 1024 clips/s left 99h37"
    assert len(f"{line} 139 GiB") <= 120


# A file that cannot be written to, in the place of the run's log.
FULL_LOG = """
import argparse, sys
from pathlib import Path
from xreid_plugin.config import get_cfg
from xreid_plugin.engine.record import begin_log, logger
cfg = get_cfg()
cfg.OUTPUT_DIR = sys.argv[1]
Path(sys.argv[1], "log.txt").symlink_to("/dev/full")
begin_log(cfg, argparse.Namespace(eval_only=False, config_file="", opts=[]))
for _ in range(50):
    logger.info("a line")
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full stands for a full disk, and this system lacks it")
def test_a_full_disk_adds_no_traceback_for_every_line_of_the_log(tmp_path):
    done = subprocess.run([*FRESH, "-c", FULL_LOG, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.count("a line") == 50
