import io
import os
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from xreid_plugin.data.frame_reader import FrameError, LooseFrames, read_substituting, resized
from xreid_plugin.data.tracklet import Modality, Tracklet

SIZE = (288, 144)


def read(paths, size, indices=None):
    tracklet = Tracklet([str(path) for path in paths], 0, 1, Modality.VISIBLE, "0001M2D3T1")
    return LooseFrames().read(tracklet, range(len(paths)) if indices is None else indices, size)


def write(path, pixels, **options):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)
    return path


def scene(height, width, seed=0):
    """Something like a photograph: soft shapes, hard edges and a sensor's noise."""
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.uniform(40, 215, (9, 5, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        x, y = rng.uniform(0, 0.8, 2) * (width, height)
        soft[int(y) : int(y + height / 5), int(x) : int(x + width / 5)] += rng.uniform(-60, 60, 3)
    return np.clip(soft + rng.normal(0, 3, soft.shape), 0, 255).astype(np.uint8)


def difference(one, other):
    return np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float))


def test_frames_come_as_they_are_in_any_order_and_a_repeated_one_is_read_once(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 4, 3), np.uint8)
    paths = [write(tmp_path / f"{number}.png", frame) for number, frame in enumerate(pixels)]
    order = np.array([3, 0, 4, 3, 3])
    clip = read(paths, (8, 4), order)
    assert (clip.dtype, clip.flags.c_contiguous, clip.flags.writeable) == (np.uint8, True, True)
    assert np.array_equal(clip, pixels[order])


@pytest.mark.parametrize("source", [SIZE, (300, 150), (577, 289)])
def test_jpegs_are_decoded_and_shrunk_nearly_as_pillow_does_which_reads_every_pixel(tmp_path, source):
    path = write(tmp_path / "1.jpg", scene(*source), quality=90)
    [frame] = read([path], SIZE)
    with Image.open(path) as picture:
        reference = np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR))
    # Decoders may round the inverse transform and the colours otherwise, by a level or two.
    assert difference(frame, reference).mean() < 0.8
    assert source != SIZE or difference(frame, reference).max() <= 3


def test_smaller_pictures_are_resized_bilinearly_and_stripes_of_larger_ones_do_not_alias():
    left_to_right = np.repeat(np.array([[0, 200]], np.uint8)[..., None], 3, axis=-1)
    # Doubled in width, pixel centres fall at -1/4, 1/4, 3/4 and 5/4 of the way between the two columns.
    assert resized(left_to_right, (3, 4))[..., 0].tolist() == [[0, 50, 150, 200]] * 3
    for factor in (2, 3, 5):
        stripes = np.zeros((24 * factor, 12 * factor, 3), np.uint8)
        stripes[:, ::factor] = 240
        assert np.array_equal(resized(stripes, (24, 12)), np.full((24, 12, 3), 240 // factor))


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    pixels = scene(144, 288)
    [frame] = read([write(tmp_path / "1.jpg", pixels, quality=95, exif=exif)], SIZE)
    assert difference(frame, np.rot90(pixels, -1)).mean() < 3


SPOILT = {
    "missing": (Path.unlink, "No such file"),
    "empty": (lambda path: path.write_bytes(b""), "neither JPEG nor PNG"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-2]), "cut off"),
    "another format": (lambda path: Image.fromarray(scene(16, 8)).save(path, "TIFF"), "neither JPEG nor PNG"),
    "far too large": (lambda path: os.truncate(path, 1 << 40), f"{1 << 40:,} bytes"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "no file"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "no file"),
}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(("spoil", "fault"), SPOILT.values(), ids=SPOILT)
def test_a_frame_that_is_not_usable_is_named_with_its_tracklet_and_its_fault(tmp_path, suffix, spoil, fault):
    good, bad = (write(tmp_path / f"{number}.{suffix}", scene(16, 8)) for number in (6, 7))
    spoil(bad)
    with pytest.raises(FrameError, match=rf"{bad} of tracklet 0001M2D3T1 .*{fault}"):
        read([good, bad], (16, 8))


def test_an_error_without_a_number_is_told_by_its_words(greys):
    class Failing(LooseFrames):
        def pictures(self):
            # As Pillow's, which are an OSError.
            return nullcontext(lambda path: Image.open(io.BytesIO()))

    with pytest.raises(FrameError, match="cannot identify"):
        Failing().read(greys, [0], (16, 8))


@pytest.fixture
def greys(tmp_path):
    """Five frames, of which frame i is of the grey 10 i."""
    paths = [str(write(tmp_path / f"{index}.jpg", np.full((16, 8, 3), 10 * index))) for index in range(5)]
    return Tracklet(paths, 0, 1, Modality.VISIBLE, "T")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ((0,), [1, 1, 2, 3, 4]),
        ((0, 1), [2, 2, 2, 3, 4]),
        ((4, 2), [0, 1, 1, 3, 3]),
        ((1, 2, 3), [0, 0, 0, 4, 4]),
        ((0, 1, 2, 3), [4] * 5),
    ],
)
def test_the_nearest_readable_frame_stands_in_and_the_earlier_of_two(greys, bad, expected):
    for index in bad:
        Path(greys.paths[index]).unlink()
    clip, replaced = read_substituting(LooseFrames(), greys, range(5), (16, 8))
    assert clip.reshape(5, -1).mean(1).round().tolist() == [10 * index for index in expected]
    assert replaced == [greys.paths[index] for index in sorted(bad)]
    # A frame that is not asked for is not counted.
    good = [index for index in range(5) if index not in bad]
    assert read_substituting(LooseFrames(), greys, good, (16, 8))[1] == []


def test_a_tracklet_without_a_readable_frame_is_named(greys):
    for path in greys.paths:
        Path(path).write_bytes(b"")
    with pytest.raises(FrameError, match="tracklet T "):
        read_substituting(LooseFrames(), greys, [0], (16, 8))
