import shutil
from pathlib import Path

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


def test_a_run_without_features_checkpoint_and_dataset_has_a_page(main, small_run, tmp_path, capsys):
    run = tmp_path / "bare"
    shutil.copytree(small_run, run, ignore=shutil.ignore_patterns("*.npz", "*.pth", "last_checkpoint", "log.txt"))
    assert main([str(run), *SMALL]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.endswith(f"Written to {run}/report.html\n")
    for reason in (
        "left out: Map and distances: there is no",
        "TEST.SAVE_FEATURES",
        "left out: Attention: No checkpoint",
    ):
        assert reason in said.out
    assert headings(run / "report.html") == ["results", "training", "missing", "configuration"]


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
