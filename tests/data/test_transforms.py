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


def rectangle(changed):
    """Top, left, height and width of the box around what is True in a mask."""
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    return rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1


def augment(augmentation, clip, rng):
    """What becomes of a clip that is decoded, and so has its colours last; both are (T, 3, H, W)."""
    augmented = torch.full_like(clip, 77, memory_format=torch.contiguous_format)
    augmentation(clip.permute(0, 2, 3, 1).contiguous().numpy(), augmented, rng)
    return augmented


def test_nothing_is_changed_without_probabilities():
    clip = random_clip()
    assert torch.equal(augment(ClipAugmentation(), clip, rng()), clip)


def test_the_frames_are_left_alone():
    for seed in range(10):
        frames = random_clip(seed=seed).permute(0, 2, 3, 1).contiguous().numpy()
        before = frames.copy()
        EVERYTHING(frames, torch.empty_like(random_clip()), rng(seed))
        assert np.array_equal(frames, before)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (24, 17), (288, 144)])
def test_planes_are_the_colours_of_the_frames(size, mirrored):
    frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    # A clip within a batch: its neighbours must not be written to.
    batch = torch.full((3, 3, 3, *size), 9, dtype=torch.uint8)
    to_planes(frames, batch[1], mirrored)
    shown = frames[:, :, ::-1] if mirrored else frames
    for colour in range(3):
        assert np.array_equal(batch[1, :, colour].numpy(), shown[..., colour])
    assert (batch[::2] == 9).all()


