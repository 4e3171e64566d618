"""A set packed both ways trains as its loose files do, to the last bit."""

import json
import shutil

import pytest

from tests.data.small_set import SMALL
from tests.e2e.runs import run_to_its_end
from tests.tools.conftest import load_tool  # noqa: F401
from xreid_plugin.evaluation.results import read_results

pytestmark = pytest.mark.slow

ONE_EPOCH = ["SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_AT_START", "False"]


def train(root, output, *overrides):
    """One epoch and an evaluation: what both wrote down, without times."""
    arguments = [*SMALL, *ONE_EPOCH, "DATALOADER.NUM_WORKERS", "1", "DATASETS.ROOT", str(root), *overrides]
    run_to_its_end(output.parent, *arguments, "OUTPUT_DIR", str(output))
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    losses = [{key: value for key, value in line.items() if "loss" in key} for line in lines]
    results = read_results(output / "results_epoch_1.json")
    return losses, results[:3], results.model["weights"]


@pytest.fixture(scope="module")
def loose(small_set, tmp_path_factory):
    return train(small_set, tmp_path_factory.mktemp("loose") / "run")


@pytest.mark.parametrize("kind", [[], ["--frames", "48x24"]], ids=["files", "frames"])
def test_a_pack_trains_as_loose_files_do(small_set, loose, load_tool, tmp_path, kind):  # noqa: F811
    file = str(tmp_path / "small.pack")
    given = ["--dataset", "HITSZVCM", "--root", str(small_set), "--output", file, *kind]
    assert load_tool("pack_dataset").main(given) == 0
    shutil.copytree(small_set, tmp_path / "lists", ignore=shutil.ignore_patterns("Train", "Test"))
    packed = train(tmp_path / "lists", tmp_path / "run", "DATASETS.PACK", file)
    assert any(packed[0])
    assert packed == loose
