import pytest
from PIL import Image


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("visualize").main


def arguments(command, run):
    features, config = str(run / "features.npz"), ["--config-file", str(run / "config.yaml")]
    return {
        "ranks": ["ranks", features, *config, "--queries", "2", "--depth", "3", "--frames", "2"],
        "embedding": ["embedding", features],
        "attention": ["attention", *config, "--people", "1"],
        "curves": ["curves", str(run)],
    }[command]


@pytest.mark.parametrize("command", ["ranks", "embedding", "attention", "curves"])
def test_pictures_of_a_run(main, small_run, tmp_path, capsys, command):
    png = tmp_path / "new" / "a.png"
    assert main([*arguments(command, small_run), "--output", str(png)]) == 0
    assert capsys.readouterr() == (f"Written to {png}\n", "")
    with Image.open(png) as picture:
        assert len(picture.convert("RGB").getcolors(2**24)) > 20
