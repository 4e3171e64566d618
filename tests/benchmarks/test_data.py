"""The common way of reading and ours do the same work."""

from dataclasses import replace

import pytest
import torch

from xreid_plugin.benchmarks import data
from xreid_plugin.config import get_cfg
from xreid_plugin.data.tracklet import IMAGES, TARGETS
from xreid_plugin.data.transforms import ClipAugmentation


def base_config():
    cfg = get_cfg()
    cfg.merge_from_file("configs/Base-VVI.yml")
    return cfg


def only_batch(loader):
    [batch] = loader
    return batch


def test_normalised_on_the_device_our_batches_are_the_plain_ones():
    tracklets = data.make_tracklets(288, 144)
    plain = only_batch(data.plain_loader(tracklets, data.NONE))
    ours = only_batch(data.loose_loader(tracklets, data.NONE))
    assert torch.equal(ours[TARGETS], plain[TARGETS])
    assert ours[IMAGES].dtype == torch.uint8
    assert ours[IMAGES].shape == plain[IMAGES].shape == (data.CLIPS, data.FRAMES, 3, 288, 144)
    cfg = base_config()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD))
    difference = ((ours[IMAGES].float() - mean) / std - plain[IMAGES]).abs() * std
    # In levels of 255; two decoders may round a level apart.
    assert difference.max() <= 1 + 1e-3
    assert difference.mean() <= 0.05


def test_the_work_is_that_of_the_configuration():
    cfg = base_config()
    configured = ClipAugmentation.from_config(cfg)
    assert configured.jitter_prob == configured.padding == 0
    # What is of no account there, and the colour of what is erased, which takes no time.
    same = {"jitter": data.AUGMENTATION.jitter, "erase_value": data.AUGMENTATION.erase_value}
    assert replace(configured, **same) == data.AUGMENTATION
    assert (tuple(cfg.INPUT.SIZE_TRAIN), cfg.INPUT.CLIP.FRAMES) == (data.SIZE, data.FRAMES)
    assert cfg.SOLVER.IMS_PER_BATCH == data.CLIPS


def test_both_augment():
    tracklets = data.make_tracklets(288, 144)
    for make in (data.plain_loader, data.loose_loader):
        augmented, still = (only_batch(make(tracklets, how))[IMAGES] for how in (data.AUGMENTATION, data.NONE))
        changed = (augmented != still).flatten(2).any(2)
        # Three quarters of 160 frames are flipped, erased or both; ours flips whole clips.
        assert changed.double().mean() > 0.4


def test_cases_name_functions_that_are_there():
    threads = torch.get_num_threads()
    try:
        for case in data.cases(["64x32"]):
            assert (case.size, case.items) == ("64x32", 320)
            for side in (case.reference, case.plugin):
                getattr(data, side)(**case.arguments)()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("text", ["288", "288x", "288x144x3", "8x144", "-288x144", "axb"])
def test_unreadable_sizes(text):
    with pytest.raises(ValueError, match="height x width"):
        data.cases([text])
