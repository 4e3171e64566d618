import csv
import json

import pytest

from tests.evaluation.feature_sets import random_features
from xreid_plugin.evaluation.report import rankings_table, results_table, title_of, write_rankings, write_results
from xreid_plugin.evaluation.rules import KReciprocal, RankingRules, Temporal
from xreid_plugin.evaluation.scoring import FIGURES, rankings


def cells(table):
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]


def test_the_table_has_a_row_a_label_and_direction():
    figures = {f"{direction}/{name}": 12.5 for direction in ("I2V", "V2I") for name in FIGURES}
    _, _, *rows = cells(results_table({"before": figures, "after": figures}))
    assert [tuple(row[:2]) for row in rows] == [
        ("I2V", "before"),
        ("I2V", "after"),
        ("V2I", "before"),
        ("V2I", "after"),
    ]
    assert all(row[2:] == ["12.50"] * len(FIGURES) for row in rows)


@pytest.mark.parametrize("label", ["before training", "epoch 12", "evaluation"])
def test_a_label_is_its_own_title(label):
    assert title_of(label) == label


def test_an_evaluation_of_its_own_is_called_by_its_frames():
    assert title_of("evaluation even") == "even frames"


def test_reranked_figures_have_rows_of_their_own_and_verification_a_column():
    labels = ("I2V", "I2V-reranked", "V2I", "V2I-reranked")
    names = [*FIGURES, "TPR@FPR=1e-04"]
    figures = {f"{label}/{name}": 10.0 * i for i, label in enumerate(labels) for name in names}
    header, _, *rows = cells(results_table({"evaluation": figures}))
    assert header == ["direction", "", *names]
    assert rows == [[label, "evaluation", *[f"{10 * i}.00"] * len(names)] for i, label in enumerate(labels)]


def test_written_results_are_read_back(tmp_path):
    write_results(tmp_path / "results.json", {"I2V/mAP": 50.0}, {"frames": "even"}, {"I2V": [25.0, 50.0]})
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "figures": {"I2V/mAP": 50.0},
        "protocol": {"frames": "even"},
        "curves": {"I2V": [25.0, 50.0]},
    }


@pytest.fixture(scope="module")
def ranked():
    rules = RankingRules(rerank=(KReciprocal(6, 3, 0.25), KReciprocal(10, 3, 0.0)), temporal=Temporal(5, 3, 0.8, 0.1))
    return list(rankings(random_features(halves=True), rules))


SETTINGS = [["", "", ""], ["6", "3", "0.25"], ["10", "3", "0.0"], ["5", "3", "0.8 0.1"]]
LABELS = [f"{d}{suffix}" for d in ("I2V", "V2I") for suffix in ("", "-reranked", "-reranked", "-temporal")]


def test_a_sweep_is_a_table_of_settings_and_figures(ranked):
    header, _, *rows = cells(rankings_table(ranked))
    assert header == ["ranking", "k1", "k2", "lambda", *FIGURES]
    assert [row[:4] for row in rows] == [[label, *s] for label, s in zip(LABELS, SETTINGS * 2, strict=True)]
    assert [row[4:] for row in rows] == [[f"{value:.2f}" for value in r.figures.values()] for r in ranked]


def test_a_sweep_is_written_in_full_precision(ranked, tmp_path):
    write_rankings(tmp_path / "sweep.csv", ranked)
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ranking"] for row in rows] == LABELS
    for row, ranking in zip(rows, ranked, strict=True):
        assert {name: float(row[name]) for name in FIGURES} == ranking.figures
