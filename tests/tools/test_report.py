import shutil
from pathlib import Path

import pytest

from tests.tools.html_page import HtmlPage

pytestmark = pytest.mark.slow

TOOL = Path(__file__).resolve().parents[2] / "tools" / "report.py"
SMALL = ["--queries", "1", "--depth", "2", "--people", "1"]


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("report").main


def headings(file):
    page = HtmlPage(file.read_text(encoding="utf-8"))
    assert page.faults == []
    return [attributes["id"] for attributes in page.all("h2")]


def copied(run, folder, *without):
    return shutil.copytree(run, folder, ignore=shutil.ignore_patterns(*without))


def test_a_whole_run_has_a_page_and_nothing_else_is_said(main, small_run, tmp_path, capsys):
    output = tmp_path / "new" / "page.html"
    assert main([str(small_run), "--output", str(output), *SMALL]) == 0
    assert capsys.readouterr() == (f"Written to {output}\n", "")
    sections = ["results", "training", "embedding", "ranks", "attention", "configuration", "environment"]
    assert headings(output) == sections


def test_a_run_without_checkpoint_and_dataset_has_a_page(main, small_run, tmp_path, capsys):
    run = copied(small_run, tmp_path / "bare", "*.npz", "*.pth", "last_checkpoint", "checkpoints.txt", "log.txt")
    assert main([str(run), *SMALL]) == 0
    features, attention, written = capsys.readouterr().out.splitlines()
    assert features.startswith("left out: Map, similarities and rank lists: No checkpoint")
    assert attention.startswith("left out: Attention: No checkpoint")
    assert written == f"Written to {run}/report.html"
    assert headings(run / "report.html") == ["results", "training", "missing", "configuration"]
