"""Ratios and their two presentations, from measurements whose ratios are known."""

import json

import pytest

from xreid_plugin.benchmarks.measure import Measurement
from xreid_plugin.benchmarks.report import Case, record, table, write_json_lines

CASE = Case("ranking", "2x3", "module", "host", "plugin", {"queries": 2})
HOST = Measurement(seconds=6.0, peak_mib=1000.0, added_mib=400.0, runs=2)
PLUGIN = Measurement(seconds=0.5, peak_mib=700.0, added_mib=100.0, runs=3)


def test_ratios_by_hand():
    line = record(CASE, HOST, PLUGIN)
    assert line["speedup"] == 12
    assert line["peak_ratio"] == pytest.approx(0.7)
    assert line["added_ratio"] == 0.25
    assert line["host"]["seconds"] == 6


def test_no_ratio_without_a_host_or_without_added_memory():
    alone = record(CASE, None, PLUGIN)
    assert [alone[key] for key in ("host", "speedup", "peak_ratio", "added_ratio")] == [None] * 4
    assert record(CASE, HOST._replace(added_mib=0.0), PLUGIN)["added_ratio"] is None


def test_table_shows_every_case():
    lines = table([record(CASE, HOST, PLUGIN), record(CASE, None, PLUGIN)]).splitlines()
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "ranking 2x3 6.000 0.500 12.0 1000 (+400) 700 (+100) 0.70 0.25",
        "ranking 2x3 - 0.500 - - 700 (+100) - -",
    ]


def test_json_lines_round_trip(tmp_path):
    records = [record(CASE, HOST, PLUGIN), record(CASE, None, PLUGIN)]
    target = tmp_path / "lines.jsonl"
    target.write_text("old")
    write_json_lines(target, records)
    assert [json.loads(line) for line in target.read_text().splitlines()] == records
    assert list(tmp_path.iterdir()) == [target]
