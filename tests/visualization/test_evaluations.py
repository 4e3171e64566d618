import json

import pytest
from xreid_plugin.visualization.cmc import cmc_panels
from xreid_plugin.visualization.evaluations import read_evaluations
from xreid_plugin.visualization.page_tables import result_tables

from xreid_plugin.evaluation.ranking import write_results
from xreid_plugin.visualization.panels import render


def write(folder, *names):
    for number, name in enumerate(names):
        write_results(folder / f"results_{name}.json", {"I2V/mAP": float(number)}, {}, {"I2V": [number, 50.0]})


def test_evaluations_come_in_the_order_of_training(tmp_path):
    write(tmp_path, "epoch_10", "epoch_9", "evaluation_dense", "before_training")
    found = read_evaluations(tmp_path)
    assert [evaluation.label for evaluation in found] == ["before training", "epoch 9", "epoch 10", "dense frames"]
    assert [evaluation.figures["I2V/mAP"] for evaluation in found] == [3, 1, 0, 2]


def test_test_sets_are_told_apart(tmp_path):
    write(tmp_path, "HITSZVCM_epoch_1", "BUPTCampus_epoch_1", "HITSZVCM_before_training")
    found = read_evaluations(tmp_path)
    assert [(e.dataset, e.label) for e in found] == [
        ("BUPTCampus", "epoch 1"),
        ("HITSZVCM", "before training"),
        ("HITSZVCM", "epoch 1"),
    ]
    assert [panel.title for panel in cmc_panels(found)] == ["CMC on BUPTCampus", "CMC on HITSZVCM"]
    assert [(table.dataset, len(table.rows)) for table in result_tables(found)] == [("BUPTCampus", 1), ("HITSZVCM", 2)]


def test_a_table_shows_the_ends_of_training(tmp_path):
    write(tmp_path, "before_training", "epoch_1", "epoch_2")
    (table,) = result_tables(read_evaluations(tmp_path))
    assert [row[1] for row in table.ends] == ["before training", "epoch 2"]
    assert table.rows[1] == ("I2V", "epoch 1", [1.0])


def test_curves_are_drawn(tmp_path):
    write(tmp_path, "before_training", "epoch_2")
    (panel,) = cmc_panels(read_evaluations(tmp_path))
    assert "of epoch 2: I2V reaches 1.0 % at rank 1" in panel.alt
    assert render([panel], "png")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"figures": {}}',
        json.dumps({"figures": {"I2V/mAP": "<b>"}, "curves": {}, "protocol": {}}),
        json.dumps({"figures": {"mAP": 1}, "curves": {}, "protocol": {}}),
        '{"figures": {"I2V/mAP": NaN}, "curves": {}, "protocol": {}}',
    ],
)
def test_a_file_of_another_form_is_named(tmp_path, content):
    (tmp_path / "results_epoch_1.json").write_text(content)
    with pytest.raises(ValueError, match=r"results_epoch_1\.json is not as an evaluation writes it"):
        read_evaluations(tmp_path)


def test_other_files_are_none_of_its_business(tmp_path):
    (tmp_path / "results_of_mine.json").write_text("{")
    assert read_evaluations(tmp_path) == []
