import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from xreid_plugin.data.frame_reader import BadFrameError, LooseFrames, decode, resized
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


def test_frames_of_the_right_size_come_as_they_are_and_red_comes_first(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 3))
    red = np.zeros((8, 4, 3))
    red[..., 0] = 255
    clip = read([write(tmp_path / "random.png", pixels), write(tmp_path / "red.png", red)], (8, 4))
    assert (clip.shape, clip.dtype) == ((2, 8, 4, 3), np.uint8)
    assert clip.flags.c_contiguous
    assert clip.flags.writeable
    assert np.array_equal(clip, [pixels, red])


def test_jpegs_of_the_right_size_are_decoded_as_opencv_does_and_nearly_as_pillow_does(tmp_path):
    path = write(tmp_path / "1.jpg", scene(*SIZE), quality=92)
    [frame] = read([path], SIZE)
    assert np.array_equal(frame, cv2.imread(str(path))[..., ::-1])
    with Image.open(path) as picture:
        other = np.asarray(picture.convert("RGB"))
    # Decoders may round the inverse transform and the colours otherwise, by a level or two.
    assert difference(frame, other).max() <= 3


def test_any_order_of_frames_can_be_asked_for_and_a_repeated_one_is_decoded_once(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{value}.png", np.full((4, 4, 3), value)) for value in range(5)]
    decoded = []
    imdecode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda file, flags: decoded.append(bytes(file)) or imdecode(file, flags))
    assert read(paths, (4, 4), np.array([3, 0, 4, 3, 3]))[:, 0, 0, 0].tolist() == [3, 0, 4, 3, 3]
    assert decoded == [paths[index].read_bytes() for index in (3, 0, 4)]


def test_smaller_pictures_are_resized_bilinearly():
    left_to_right = np.repeat(np.array([[0, 200]], np.uint8)[..., None], 3, axis=-1)
    # Doubled in width, pixel centres fall at -1/4, 1/4, 3/4 and 5/4 of the way between the two columns.
    assert resized(left_to_right, (3, 4))[..., 0].tolist() == [[0, 50, 150, 200]] * 3


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_stripes_of_a_pixel_do_not_alias_where_a_picture_is_larger(factor):
    stripes = np.zeros((24 * factor, 12 * factor, 3), np.uint8)
    stripes[:, ::factor] = 240
    assert np.array_equal(resized(stripes, (24, 12)), np.full((24, 12, 3), 240 // factor))


@pytest.mark.parametrize("source", [(300, 150), (432, 216), (576, 288), (577, 289), (864, 432), (1160, 580)])
def test_larger_pictures_are_resized_nearly_as_pillow_does_which_reads_every_pixel(tmp_path, source):
    path = write(tmp_path / "1.jpg", scene(*source), quality=90)
    [frame] = read([path], SIZE)
    with Image.open(path) as picture:
        reference = np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR))
    assert difference(frame, reference).mean() < 0.8


def test_a_palette_is_looked_up_grey_repeated_and_an_alpha_channel_dropped(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putdata([1, 0])
    picture.save(tmp_path / "palette.png")
    assert decode((tmp_path / "palette.png").read_bytes()).tolist() == [[[40, 50, 60], [10, 20, 30]]]
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4))
    assert np.array_equal(decode(write(tmp_path / "alpha.png", pixels).read_bytes()), pixels[..., :3])
    grey = decode(write(tmp_path / "grey.png", pixels[..., 0]).read_bytes())
    assert np.array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))


def test_cmyk_is_converted_and_the_upper_eight_of_sixteen_bits_count(tmp_path):
    bands = np.zeros((16, 32, 4), dtype=np.uint8)
    # Cyan ink, magenta ink, yellow ink, black ink: each takes its complement away.
    for number in range(4):
        bands[:, 8 * number : 8 * number + 8, number] = 255
    Image.fromarray(bands, mode="CMYK").save(tmp_path / "1.jpg", quality=100)
    expected = np.repeat([[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0]], 8, axis=0)
    assert difference(decode((tmp_path / "1.jpg").read_bytes()), expected).max() <= 12
    sixteen = np.random.default_rng(0).integers(0, 1 << 16, (8, 4, 3), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "1.png"), sixteen[..., ::-1])
    assert difference(decode((tmp_path / "1.png").read_bytes()), sixteen / 257).max() <= 1


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    pixels = scene(144, 288)
    [frame] = read([write(tmp_path / "1.jpg", pixels, quality=95, exif=exif)], SIZE)
    assert difference(frame, np.rot90(pixels, -1)).mean() < 3


def cut_after_a_preview(content):
    """The headers of a picture with a whole preview in them, without its end."""
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + content[2:-2]


DAMAGE = {
    "empty": lambda content: b"",
    "text": lambda content: b"no picture, but words",
    "cut off": lambda content: content[:-40],
    "all but two bytes": lambda content: content[:-2],
    "head alone": lambda content: content[:20],
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("damage", [None, *DAMAGE])
def test_bad_frames_are_named_with_their_tracklet(tmp_path, suffix, damage):
    good, bad = (write(tmp_path / f"{number}.{suffix}", scene(16, 8)) for number in (6, 7))
    if damage is None:
        bad.unlink()
    else:
        bad.write_bytes(DAMAGE[damage](bad.read_bytes()))
    with pytest.raises(BadFrameError, match="tracklet 0001M2D3T1") as error:
        read([good, bad], (16, 8))
    assert str(bad) in str(error.value)


def test_a_preview_does_not_pass_for_the_end_of_a_jpeg_nor_does_a_trailer_hide_it(tmp_path):
    content = write(tmp_path / "1.jpg", scene(16, 8)).read_bytes()
    assert np.array_equal(decode(content + b"a camera's notes"), decode(content))
    with pytest.raises(ValueError, match="cut off"):
        decode(cut_after_a_preview(content))
