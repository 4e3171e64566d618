import csv
import io

from tests.comparison.finished import finished, planned
from xreid_plugin.comparison.report import costs_of
from xreid_plugin.comparison.results import rows_of
from xreid_plugin.comparison.tables import cost_table, csv_text, retrieval_table


def rows(tmp_path, reranked=None):
    runs = [
        finished(tmp_path, "a", 0, rank1=10.0, mean_precision=20.0, reranked=reranked),
        finished(tmp_path, "a", 1, rank1=12.0, mean_precision=24.0, reranked=reranked),
        finished(tmp_path, "b", 0, rank1=30.0, mean_precision=40.0),
        planned(tmp_path, "b", 1),
        planned(tmp_path, "c", 0),
    ]
    return rows_of(runs, costs_of(runs))


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_retrieval_table(tmp_path):
    header, _, *body = cells(retrieval_table(rows(tmp_path)))
    assert header == ["direction", "model", "seeds", "Rank-1", "Rank-5", "Rank-10", "Rank-20", "mAP", "mINP"]
    assert [row[:3] for row in body[:3]] == [["I2V", "a", "2"], ["I2V", "b", "1 of 2"], ["I2V", "c", "failed"]]
    # Deviations of (10, 12) and (20, 24): the halves of their differences times the root of two.
    assert body[0][3] == "11.00 ± 1.41"
    assert body[0][7] == "22.00 ± 2.83"
    assert body[1][3:] == ["30.00", "35.00", "40.00", "45.00", "40.00", "1.00"]
    assert body[2][3:] == ["-"] * 6
    assert [row[:2] for row in body[3:]] == [["V2I", "a"], ["V2I", "b"], ["V2I", "c"]]
    assert body[4][7] == "41.00"


def test_retrieval_table_has_re_ranked_map_where_some_row_has(tmp_path):
    header, _, *body = cells(retrieval_table(rows(tmp_path, reranked=50.0)))
    assert header[-1] == "mAP, re-ranked"
    assert [row[-1] for row in body] == ["50.00 ± 0.00", "-", "-", "51.00 ± 0.00", "-", "-"]


def test_cost_table(tmp_path):
    _, _, *body = cells(cost_table(rows(tmp_path)))
    assert body[0] == ["a", "1.50", "2.00", "12.5", "2.00", "1.5"]
    assert body[2] == ["c", "-", "-", "-", "-", "-"]


def test_csv_has_a_line_a_configuration_and_leaves_out_what_is_not_known(tmp_path):
    a, b, c = csv.DictReader(io.StringIO(csv_text(rows(tmp_path))))
    assert [line["model"] for line in (a, b, c)] == ["a", "b", "c"]
    assert (a["I2V/mAP"], float(a["I2V/mAP deviation"])) == ("22.0", 8**0.5)
    assert (b["V2I/Rank-1"], b["V2I/Rank-1 deviation"]) == ("31.0", "")
    assert (b["runs_done"], b["runs_missing"]) == ("1", "1")
    assert (a["parameters"], a["flops_per_clip"], a["peak_bytes"]) == ("1500000", "2000000000", str(2 * 2**30))
    assert set(c.values()) == {"c", "0", "1", ""}
