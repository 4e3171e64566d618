import csv
import io
from itertools import groupby

import pytest

from tests.comparison.finished import PROTOCOL, finished, planned
from xreid_plugin.comparison.report import Row, cost_table, csv_text, protocol_differences, retrieval_table


def rows_of(runs):
    return [Row.of(name, list(group)) for name, group in groupby(runs, key=lambda run: run.name)]


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


@pytest.fixture
def rows(tmp_path):
    return rows_of(
        [
            finished(tmp_path, "a", 0, rank1=10.0, mean_precision=20.0, reranked=50.0),
            finished(tmp_path, "a", 1, rank1=12.0, mean_precision=24.0, reranked=50.0),
            finished(tmp_path, "b", 0, rank1=30.0, mean_precision=40.0),
            planned(tmp_path, "b", 1),
            planned(tmp_path, "c", 0),
        ]
    )


def test_tables(rows):
    header, _, *body = cells(retrieval_table(rows))
    assert header[3:] == ["Rank-1", "Rank-5", "Rank-10", "Rank-20", "mAP", "mINP", "mAP, re-ranked"]
    assert [row[:3] for row in body[:3]] == [["I2V", "a", "2"], ["I2V", "b", "1 of 2"], ["I2V", "c", "failed"]]
    # Deviations of (10, 12) and (20, 24): the halves of their differences times the root of two.
    assert (body[0][3], body[0][7], body[0][9]) == ("11.00 ± 1.41", "22.00 ± 2.83", "50.00 ± 0.00")
    assert body[1][3:] == ["30.00", "35.00", "40.00", "45.00", "40.00", "1.00", "-"]
    _, _, *costs = cells(cost_table(rows))
    assert costs[0] == ["a", "1.50", "2.00", "12.5", "2.00", "1.5"]
    assert costs[2] == ["c", *"-----"]
    a, b, c = csv.DictReader(io.StringIO(csv_text(rows)))
    assert (a["I2V/mAP"], float(a["I2V/mAP deviation"]), a["peak_bytes"]) == ("22.0", 8**0.5, str(2 * 2**30))
    assert (b["runs_missing"], b["V2I/Rank-1 deviation"], b["I2V-reranked/mAP"]) == ("1", "", "")
    assert set(c.values()) == {"c", "0", "1", ""}


def test_protocols_that_differ_are_told_by_what_differs(tmp_path):
    one = finished(tmp_path, "a", rank1=1.0, mean_precision=1.0)
    other = finished(tmp_path, "b", rank1=1.0, mean_precision=1.0, protocol={**PROTOCOL, "same_camera": "keep"})
    assert protocol_differences(rows_of([one, other])) == ['same_camera: a "exclude"; b "keep"']
    assert protocol_differences(rows_of([one])) == []
