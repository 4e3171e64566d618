import math

import pytest

from xreid_plugin.visualization.curves import training_panels
from xreid_plugin.visualization.evaluations import Evaluation
from xreid_plugin.visualization.history import Series
from xreid_plugin.visualization.panels import render


def series(*values):
    return Series(tuple(range(1, len(values) + 1)), tuple(map(float, values)))


def test_a_panel_for_each_kind_that_was_written():
    history = {
        "total_loss": series(3, 2, 1),
        "loss_cpcl": series(2, 1, 0),
        "lr": series(1e-6, 5e-6, 5e-6),
        "prototype/own": series(0.1, 0.2),
        "time": series(1, 1),
        "I2V/mAP": series(5, 6),
        "I2V/Rank-1": series(3, 4),
        "I2V-reranked/mAP": series(7, 8),
    }
    panels = {panel.title: panel for panel in training_panels(history)}
    assert list(panels) == ["Losses", "Learning rate", "Prototypes", "Evaluations"]
    assert "total from 3 to 1; cpcl from 2 to 0" in panels["Losses"].alt
    assert "reranked" not in panels["Evaluations"].alt
    assert [panel.title for panel in training_panels({"lr": series(1)})] == ["Learning rate"]
    assert training_panels({"time": series(1)}) == []


def test_evaluations_begin_before_training():
    before = Evaluation("before training", "", {"I2V/mAP": 1.0}, {}, {})
    later = Evaluation("epoch 1", "", {"I2V/mAP": 99.0}, {}, {})
    (panel,) = training_panels({"I2V/mAP": series(5, 6)}, [before, later])
    assert "I2V mAP from 1 to 6" in panel.alt


@pytest.mark.parametrize("values", [(1, math.nan, 2), (0, 0, 0), (math.nan,), (-1, 1), (5, 5)])
def test_odd_losses_are_drawn(values):
    (panel,) = training_panels({"total_loss": series(*values), "loss_$x": series(*values)})
    assert render([panel], "png")
