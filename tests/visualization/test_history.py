import json
import math

import pytest

from xreid_plugin.visualization.history import Series, read_history


def write(path, *lines, end="\n"):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + end)
    return path


def test_scalars_are_gathered_by_name(tmp_path):
    file = write(
        tmp_path / "m.json", {"iteration": 4, "lr": 1.0, "loss": 3}, {"iteration": 9, "lr": 2.0, "I2V/mAP": 5.0}
    )
    assert read_history(file) == {
        "lr": Series((5, 10), (1.0, 2.0)),
        "loss": Series((5,), (3.0,)),
        "I2V/mAP": Series((10,), (5.0,)),
    }


def test_a_resumed_run_goes_on_from_its_checkpoint(tmp_path):
    file = write(tmp_path / "m.json", *({"iteration": i, "lr": value} for i, value in ((0, 1), (1, 2), (2, 3), (1, 9))))
    assert read_history(file)["lr"] == Series((1, 2, 3), (1.0, 9.0, 3.0))


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    file = write(tmp_path / "m.json", {"iteration": 0, "lr": 1}, '{"iteration": 1, "l', end="")
    assert read_history(file)["lr"].values == (1.0,)


@pytest.mark.parametrize("value", [math.nan, math.inf, "text", True, None, [1]])
def test_what_is_no_number_is_a_gap(tmp_path, value):
    file = write(tmp_path / "m.json", {"iteration": 0, "lr": value}, {"iteration": 1, "lr": 1.0})
    first, second = read_history(file)["lr"].values
    assert math.isnan(first)
    assert second == 1.0


@pytest.mark.parametrize("line", ["{", "[]", '{"lr": 1}', '{"iteration": "1"}', "[" * 100_000])
def test_a_broken_line_is_named(tmp_path, line):
    file = write(tmp_path / "m.json", {"iteration": 0, "lr": 1}, line, {"iteration": 1, "lr": 1})
    with pytest.raises(ValueError, match=r"m\.json, line 2: expected a JSON object"):
        read_history(file)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json is missing"):
        read_history(tmp_path / "none.json")
    (tmp_path / "empty.json").touch()
    with pytest.raises(ValueError, match="holds no scalars yet"):
        read_history(tmp_path / "empty.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is no text"):
        read_history(tmp_path / "b.json")
