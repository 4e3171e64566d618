"""The benchmark command, run as a user runs it."""

import json

import pytest


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("benchmark").main


def test_table_and_json_lines(main, tmp_path, capsys):
    target = tmp_path / "rerank.jsonl"
    assert main(["rerank", "--sizes", "20x40", "--repeats", "1", "--json", str(target)]) == 0
    (line,) = [json.loads(text) for text in target.read_text().splitlines()]
    assert (line["case"], line["size"]) == ("re-ranking", "20x40")
    assert line["speedup"] == pytest.approx(line["reference"]["seconds"] / line["plugin"]["seconds"])
    printed, told = capsys.readouterr()
    assert told.startswith("1/1 re-ranking, 20x40: ")
    assert told.count("\n") == 1
    assert printed.startswith("case")
    assert f"Written to {target}\n" in printed
    assert printed.endswith(target.read_text())


def test_an_unreadable_size_is_one_message(main, capsys):
    assert main(["ranking", "--sizes", "20by40"]) == 2
    assert capsys.readouterr().err == 'benchmark: "20by40" is no size: write queries x gallery, such as 4584x5099\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ranking", "--repeats", "0"], "0 is below 1"),
        (["rerank", "--json", "/no/such/folder/lines"], "no folder /no/such/folder"),
        (["rerank", "--growth", "--sizes", "3x4"], "leave --sizes out"),
        (["speed"], "invalid choice: 'speed'"),
    ],
)
def test_wrong_usage_exits_2(main, arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err
