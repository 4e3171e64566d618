"""The benchmark command, and that both sides of its comparisons do the same work."""

import importlib
import itertools
from dataclasses import replace
from functools import partial

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


def test_growth_of_known_powers(module):
    report, measurement = module("report"), module("measure").Measurement
    case = report.Case("ranking", "any", None, ())
    lines = [report.record(replace(case, scale=n), None, measurement(3e-4 * n**2, 0.0, 9.0, 0.5)) for n in (10, 100)]
    assert report.growth(lines).splitlines()[-1].split() == ["ranking", "10,", "100", "2.00"]
    assert report.growth(lines[:1]) == ""
    assert report.record(case, measurement(6.0, 0, 9.0, 0), measurement(2.0, 0, 9.0, 0))["speedup"] == 3


@pytest.mark.parametrize("given", ["distances", "features"])
def test_rankings_agree(module, given, monkeypatch):
    retrieval = module("retrieval")
    # In Python: to compile takes longer than all of these tests.
    monkeypatch.setattr(retrieval, "COMPILED", False)
    found = retrieval.rank(60, 180, "", given, "").run()
    assert 0.3 < found.mAP < 0.9
    for against in (retrieval.FAST_REID, retrieval.VECTORISED):
        curve, ap, inp = retrieval.rank(60, 180, against, given, "", plainly=True).run()
        np.testing.assert_allclose(found.curve, curve, atol=1e-6)
        assert (np.mean(ap), np.mean(inp)) == (pytest.approx(found.mAP), pytest.approx(found.mINP))


def test_re_ranked_distances_agree(module):
    retrieval = module("retrieval")
    ours = retrieval.rerank(30, 90, "").run()
    assert ours.std() > 0.1
    for case in retrieval.rerank_cases(["30x90"])[:2]:
        np.testing.assert_allclose(case.prepare(*case.arguments, plainly=True).run(), ours, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_normalised_on_the_device_our_batches_are_those_of_others(module):
    reading = module("reading")
    tracklets = reading.draw_tracklets(reading.new_folder(), 2, reading.FRAMES, reading.SIZE)
    ours, *others = (next(iter(reading.loader(tracklets, ClipAugmentation(), how))) for how in ("", *reading.OTHERS))
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (reading.MEAN, reading.STD))
    for how, batch in zip(reading.OTHERS, others, strict=True):
        assert torch.equal(ours[TARGETS], batch[TARGETS])
        pixels = batch[IMAGES] if how == "uint8" else batch[IMAGES] * std + mean
        # In levels of 255; two decoders may round a level apart.
        difference = (ours[IMAGES].float() - pixels).abs()
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
        assert 0.5 < works[0].found["recall"] <= works[1].found["recall"] == 1


def test_both_sides_of_the_models_work_run(module, monkeypatch):
    model = module("model")
    monkeypatch.setattr(model, "make_config", partial(model.make_config, file="synthetic.yml"))
    monkeypatch.setattr(model, "SIZE", (96, 48))
    for case in [*model.refresh_cases(["2x2"])[:3], *model.inference_cases(["2x10"])[:3]]:
        works = (case.prepare(*case.arguments, plainly=plainly) for plainly in (False, True))
        # Batches of one side are those of the other, joined. Tracklets of 24 frames have three clips of 10.
        ours, other = (torch.cat([*work.run()]).flatten() for work in works)
        rounding = 1e-2 if "bfloat16" in case.name else 1e-5
        assert torch.nn.functional.cosine_similarity(ours, other, dim=0) > 1 - rounding
    for plainly in (False, True):
        model.train(4, 1, 1, "eager", plainly)


@pytest.mark.slow
def test_what_two_processes_exchange_is_counted(module):
    exchange, model = partial(module("processes").exchange, 4, 2, True, "synthetic.yml"), module("model")
    found = module("measure").measure(exchange, 1).found
    assert [found[f"{what} ×"] for what in ("clips", "prototypes", "stop")] == [2, 1, 1]
    parameters = model.make_model(model.make_config(2, "synthetic.yml")).parameters()
    learnt = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    # Two bytes each, but for the position embeddings of larger frames.
    assert found["gradients MB"] == pytest.approx(2e-6 * learnt, rel=0.02)
