"""The real command: a run that ends well, one that fails, and a second call that finds the first one done."""

import csv
import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from PIL import Image

from tests.data.small_set import SMALL
from tests.tools.conftest import load_tool  # noqa: F401

pytestmark = pytest.mark.slow

SYNTHETIC = "projects/XReID/configs/synthetic.yml"
ONE_EPOCH = ["SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_AT_START", "False"]


@pytest.fixture(scope="module")
def main(load_tool):  # noqa: F811
    """The command without the start of a process; a training is still one."""
    return load_tool("compare").main


@pytest.fixture(scope="module")
def compared(main, small_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    broken = folder / "broken.yml"
    base = Path(SYNTHETIC).resolve()
    broken.write_text(f"_BASE_: {base}\nMODEL: {{WEIGHTS: no_such_file.pth}}")
    arguments = ["bot=configs/baselines/bot_r18.yml", str(broken), "--seeds", "0", "--output", str(folder / "out")]
    arguments += ["--overlay", SYNTHETIC, "--overlay", "configs/from-scratch.yml"]
    arguments += [*SMALL, *ONE_EPOCH, "DATASETS.ROOT", str(small_set), "TEST.RERANK.ENABLED", "True"]
    with redirect_stdout(io.StringIO()) as told:
        assert main(arguments) == 1
    return told.getvalue(), folder / "out", arguments


def test_one_failed_run_is_reported_and_the_other_is_done(compared):
    told, output, _ = compared
    assert "[1/2] bot, seed 0: done in" in told
    assert "[2/2] broken, seed 0: failed with exit code 2" in told
    report = (output / "report.md").read_text()
    assert report in told
    assert "| I2V         | broken  | failed  |" in report
    assert "no_such_file.pth" in report
    assert str(output / "broken/seed0/console.txt") in report


def test_the_report_has_metrics_costs_and_plots(compared):
    _, output, _ = compared
    with (output / "results.csv").open() as file:
        bot, broken = csv.DictReader(file)
    assert 0 < float(bot["I2V/mAP"]) <= 100
    assert 0 < float(bot["V2I-reranked/mAP"]) <= 100
    # A ResNet-18 without its 1,000 classes has 11.2 million; training processes import more than 100 MB.
    assert int(bot["parameters"]) == pytest.approx(11.2e6, rel=0.01)
    assert int(bot["flops_per_clip"]) > 1e8
    assert int(bot["peak_bytes"]) > 1e8
    assert broken["I2V/mAP"] == ""
    for name in ("cmc.png", "map.png"):
        with Image.open(output / name) as picture:
            picture.verify()


def test_only_report_trains_nothing_and_reports_the_same(compared, main, capsys):
    _, output, arguments = compared
    files = [output / "broken/seed0/console.txt", output / "bot/seed0/results_epoch_1.json"]
    before = [path.stat().st_mtime_ns for path in files]
    csv_before = (output / "results.csv").read_text()
    assert main([*arguments, "--only-report"]) == 1
    assert "[1/2]" not in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in files] == before
    assert (output / "results.csv").read_text() == csv_before


def test_what_is_done_is_skipped(compared, main, capsys):
    _, output, (bot, _, *rest) = compared
    before = (output / "bot/seed0/results_epoch_1.json").stat().st_mtime_ns
    assert main([bot, *rest]) == 0
    assert "[1/1] bot, seed 0: done before" in capsys.readouterr().out
    assert (output / "bot/seed0/results_epoch_1.json").stat().st_mtime_ns == before
