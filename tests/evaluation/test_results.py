import pytest

from xreid_plugin.evaluation.results import (
    ALONE,
    Results,
    read_results,
    set_results_aside,
    write_results,
)

PROTOCOL = {"dataset": "HITSZVCM", "frames": "even", "same_camera": "exclude", "substituted_frames": 0}


def results(model="ab", **protocol):
    return Results({"I2V/mAP": 50.0}, {**PROTOCOL, **protocol}, {"I2V": [25.0, 50.0]}, {"fingerprint": model})


def test_written_results_are_read_back(tmp_path):
    path = write_results(tmp_path, "epoch 12", "", results())
    assert path.name == "results_epoch_12.json"
    assert read_results(path) == results()
    # Those of an earlier run.
    set_results_aside(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["results_epoch_12.json.previous"]
    path.write_text('{"metrics": {}}')
    with pytest.raises(ValueError, match=r"results_epoch_12\.json"):
        read_results(path)


def test_evaluations_share_a_file_only_where_model_and_protocol_are_one(tmp_path):
    different = [results(), results("cd"), results(same_camera="keep"), results(frames="dense"), results(dataset="B")]
    files = {write_results(tmp_path, ALONE, "", one) for one in different}
    assert len(files) == 5
    # What was met under a protocol is not a setting.
    assert write_results(tmp_path, ALONE, "", results(substituted_frames=3)) in files
    assert write_results(tmp_path, ALONE, "Set", results()).name.startswith("results_Set_evaluation_even_")
