import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.visualization.html_page import HtmlPage

TOOL = Path(__file__).resolve().parents[2] / "tools" / "report.py"
SMALL = ["--queries", "1", "--depth", "2", "--people", "1"]


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("report").main


def headings(file):
    page = HtmlPage(file.read_text(encoding="utf-8"))
    assert page.faults == []
    return [attributes["id"] for attributes in page.all("h2")]


def test_a_whole_run_has_a_page_and_nothing_else_is_said(main, small_run, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert main([str(small_run), "--output", str(output), *SMALL]) == 0
    assert capsys.readouterr() == (f"Written to {output}\n", "")
    sections = ["results", "training", "embedding", "ranks", "attention", "configuration", "environment"]
    assert headings(output) == sections


def copied(run, folder, *without):
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(*without))
    return folder


def test_a_run_without_features_checkpoint_and_dataset_has_a_page(main, small_run, tmp_path, capsys):
    run = copied(small_run, tmp_path / "bare", "*.npz", "*.pth", "last_checkpoint", "checkpoints.txt", "log.txt")
    assert main([str(run), *SMALL]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.endswith(f"Written to {run}/report.html\n")
    features, attention, _ = said.out.splitlines()
    assert features.startswith(
        f"left out: Map, distances and rank lists: there is no {run}/features.npz: No checkpoint"
    )
    assert f"python tools/train_net.py --config-file {run}/config.yaml --eval-only OUTPUT_DIR {run} TEST." in features
    assert attention.startswith("left out: Attention: No checkpoint")
    assert f"python tools/report.py {run} MODEL.WEIGHTS FILE" in attention
    assert headings(run / "report.html") == ["results", "training", "missing", "configuration"]


def test_features_that_the_run_has_not_saved_are_made_once(main, small_run, tmp_path, capsys):
    run = copied(small_run, tmp_path / "run", "*.npz")
    evaluations = sorted(run.glob("results_*.json"))
    assert main([str(run), "--no-features", *SMALL]) == 0
    assert "--no-features was given. Where dataset and checkpoint are, this makes it: python" in capsys.readouterr().out
    assert not list(run.glob("*.npz"))

    assert main([str(run), *SMALL]) == 0
    out, err = capsys.readouterr()
    assert out == f"Written to {run}/report.html\n"
    assert "test tracklets with model_final.pth, to be kept in features_model_final.npz" in err
    assert {"embedding", "ranks"} <= set(headings(run / "report.html"))
    made = run / "features_model_final.npz"
    with np.load(made) as ours, np.load(small_run / "features.npz") as its:
        assert ours.files == its.files
        np.testing.assert_allclose(ours["features"], its["features"], rtol=1e-4, atol=1e-5)
    assert sorted(run.glob("results_*.json")) == evaluations

    assert main([str(run), *SMALL, "--no-features"]) == 0
    assert capsys.readouterr() == (f"Written to {run}/report.html\n", "")
    # A run that goes on saves a newer checkpoint of the same name.
    later = made.stat().st_mtime + 9
    os.utime(run / "model_final.pth", (later, later))
    assert main([str(run), *SMALL]) == 0
    assert "embedding" in capsys.readouterr().err


def test_the_dataset_may_lie_elsewhere(main, small_run, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert main([str(small_run), "--output", str(output), *SMALL, "DATASETS.ROOT", str(tmp_path)]) == 0
    assert "left out: Rank lists: HITSZ-VCM was not found" in capsys.readouterr().out
    assert "embedding" in headings(output)
    assert "ranks" not in headings(output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["/nowhere"], "config.yaml is missing: expected the folder of a run"),
        (["RUN", "--features", "gone.npz"], "--features: there is no gone.npz"),
        (["RUN", "NO.SUCH", "1"], "NO.SUCH"),
        (["RUN", "--output", f"{TOOL}/page.html"], str(TOOL)),
    ],
)
def test_what_cannot_be_reported_is_one_message(main, small_run, capsys, options, message):
    assert main([str(small_run) if option == "RUN" else option for option in options] + SMALL) == 2
    error = capsys.readouterr().err
    assert error.startswith("report: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["RUN", "--queries", "0"], ["RUN", "--people", "x"]])
def test_wrong_usage_exits_2(main, options):
    with pytest.raises(SystemExit) as exit_:
        main(options)
    assert exit_.value.code == 2
