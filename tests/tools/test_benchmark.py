"""The benchmark command, and that both sides of its comparisons do the same work."""

import importlib
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.tools.conftest import TOOLS
from xreid_plugin.data.tracklet import IMAGES, TARGETS
from xreid_plugin.data.transforms import ClipAugmentation


@pytest.fixture(scope="module")
def module():
    """A module of the benchmarks, by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def main(module, load_tool):
    return load_tool("benchmark").main


@pytest.mark.slow
def test_table_and_json_lines(main, tmp_path, capsys):
    target = tmp_path / "rerank.jsonl"
    assert main(["rerank", "--sizes", "20x40", "--repeats", "1", "--json", str(target)]) == 0
    (line,) = [json.loads(text) for text in target.read_text().splitlines()]
    assert (line["case"], line["size"]) == ("re-ranking", "20x40")
    assert line["speedup"] == pytest.approx(line["reference"]["seconds"] / line["plugin"]["seconds"])
    printed, told = capsys.readouterr()
    assert told.startswith("1/1 re-ranking, 20x40: ")
    assert printed.startswith("case")
    assert printed.endswith(target.read_text())


def test_growth_of_known_powers(module):
    report, measurement = module("report"), module("measure").Measurement
    case = report.Case("ranking", "any", None, ())
    lines = [
        report.record(replace(case, scale=n), None, measurement(3e-4 * n**2, 0.0, 1, 9.0, 0.5 * n)) for n in (10, 100)
    ]
    assert report.growth(lines).splitlines()[-1].split() == ["ranking", "10,", "100", "2.00", "1.00"]
    assert report.growth(lines[:1]) == ""


@pytest.mark.parametrize("given", ["distances", "features"])
def test_rankings_agree(module, given):
    work = getattr(module("retrieval"), f"rank_{given}")
    _, ap, inp = work(30, 90, plainly=True).run()
    found = work(30, 90).run()
    assert found.mAP == pytest.approx(np.mean(ap))
    assert found.mINP == pytest.approx(np.mean(inp))


def test_re_ranked_distances_agree(module):
    rerank = module("retrieval").rerank
    np.testing.assert_allclose(rerank(30, 90).run(), rerank(30, 90, plainly=True).run(), atol=1e-5)


def test_normalised_on_the_device_our_batches_are_the_plain_ones(module):
    reading = module("reading")
    tracklets = reading.draw_tracklets(reading.new_folder(), 2, reading.FRAMES, reading.SIZE)
    (plain,), (ours,) = (list(reading.loader(tracklets, ClipAugmentation(), plainly)) for plainly in (True, False))
    assert torch.equal(ours[TARGETS], plain[TARGETS])
    assert ours[IMAGES].shape == plain[IMAGES].shape
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (reading.MEAN, reading.STD))
    # In levels of 255; two decoders may round a level apart.
    difference = (ours[IMAGES].float() - (plain[IMAGES] * std + mean)).abs()
    assert difference.max() <= 1 + 1e-3
    assert difference.mean() <= 0.05


def test_packs_and_loose_files_are_read(module, monkeypatch):
    reading = module("reading")
    monkeypatch.setattr(reading, "SIZE", (32, 16))
    for kind, how, plainly in itertools.product(("files", "frames"), reading.WAYS, (False, True)):
        reading.epoch(kind, how, 1, plainly).run()


def test_the_gallery_that_is_built_is_searched(module, tmp_path):
    gallery = module("gallery")
    for kind in ("exact", "ivf"):
        given = tmp_path / kind, 1200, kind
        gallery.build(*given).run()
        works = [gallery.search(*given, plainly) for plainly in (False, True)]
        for work in works:
            work.run()
        assert 0.5 < works[0].recall <= works[1].recall == 1


def test_both_sides_of_the_models_work_run(module, monkeypatch):
    model = module("model")
    recipe, size = model.make_config, (32, 16)

    def tiny(frames):
        cfg = recipe(frames)
        cfg.MODEL.BACKBONE.CLIP_MODEL, cfg.MODEL.MII.HEADS = "xreid-tiny", 4
        cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = list(size)
        return cfg

    monkeypatch.setattr(model, "make_config", tiny)
    monkeypatch.setattr(model, "SIZE", size)
    features = [model.embed(2, 1, plainly).run() for plainly in (False, True)]
    # bfloat16 beside float32.
    assert torch.nn.functional.cosine_similarity(*features).min() > 0.99
    for plainly in (False, True):
        model.train(4, 1, 1, "bfloat16", plainly)
    # Tracklets of 24 frames, in clips of 10.
    for work in (model.evaluate(2, 10), model.evaluate(2, 10, plainly=True)):
        assert sum(map(len, work.run())) == 6
