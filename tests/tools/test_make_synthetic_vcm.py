import pytest

SMALL = ["--train-identities=1", "--test-identities=1", "--cameras=2", "--tracklets=2", "--frames", "12", "12"]


# Two tracklets a modality of two people; BUPTCampus has one more person, with one.
@pytest.mark.parametrize(
    ("layout", "file", "people"), [("vcm", "info/query_IDX.txt", (2, 8)), ("bupt", "data_paths.json", (3, 10))]
)
def test_a_set_and_its_preview_are_written(load_tool, tmp_path, capsys, layout, file, people):
    root, sheet = tmp_path / "set", tmp_path / "sheet.png"
    arguments = ["--output", str(root), "--preview", str(sheet), "--layout", layout]
    assert load_tool("make_synthetic_vcm").main([*arguments, *SMALL]) == 0
    shown, error = capsys.readouterr()
    identities, tracklets = people
    frames = len(list(root.rglob("*.jpg")))
    assert f"{root}: {identities} identities, {tracklets} tracklets, {frames} frames" in shown
    assert f"{frames} of {frames} frames" in error
    assert 2 <= len(error.splitlines()) <= 10
    assert (root / file).is_file()
    assert sheet.is_file()


def test_videos_tell_no_next_step_before_there_is_a_model(load_tool, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["--output", "videos", "--layout", "videos", "--overwrite", *SMALL]
    assert load_tool("make_synthetic_vcm").main(command) == 0
    assert "gallery.py" not in capsys.readouterr().out
    model = tmp_path / "logs/xreid/synthetic/model_final.pth"
    model.parent.mkdir(parents=True)
    model.touch()
    assert load_tool("make_synthetic_vcm").main(command) == 0
    assert "--checkpoint logs/xreid/synthetic/model_final.pth" in capsys.readouterr().out
