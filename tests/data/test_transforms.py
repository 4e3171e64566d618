import numpy as np
import pytest
import torch

from xreid_plugin.config import get_cfg
from xreid_plugin.data.transforms import ClipAugmentation, to_planes

EVERYTHING = ClipAugmentation(
    flip=0.5, padding=3, jitter=(0.4, 0.4, 0.4, 0.2), jitter_prob=0.8, erase=0.5, erase_per="frame"
)


def random_clip(frames=4, height=24, width=12, seed=0):
    return torch.randint(256, (frames, 3, height, width), dtype=torch.uint8, generator=torch.manual_seed(seed))


def still_clip(frames=4):
    """The same picture over and over."""
    return random_clip(1).repeat(frames, 1, 1, 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def augment(augmentation, clip, rng):
    """What becomes of a clip that is decoded, and so has its colours last; both are (T, 3, H, W)."""
    augmented = torch.full_like(clip, 77, memory_format=torch.contiguous_format)
    frames = clip.permute(0, 2, 3, 1).contiguous().numpy()
    before = frames.copy()
    augmentation(frames, augmented, rng)
    assert np.array_equal(frames, before)
    return augmented


def alike(clip):
    return torch.equal(clip, clip[:1].expand_as(clip))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (5, 3)])
def test_planes_are_the_colours_of_the_frames(size, mirrored):
    frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    # A clip within a batch: its neighbours must not be written to.
    batch = torch.full((3, 3, 3, *size), 9, dtype=torch.uint8)
    to_planes(frames, batch[1], mirrored)
    shown = frames[:, :, ::-1] if mirrored else frames
    assert np.array_equal(batch[1].numpy(), np.moveaxis(shown, -1, 1))
    assert (batch[::2] == 9).all()


def test_the_generator_alone_decides_and_nothing_changes_without_probabilities():
    results = [augment(EVERYTHING, random_clip(), rng(seed)) for seed in (5, 5, 6)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    never = ClipAugmentation(jitter=(0.9, 0.9, 0.9, 0.5))
    assert torch.equal(augment(never, random_clip(), rng()), random_clip())


def test_crop_is_one_window_of_the_padded_clip():
    padding, clip = 2, random_clip()
    height, width = clip.shape[-2:]
    padded = np.pad(clip.numpy(), [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = {
        (top, left): padded[..., top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    }
    found = set()
    for seed in range(250):
        cropped = augment(ClipAugmentation(padding=padding), clip, rng(seed)).numpy()
        (offset,) = [offset for offset, window in windows.items() if np.array_equal(window, cropped)]
        found.add(offset)
    # Each offset has one chance in 25: that 250 draws miss a given one has a probability below 1e-4.
    assert found == set(windows)


@pytest.mark.parametrize("part", range(4), ids=["brightness", "contrast", "saturation", "hue"])
def test_colour_changes_all_frames_alike(part):
    jitter = [0.0] * 4
    jitter[part] = 0.4
    augmented = augment(ClipAugmentation(jitter=tuple(jitter), jitter_prob=1.0), still_clip(), rng(1))
    assert alike(augmented)
    assert not torch.equal(augmented, still_clip())


@pytest.mark.parametrize("per", ["frame", "clip"])
def test_erasing_leaves_one_rectangle_of_the_promised_area(per):
    least, greatest = 0.05, 0.2
    augmentation = ClipAugmentation(
        erase=1.0, erase_per=per, erase_area=(least, greatest), erase_value=(123.675, 116.28, 103.53)
    )
    clip = torch.zeros(3, 3, 60, 40, dtype=torch.uint8)
    for seed in range(30):
        erased_clip = augment(augmentation, clip, rng(seed))
        assert alike(erased_clip) or per == "frame"
        for frame in erased_clip.numpy():
            erased = frame.any(axis=0)
            rows, columns = (np.flatnonzero(erased.any(axis=axis)) for axis in (1, 0))
            inside = frame[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert np.array_equal(inside, np.broadcast_to(np.reshape([124, 116, 104], (3, 1, 1)), inside.shape))
            # Each side is rounded to whole pixels, by half a pixel at most.
            rounding = sum(inside.shape[1:]) / 2 + 0.25
            assert least * erased.size - rounding <= erased.sum() <= greatest * erased.size + rounding


def test_host_keys_become_draws_per_clip():
    cfg = get_cfg()
    for part in (cfg.INPUT.FLIP, cfg.INPUT.PADDING, cfg.INPUT.CJ, cfg.INPUT.REA):
        part.ENABLED = False
    assert torch.equal(augment(ClipAugmentation.from_config(cfg), random_clip(), rng()), random_clip())
    for part in (cfg.INPUT.FLIP, cfg.INPUT.PADDING, cfg.INPUT.CJ, cfg.INPUT.REA):
        part.ENABLED = True
    cfg.INPUT.FLIP.PROB, cfg.INPUT.PADDING.SIZE, cfg.INPUT.CJ.PROB, cfg.INPUT.CJ.HUE = 0.1, 7, 0.2, 0.15
    cfg.INPUT.REA.PROB, cfg.INPUT.REA.PER, cfg.INPUT.REA.AREA = 0.6, "clip", [0.1, 0.3]
    made = ClipAugmentation.from_config(cfg)
    assert (made.flip, made.padding, made.jitter_prob, made.jitter[3]) == (0.1, 7, 0.2, 0.15)
    assert (made.erase, made.erase_per, made.erase_area) == (0.6, "clip", (0.1, 0.3))
