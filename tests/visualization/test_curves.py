import math

import pytest

from xreid_plugin.evaluation.results import Results
from xreid_plugin.visualization.curves import cmc_panels, training_panels
from xreid_plugin.visualization.panels import render
from xreid_plugin.visualization.run_folder import Evaluation


def series(*values):
    return list(range(1, len(values) + 1)), values


def evaluation(epoch, value, dataset="", **protocol):
    metrics = {"I2V/mAP": value, "I2V/Rank-1": 2 * value, "I2V-reranked/mAP": 99.0}
    results = Results(metrics, protocol, {"I2V": [value, 50.0]}, {"checkpoint": ""})
    return Evaluation(f"epoch {epoch}", epoch, dataset, results)


def test_a_panel_for_each_kind_that_was_written():
    history = {"lr": series(1e-6, 5e-6), "loss_cpcl": series(2, 0), "total_loss": series(3, 1), "time": series(1, 1)}
    history["prototype/own"] = series(0.1, 0.2)
    # The first was evaluated under another protocol than the last.
    evaluations = [evaluation(0, 9.0, frames="dense"), evaluation(1, 1.0), evaluation(2, 6.0)]
    panels = {panel.title: panel for panel in training_panels(history, evaluations)}
    assert list(panels) == ["Losses", "Learning rate", "Prototypes", "Evaluations"]
    assert "total from 3 to 1; cpcl from 2 to 0" in panels["Losses"].alt
    assert "epochs: I2V mAP from 1 to 6; I2V Rank-1 from 2 to 12." in panels["Evaluations"].alt
    assert [panel.title for panel in training_panels({"lr": series(1)}, [])] == ["Learning rate"]
    assert training_panels({"time": series(1)}, []) == []


@pytest.mark.parametrize("values", [(1, math.nan, 2), (0, 0, 0)])
def test_odd_losses_are_drawn(values):
    (panel,) = training_panels({"total_loss": series(*values), "loss_$x": series(*values)}, [])
    assert render([panel], "png")


def test_the_cmc_of_every_test_set():
    ends = {name: (evaluation(0, 1.0, name), evaluation(3, 7.0, name)) for name in ("A", "B")}
    panels = cmc_panels(ends)
    assert [panel.title for panel in panels] == ["CMC on A", "CMC on B"]
    assert "of epoch 3: I2V reaches 7.0 % at rank 1" in panels[0].alt
    assert render(panels, "png")
