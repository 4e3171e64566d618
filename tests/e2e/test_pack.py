"""The real commands: a set packed both ways trains as its loose files do, to the last bit."""

import json
import shutil

import pytest

from tests.data.small_set import SMALL
from tests.e2e.commands import run_tool

pytestmark = pytest.mark.slow

CONFIG = "projects/XReID/configs/synthetic.yml"
ONE_EPOCH = ["SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_AT_START", "False"]


def train(root, output, *overrides):
    """One epoch and an evaluation: what both wrote down, without times."""
    arguments = [*SMALL, *ONE_EPOCH, "DATALOADER.NUM_WORKERS", "1", "DATASETS.ROOT", str(root), *overrides]
    done = run_tool("train_net", "--config-file", CONFIG, *arguments, "OUTPUT_DIR", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    losses = [{key: value for key, value in line.items() if "loss" in key} for line in lines]
    return losses, json.loads((output / "results_epoch_1.json").read_text())


@pytest.fixture(scope="module")
def loose(small_set, tmp_path_factory):
    return train(small_set, tmp_path_factory.mktemp("loose"))


@pytest.mark.parametrize("kind", [[], ["--frames", "48x24"]], ids=["files", "frames"])
def test_a_pack_trains_as_loose_files_do(small_set, loose, tmp_path, kind):
    file = tmp_path / "small.pack"
    done = run_tool("pack_dataset", "--dataset", "HITSZVCM", "--root", str(small_set), "--output", str(file), *kind)
    assert (done.returncode, done.stderr) == (0, "")
    shutil.copytree(small_set / "info", tmp_path / "lists" / "info")
    losses, results = train(tmp_path / "lists", tmp_path / "run", "DATASETS.PACK", str(file))
    assert any(losses)
    assert (losses, results) == loose
