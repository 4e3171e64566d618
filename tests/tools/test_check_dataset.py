import pytest

from tests.data.datasets.trees import small_vcm


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("check_dataset").main


def test_a_clean_copy_exits_0(main, tmp_path, capsys):
    small_vcm(tmp_path / "HITSZ-VCM").write()
    assert main(["--dataset", "HITSZVCM", "--root", str(tmp_path), "--no-counts", "--deep", "--workers", "1"]) == 0
    output = capsys.readouterr().out
    assert "No failures; counts were not compared" in output
    assert "train infrared frames" in output
    assert "98,214" not in output


def test_a_partial_copy_exits_1_unless_counts_are_waived(main, tmp_path, capsys):
    small_vcm(tmp_path).write()
    arguments = ["--dataset", "HITSZVCM", "--root", str(tmp_path)]
    assert main([*arguments, "--all", str(tmp_path / "all.txt")]) == 1
    printed, listed = capsys.readouterr().out, (tmp_path / "all.txt").read_text().splitlines()
    assert "98,214" in printed
    # The console names five.
    assert len(listed) > 5
    assert main([*arguments, "--no-counts"]) == 0
    assert "FAILURE" not in capsys.readouterr().out
