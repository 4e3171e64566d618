"""The real command: a run that ends well, one that fails, and a second call that finds the first one done."""

import csv
import subprocess
import sys

import pytest
from PIL import Image

from tests.data.small_set import SMALL

SYNTHETIC = "projects/XReID/configs/synthetic.yml"
ONE_EPOCH = ["SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_AT_START", "False"]


def compare(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "tools/compare.py", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def compared(small_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    broken = folder / "broken.yml"
    broken.write_text(
        f"_BASE_: {__file__.rsplit('/tests/', 1)[0]}/{SYNTHETIC}\nMODEL: {{LOSSES: {{NAME: [NoSuchLoss]}}}}"
    )
    arguments = ["bot=configs/baselines/bot_r18.yml", str(broken), "--seeds", "0", "--output", str(folder / "out")]
    arguments += ["--overlay", SYNTHETIC, "--overlay", "configs/from-scratch.yml"]
    arguments += [*SMALL, *ONE_EPOCH, "DATASETS.ROOT", str(small_set), "TEST.RERANK.ENABLED", "True"]
    return compare(*arguments), folder / "out", arguments


def test_one_failed_run_is_reported_and_the_other_is_done(compared):
    done, output, _ = compared
    assert done.returncode == 1, done.stdout + done.stderr
    assert "[1/2] bot, seed 0: done in" in done.stdout
    assert "[2/2] broken, seed 0: failed with exit code 2" in done.stdout
    report = (output / "report.md").read_text()
    assert report in done.stdout
    assert "| I2V         | broken  | failed  |" in report
    assert "NoSuchLoss" in report
    assert str(output / "broken/seed0/console.txt") in report


def test_the_report_has_figures_costs_and_plots(compared):
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


def test_what_is_done_is_skipped_and_only_report_trains_nothing(compared):
    first, output, arguments = compared
    assert first.returncode == 1
    log = (output / "broken/seed0/console.txt").stat().st_mtime_ns
    results = (output / "bot/seed0/results_epoch_1.json").stat().st_mtime_ns
    again = compare(*arguments, "--only-report")
    assert again.returncode == 1
    assert "[1/2]" not in again.stdout
    assert (output / "broken/seed0/console.txt").stat().st_mtime_ns == log
    assert (output / "bot/seed0/results_epoch_1.json").stat().st_mtime_ns == results


def test_other_settings_in_the_same_folder_are_one_clear_message(compared):
    _, _, arguments = compared
    done = compare(*arguments, "SOLVER.GAMMA", "0.3")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "SOLVER.GAMMA" in done.stderr
