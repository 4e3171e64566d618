import pytest


def test_published_metrics_are_listed(load_tool, capsys):
    with pytest.raises(SystemExit) as end:
        load_tool("compare").main(["--list-published"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "arXiv 2511.17964" in printed
    assert "73.4" in next(line for line in printed.splitlines() if line.startswith("| X-ReID"))