def test_the_generator_alone_decides():
    results = [augment(EVERYTHING, random_clip(), rng(seed)) for seed in (5, 5, 6)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_flip_turns_the_whole_clip_or_nothing_of_it():
    clip = random_clip()
    assert torch.equal(augment(ClipAugmentation(flip=1.0), clip, rng()), clip.flip(-1))
    outcomes = set()
    for seed in range(20):
        flipped = augment(ClipAugmentation(flip=0.5), clip, rng(seed))
        assert torch.equal(flipped, clip) or torch.equal(flipped, clip.flip(-1))
        outcomes.add(torch.equal(flipped, clip))
    assert outcomes == {True, False}


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
        offsets = [offset for offset, window in windows.items() if np.array_equal(window, cropped)]
        assert len(offsets) == 1
        found.update(offsets)
    # Each offset has one chance in 25: that 250 draws miss a given one has a probability below 1e-4.
    assert found == set(windows)


@pytest.mark.parametrize("part", range(4), ids=["brightness", "contrast", "saturation", "hue"])
def test_colour_changes_all_frames_alike(part):
    jitter = [0.0] * 4
    jitter[part] = 0.4
    augmented = augment(ClipAugmentation(jitter=tuple(jitter), jitter_prob=1.0), still_clip(), rng(1))
    assert torch.equal(augmented, augmented[:1].expand_as(augmented))
    assert not torch.equal(augmented, still_clip())


def test_brightness_stays_within_its_bound():
    grey = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    brightest = ClipAugmentation(jitter=(0.2, 0, 0, 0), jitter_prob=1.0)
    values = {int(augment(brightest, grey, rng(seed)).unique().item()) for seed in range(100)}
    assert 79 <= min(values) < 85
    assert 115 < max(values) <= 120


@pytest.mark.parametrize("part", range(3), ids=["brightness", "contrast", "saturation"])
def test_a_colour_that_would_change_by_more_than_all_of_it_ends_at_none(part):
    jitter = [0.0] * 4
    jitter[part] = 3.0
    clips = [augment(ClipAugmentation(jitter=tuple(jitter), jitter_prob=1.0), random_clip(), rng(i)) for i in range(8)]
    # Without brightness all is black; without contrast, or without saturation, channels are alike.
    assert any(torch.equal(clip, clip[:, :1].expand_as(clip)) for clip in clips)


def test_no_colour_changes_at_probability_zero():
    clip = random_clip()
    assert torch.equal(augment(ClipAugmentation(jitter=(0.9, 0.9, 0.9, 0.5), jitter_prob=0.0), clip, rng()), clip)


@pytest.mark.parametrize("per", ["frame", "clip"])
def test_erasing_leaves_one_rectangle_of_the_promised_area(per):
    least, greatest = 0.05, 0.2
    augmentation = ClipAugmentation(
        erase=1.0, erase_per=per, erase_area=(least, greatest), erase_value=(123.675, 116.28, 103.53)
    )
    clip = torch.zeros(3, 3, 60, 40, dtype=torch.uint8)
    for seed in range(30):
        for frame in augment(augmentation, clip, rng(seed)).numpy():
            erased = frame.any(axis=0)
            top, left, height, width = rectangle(erased)
            inside = frame[:, top : top + height, left : left + width]
            assert np.array_equal(inside, np.broadcast_to(np.reshape([124, 116, 104], (3, 1, 1)), inside.shape))
            assert erased.sum() == height * width
            # Each side is rounded to whole pixels, by half a pixel at most.
            rounding = (height + width) / 2 + 0.25
            assert least * erased.size - rounding <= erased.sum() <= greatest * erased.size + rounding


def test_erasing_per_clip_hides_the_same_of_every_frame_and_per_frame_does_not():
    for seed in range(20):
        alike = augment(ClipAugmentation(erase=1.0, erase_per="clip"), still_clip(), rng(seed))
        assert torch.equal(alike, alike[:1].expand_as(alike))
    differing = augment(ClipAugmentation(erase=1.0, erase_per="frame"), still_clip(), rng(0))
    assert not torch.equal(differing, differing[:1].expand_as(differing))


def test_the_probability_of_erasing_is_that_of_each_draw():
    clip = torch.full((200, 3, 10, 10), 255, dtype=torch.uint8)

    def share_erased(per, seed):
        erased = augment(ClipAugmentation(erase=0.3, erase_per=per), clip, rng(seed))
        return (erased == 0).flatten(1).any(1).double().mean().item()

    # 200 draws at 0.3: 60 expected, with a standard deviation of 6.5.
    assert 0.15 < share_erased("frame", 0) < 0.45
    assert {share_erased("clip", seed) for seed in range(20)} == {0.0, 1.0}


def test_an_unknown_scope_of_erasing_is_refused():
    with pytest.raises(ValueError, match=r'INPUT\.REA\.PER is "tracklet"; it must be "frame" or "clip"'):
        ClipAugmentation(erase_per="tracklet")


def test_host_keys_become_draws_per_clip():
    cfg = get_cfg()
    for part in (cfg.INPUT.FLIP, cfg.INPUT.PADDING, cfg.INPUT.CJ, cfg.INPUT.REA):
        part.ENABLED = False
    assert torch.equal(augment(ClipAugmentation.from_config(cfg), random_clip(), rng()), random_clip())

    for part in (cfg.INPUT.FLIP, cfg.INPUT.PADDING, cfg.INPUT.CJ, cfg.INPUT.REA):
        part.ENABLED = True
    cfg.INPUT.FLIP.PROB, cfg.INPUT.PADDING.SIZE, cfg.INPUT.CJ.PROB = 0.1, 7, 0.2
    cfg.INPUT.CJ.BRIGHTNESS, cfg.INPUT.CJ.CONTRAST, cfg.INPUT.CJ.SATURATION, cfg.INPUT.CJ.HUE = 0.3, 0.4, 0.5, 0.15
    cfg.INPUT.REA.PROB, cfg.INPUT.REA.PER, cfg.INPUT.REA.AREA, cfg.INPUT.REA.VALUE = 0.6, "clip", [0.1, 0.3], [1, 2, 3]
    assert ClipAugmentation.from_config(cfg) == ClipAugmentation(
        flip=0.1,
        padding=7,
        jitter=(0.3, 0.4, 0.5, 0.15),
        jitter_prob=0.2,
        erase=0.6,
        erase_per="clip",
        erase_area=(0.1, 0.3),
        erase_value=(1, 2, 3),
    )
