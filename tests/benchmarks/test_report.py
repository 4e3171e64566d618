"""Ratios and their two presentations, from measurements whose ratios are known."""

import json
from dataclasses import replace

import pytest

from xreid_plugin.benchmarks.measure import Measurement
from xreid_plugin.benchmarks.report import Case, growth, line_of, record, table, write_json_lines

CASE = Case("ranking", "2x3", "module", "host", "plugin", {"queries": 2})
HOST = Measurement(seconds=6.0, peak_mib=1000.0, added_mib=400.0, runs=2)
PLUGIN = Measurement(seconds=0.5, peak_mib=700.0, added_mib=100.0, runs=3)


def test_ratios_by_hand():
    line = record(CASE, HOST, PLUGIN)
    assert line["speedup"] == 12
    assert line["peak_ratio"] == pytest.approx(0.7)
    assert line["added_ratio"] == 0.25
    assert line["reference"]["seconds"] == 6


def test_no_ratio_without_a_reference_or_without_added_memory():
    alone = record(CASE, None, PLUGIN)
    assert [alone[key] for key in ("reference", "speedup", "peak_ratio", "added_ratio")] == [None] * 4
    assert record(CASE, HOST._replace(added_mib=0.0), PLUGIN)["added_ratio"] is None


def words(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_table_shows_every_case():
    worked = PLUGIN._replace(flops=2e12)
    lines = words(table([record(replace(CASE, items=3, unit="rows"), HOST, worked), record(CASE, None, PLUGIN)]))
    assert lines[0] == "case size against its s our s faster × our rate its MiB our MiB added × our TFLOP/s"
    assert lines[2:] == [
        "ranking 2x3 host 6.000 0.500 12.0 6 rows/s 1000 (+400) 700 (+100) 0.25 4.00",
        "ranking 2x3 host - 0.500 - - - 700 (+100) - -",
    ]


def test_table_leaves_out_what_no_case_has():
    started = PLUGIN._replace(added_mib=None)
    lines = words(table([record(replace(CASE, reference=None), None, started)]))
    assert [lines[0], lines[2]] == ["case size our s our MiB", "ranking 2x3 0.500 700"]
    assert table([]) == ""


def test_a_line_for_each_case():
    assert line_of(record(CASE, HOST, PLUGIN)) == "ranking, 2x3: 0.500 s, host 6.000 s: 12.0 times faster"
    assert line_of(record(CASE, None, PLUGIN)) == "ranking, 2x3: 0.500 s"


def test_json_lines_round_trip(tmp_path):
    records = [record(CASE, HOST, PLUGIN), record(CASE, None, PLUGIN)]
    target = tmp_path / "lines.jsonl"
    target.write_text("old")
    write_json_lines(target, records)
    assert [json.loads(line) for line in target.read_text().splitlines()] == records
    assert list(tmp_path.iterdir()) == [target]


def test_rate_and_device_memory_are_shown():
    case = replace(CASE, items=1500, unit="frames")
    assert "3,000 frames/s" in table([record(case, HOST, PLUGIN)])
    worked = PLUGIN._replace(flops=2e12, peak_flops=16e12)
    assert "4.00 (25% of the peak)" in table([record(CASE, HOST, worked)])
    assert "700 (+100), 42 on the GPU" in table([record(CASE, HOST, PLUGIN._replace(device_mib=42.0))])


def test_growth_of_known_powers():
    lines = [
        record(replace(CASE, scale=scale), None, PLUGIN._replace(seconds=3e-4 * scale**2, added_mib=0.5 * scale))
        for scale in (10, 100, 1000)
    ]
    assert growth(lines).splitlines()[-1].split() == ["ranking", "10,", "100,", "1000", "2.00", "1.00"]


def test_no_growth_from_one_size_or_without_added_memory():
    one = record(replace(CASE, scale=5), None, PLUGIN)
    assert growth([one, one, record(CASE, None, PLUGIN)]) == ""
    two = [record(replace(CASE, scale=s), None, PLUGIN._replace(added_mib=0.0)) for s in (5, 50)]
    assert growth(two).split()[-2:] == ["0.00", "-"]
