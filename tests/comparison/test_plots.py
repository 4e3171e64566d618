import pytest
from PIL import Image

from tests.comparison.finished import finished
from xreid_plugin.comparison.plots import plot_cmc, plot_map
from xreid_plugin.comparison.results import rows_of


def rows(folder, count, seeds=1, reranked=None):
    runs = [
        finished(folder, f"model{number}", seed, rank1=10.0 * number + seed, mean_precision=9.0, reranked=reranked)
        for number in range(count)
        for seed in range(seeds)
    ]
    return rows_of(runs, {})


def pixels(path):
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        # Twice the 800 that it is read at.
        assert picture.width == 1600
        return picture.tobytes()


@pytest.mark.parametrize("plot", [plot_cmc, plot_map])
@pytest.mark.parametrize(("count", "seeds"), [(1, 1), (3, 2), (10, 1)])
def test_plots_are_whole_pngs(tmp_path, plot, count, seeds):
    plot(rows(tmp_path / "runs", count, seeds), tmp_path / "plot.png")
    assert len(set(pixels(tmp_path / "plot.png"))) > 10
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["plot.png"]


def test_re_ranked_bars_stand_beside_the_raw(tmp_path):
    plot_map(rows(tmp_path / "raw", 2), tmp_path / "raw.png")
    plot_map(rows(tmp_path / "both", 2, reranked=12.0), tmp_path / "both.png")
    with Image.open(tmp_path / "raw.png") as raw, Image.open(tmp_path / "both.png") as both:
        assert both.height > raw.height


def test_a_curve_is_drawn_for_every_row(tmp_path):
    plot_cmc(rows(tmp_path / "two", 2), tmp_path / "two.png")
    plot_cmc(rows(tmp_path / "one", 1), tmp_path / "one.png")
    assert pixels(tmp_path / "two.png") != pixels(tmp_path / "one.png")
