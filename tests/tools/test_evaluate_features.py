import csv
import itertools
from dataclasses import asdict

import pytest

from tests.evaluation.feature_sets import random_features
from xreid_plugin.evaluation.features import load_features, save_features
from xreid_plugin.evaluation.ranking import RankingProtocol, rankings
from xreid_plugin.evaluation.rerank import Expansion, KReciprocal, Temporal


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("evaluate_features").main


@pytest.fixture
def saved(tmp_path):
    """A file as an evaluation saves it, with a protocol that is unlike the defaults."""
    protocol = RankingProtocol("keep", Expansion(k=3), (KReciprocal(7, 3, 0.4),), Temporal(4, 2, 0.6, 0.2), True)
    path = tmp_path / "saved.npz"
    save_features(path, random_features(halves=True, protocol=asdict(protocol)))
    return path, protocol


def rows_of(main, path, *options):
    out = path.with_suffix(".csv")
    assert main([str(path), *options, "--csv", str(out)]) == 0
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_rows_are(rows, expected):
    assert [row["ranking"] for row in rows] == [ranking.label for ranking in expected]
    for row, ranking in zip(rows, expected, strict=True):
        assert {name: float(row[name]) for name in ranking.metrics} == ranking.metrics


def test_without_options_the_run_is_repeated(main, saved, capsys):
    path, protocol = saved
    assert_rows_are(rows_of(main, path), list(rankings(load_features(path), protocol)))
    assert "I2V 8 x 16, V2I 8 x 16; same camera: keep" in capsys.readouterr().out


def test_a_grid_is_swept_around_the_files_other_settings(main, saved):
    path, protocol = saved
    rows = rows_of(main, path, "--k1", "5", "9", "--lambda", "0", "0.5")
    grid = tuple(KReciprocal(k1, 3, weight) for k1, weight in itertools.product((5, 9), (0.0, 0.5)))
    expected = RankingProtocol(protocol.same_camera, protocol.expansion, grid, protocol.temporal, protocol.roc)
    assert_rows_are(rows, list(rankings(load_features(path), expected)))
    swept = [(row["k1"], row["k2"], row["lambda"]) for row in rows if row["ranking"] == "I2V-reranked"]
    assert swept == [("5", "3", "0.0"), ("5", "3", "0.5"), ("9", "3", "0.0"), ("9", "3", "0.5")]
