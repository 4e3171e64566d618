import shutil

import pytest

from tests.data.datasets.trees import small_bupt, small_vcm
from tests.data.test_pack import damage
from xreid_plugin.data.pack import Pack


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("pack_dataset").main


def test_packs_and_verifies_and_then_needs_no_files(main, tmp_path, capsys):
    home = small_vcm(tmp_path / "HITSZ-VCM").write()
    file = tmp_path / "set.pack"
    arguments = ["--dataset", "HITSZVCM", "--root", str(tmp_path), "--output", str(file), "--verify"]
    assert main([*arguments, "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert f"{file}: 96 frames of HITSZVCM, as files, {file.stat().st_size:,} bytes." in out
    assert "all checksums agree" in out
    assert err == ""
    shutil.rmtree(home / "Train")
    shutil.rmtree(home / "Test")
    assert main(arguments) == 0
    assert "packed before." in capsys.readouterr().out


def test_short_tracklets_and_the_auxiliary_set_are_packed_too(main, tmp_path):
    vcm, bupt = small_vcm(tmp_path / "HITSZ-VCM"), small_bupt(tmp_path / "BUPTCampus")
    vcm.track("train", 1, 7, 3, length=2)
    vcm.write()
    home = bupt.write()
    for name in ("HITSZVCM", "BUPTCampus"):
        output = str(tmp_path / f"{name}.pack")
        assert main(["--dataset", name, "--root", str(tmp_path), "--output", output, "--frames", "8x4"]) == 0
    info = Pack(tmp_path / "HITSZVCM.pack").info
    assert (info.dataset, info.size, info.count) == ("HITSZVCM", (8, 4), 98)
    # Pairs of training and auxiliary identities, two queries, and a pair of gallery tracklets of each: two frames each.
    assert Pack(tmp_path / "BUPTCampus.pack").info.count == 2 * (2 * 2 + 2 + 2 + 4)
    (home / "train_auxiliary.txt").unlink()
    assert main(["--dataset", "BUPTCampus", "--root", str(tmp_path), "--output", str(tmp_path / "less.pack")]) == 0
    assert Pack(tmp_path / "less.pack").info.count == 2 * (2 * 2 + 2 + 4)


def test_a_damaged_pack_exits_1_with_the_frame(main, tmp_path, capsys):
    small_vcm(tmp_path).write()
    arguments = ["--dataset", "HITSZVCM", "--root", str(tmp_path), "--output", str(tmp_path / "set.pack")]
    assert main(arguments) == 0
    damage(tmp_path / "set.pack", "Train/0007/rgb/D3/5.jpg")
    assert main(arguments) == 0
    assert main([*arguments, "--verify"]) == 1
    out = capsys.readouterr().out
    assert "FAILURE: " in out
    assert "frame Train/0007/rgb/D3/5.jpg" in out
    assert "The pack is damaged or outdated" in out
