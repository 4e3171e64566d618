import pytest

SMALL = ["--train-identities=1", "--test-identities=1", "--cameras=2", "--tracklets=2", "--frames", "12", "12"]


@pytest.fixture
def run(load_tool, capsys):
    """Gives the exit status, standard output and standard error."""

    def runner(*arguments):
        try:
            return load_tool("make_synthetic_vcm").main([*map(str, arguments)]), *capsys.readouterr()
        except SystemExit as end:
            return end.code, *capsys.readouterr()

    return runner


# Two tracklets a modality of two people; BUPTCampus has one more person, with one.
@pytest.mark.parametrize(
    ("layout", "file", "people"), [("vcm", "info/query_IDX.txt", (2, 8)), ("bupt", "data_paths.json", (3, 10))]
)
def test_a_set_and_its_preview_are_written(run, tmp_path, layout, file, people):
    arguments = ["--output", tmp_path / "set", "--preview", tmp_path / "sheet.png", "--layout", layout]
    status, shown, error = run(*arguments, *SMALL)
    assert (status, error) == (0, "")
    frames = len(list((tmp_path / "set").rglob("*.jpg")))
    identities, tracklets = people
    assert f"{tmp_path / 'set'}: {identities} identities, {tracklets} tracklets, {frames} frames" in shown
    assert shown.endswith(f" {tmp_path / 'set'}\n")
    assert (tmp_path / "set" / file).is_file()
    assert (tmp_path / "sheet.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "OCCUPIED"], "no synthetic set"),
        (["--output", "OCCUPIED/new", "--frames", "5", "9"], "fewest"),
        (["--output", "OCCUPIED/new", "--size", "96", "23"], "width"),
        (["--output", "OCCUPIED/new", "--train-identities", "200000"], "at most"),
        (["--preview", "OCCUPIED/sheet.jpg"], ".png"),
    ],
)
def test_a_users_error_is_one_message_and_status_2(run, tmp_path, arguments, message):
    (tmp_path / "note").write_text("mine")
    status, shown, error = run(*(argument.replace("OCCUPIED", str(tmp_path)) for argument in arguments))
    assert (status, shown) == (2, "")
    assert message in error.splitlines()[-1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["note"]
