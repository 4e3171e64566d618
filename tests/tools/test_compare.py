from dataclasses import replace

import pytest

from tests.comparison.finished import PROTOCOL, finished
from tests.comparison.test_report import cells, rows_of


@pytest.fixture
def beside(load_tool):
    return load_tool("_published").beside


def test_published_metrics_are_listed(load_tool, capsys):
    with pytest.raises(SystemExit) as end:
        load_tool("compare").main(["--list-published"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "arXiv 2511.17964" in printed
    assert "73.4" in next(line for line in printed.splitlines() if line.startswith("| X-ReID"))


def test_a_report_of_no_runs_is_one_sentence_and_no_file(load_tool, tmp_path, capsys):
    output = tmp_path / "new"
    assert load_tool("compare").main(["projects/XReID/configs/vcm.yml", "--output", str(output), "--only-report"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert str(output) in message
    assert not output.exists()


def full_vcm(infrared=5159):
    sets = {"I2V query": {"infrared": {"listed": infrared}}, "I2V gallery": {"visible": {"listed": 5643}}}
    return {**PROTOCOL, "dataset": "HITSZVCM", "sets": sets}


def configured(tmp_path, config, protocol):
    run = finished(tmp_path, "run", rank1=70.0, mean_precision=60.0, protocol=protocol)
    return rows_of([replace(run, config_file=tmp_path / "configs" / f"{config}.yml")])


def test_published_metrics_stand_beside_those_of_the_full_test_set(beside, tmp_path):
    _, _, *body = cells(beside(configured(tmp_path, "ablations/table5/5_sii_cii", full_vcm())))
    assert body == [
        ["I2V", "run", "table 5, SII and CII", "70.0 (72.0, -2.0)", "-", "-", "60.0 (59.6, +0.4)"],
        ["V2I", "run", "table 5, SII and CII", "71.0 (74.5, -3.5)", "-", "-", "61.0 (58.9, +2.1)"],
    ]


@pytest.mark.parametrize(
    ("config", "protocol"),
    [("vcm", full_vcm(200)), ("vcm", {**full_vcm(), "dataset": "Own"}), ("vcm", PROTOCOL), ("bupt", full_vcm())],
)
def test_published_metrics_stand_beside_no_others(beside, tmp_path, config, protocol):
    assert beside(configured(tmp_path, config, protocol)) == ""
