import cv2
import numpy as np
import pytest
from PIL import Image

from xreid_plugin.data.frame_files import LooseFrames
from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.data.tracklet import Modality, Tracklet

SIZE = (288, 144)


def tracklet(*paths):
    return Tracklet([str(path) for path in paths], 0, 1, Modality.VISIBLE, "0001M2D3T1")


def read(paths, size, indices=None):
    return LooseFrames().read(tracklet(*paths), range(len(paths)) if indices is None else indices, size)


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


def plain_opencv(path, size):
    """Decoding in full, then resizing: what a reduced decoding is to stay close to."""
    return cv2.resize(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), size[::-1], interpolation=cv2.INTER_LINEAR)


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
    assert np.array_equal(clip[0], pixels)
    assert np.array_equal(clip[1], red)


@pytest.mark.parametrize("quality", [60, 92, 95])
def test_jpegs_of_the_right_size_are_decoded_exactly_as_opencv_does_and_nearly_as_pillow_does(tmp_path, quality):
    path = write(tmp_path / "1.jpg", scene(*SIZE), quality=quality)
    [frame] = read([path], SIZE)
    assert np.array_equal(frame, cv2.imread(str(path))[..., ::-1])
    with Image.open(path) as picture:
        other = np.asarray(picture.convert("RGB"))
    # Decoders may round the inverse transform and the colours otherwise, by a level or two.
    assert difference(frame, other).max() <= 3


def test_any_order_of_frames_can_be_asked_for(tmp_path):
    paths = [write(tmp_path / f"{value}.png", np.full((4, 4, 3), value)) for value in range(5)]
    assert read(paths, (4, 4), np.array([3, 0, 4]))[:, 0, 0, 0].tolist() == [3, 0, 4]
    assert read(paths, (4, 4), [2])[:, 0, 0, 0].tolist() == [2]


def test_a_repeated_frame_is_decoded_once(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{value}.png", np.full((4, 4, 3), value)) for value in (1, 2)]
    decoded = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda file, flags: decoded.append(bytes(file)) or decode(file, flags))
    assert read(paths, (4, 4), [0, 1, 1, 0])[:, 0, 0, 0].tolist() == [1, 2, 2, 1]
    assert decoded == [path.read_bytes() for path in paths]


def test_other_sizes_are_resized_bilinearly(tmp_path):
    left_to_right = np.repeat(np.array([[0, 200]])[..., None], 3, axis=-1)
    [frame] = read([write(tmp_path / "step.png", left_to_right)], (3, 4))
    # Doubled in width, pixel centres fall at -1/4, 1/4, 3/4 and 5/4 of the way between the two columns.
    assert frame[..., 0].tolist() == [[0, 50, 150, 200]] * 3


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_grey_pictures_have_three_equal_channels(tmp_path, suffix):
    grey = np.arange(32).reshape(8, 4)
    path = write(tmp_path / f"grey.{suffix}", grey)
    [frame] = read([path], (8, 4))
    with Image.open(path) as picture:
        assert np.array_equal(frame, np.repeat(np.asarray(picture)[..., None], 3, axis=-1))


def test_a_palette_is_looked_up(tmp_path):
    picture = Image.new("P", (2, 2))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.putdata([0, 1, 2, 1])
    picture.save(tmp_path / "1.png")
    [frame] = read([tmp_path / "1.png"], (2, 2))
    assert frame.tolist() == [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]


def test_an_alpha_channel_is_dropped(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4))
    [frame] = read([write(tmp_path / "1.png", pixels)], (6, 5))
    assert np.array_equal(frame, pixels[..., :3])


def test_cmyk_is_converted(tmp_path):
    bands = np.zeros((16, 32, 4), dtype=np.uint8)
    # Cyan ink, magenta ink, yellow ink, black ink: each takes its complement away.
    for number in range(4):
        bands[:, 8 * number : 8 * number + 8, number] = 255
    Image.fromarray(bands, mode="CMYK").save(tmp_path / "1.jpg", quality=100)
    [frame] = read([tmp_path / "1.jpg"], (16, 32))
    expected = np.repeat([[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0]], 8, axis=0)
    assert difference(frame, np.broadcast_to(expected, frame.shape)).max() <= 12


def test_the_upper_eight_of_sixteen_bits_count(tmp_path):
    sixteen = np.random.default_rng(0).integers(0, 1 << 16, (8, 4, 3), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "1.png"), sixteen[..., ::-1])
    [frame] = read([tmp_path / "1.png"], (8, 4))
    assert difference(frame, sixteen / 257).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("factor", [1, 2])
def test_exif_orientation_is_applied(tmp_path, orientation, factor):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = orientation >= 5
    height, width = (144, 288) if turned else SIZE
    path = write(tmp_path / "1.jpg", scene(factor * height, factor * width), quality=95, exif=exif)
    [frame] = read([path], SIZE)
    assert difference(frame, plain_opencv(path, SIZE)).mean() < 1
    pixels = scene(factor * height, factor * width)
    # The eight values, as EXIF 2.3 defines them.
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: pixels.swapaxes(0, 1)[::-1],
    }[orientation]
    upright = cv2.resize(np.ascontiguousarray(upright), SIZE[::-1], interpolation=cv2.INTER_AREA)
    assert difference(frame, upright).mean() < 3


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_unreadable_frames_are_named_with_their_tracklet(tmp_path, content):
    good, path = write(tmp_path / "6.jpg", np.full((4, 4, 3), 9)), tmp_path / "7.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FrameError, match=r"tracklet 0001M2D3T1 .*check_dataset\.py --deep") as error:
        read([good, path], (4, 4))
    assert str(path) in str(error.value)


# Twice, two and a half, three, four and a bit, and nine times the size, and taller and wider than its shape.
LARGE = [(576, 288), (720, 360), (864, 432), (1160, 580), (2600, 1300), (1200, 300), (600, 900)]


def reduction_of(monkeypatch, path, size):
    """Which reduction was last decoded, and how often decoding took place, for two frames alike."""
    flags = []
    decode = cv2.imdecode
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imdecode", lambda file, flag: flags.append(flag) or decode(file, flag))
        read([path, path], size)
    reductions = {0: 1, cv2.IMREAD_REDUCED_GRAYSCALE_2: 2, cv2.IMREAD_REDUCED_GRAYSCALE_4: 4}
    reductions[cv2.IMREAD_REDUCED_GRAYSCALE_8] = 8
    return [reductions[flag & ~cv2.IMREAD_COLOR_RGB] for flag in flags]


@pytest.mark.parametrize("source", LARGE)
def test_large_jpegs_are_decoded_at_the_least_size_that_covers(tmp_path, monkeypatch, source):
    path = write(tmp_path / "1.jpg", scene(*source), quality=90)
    decoded = reduction_of(monkeypatch, path, SIZE)
    # A reduced side is rounded up.
    fitting = [r for r in (1, 2, 4, 8) if -(-source[0] // r) >= SIZE[0] and -(-source[1] // r) >= SIZE[1]]
    assert decoded[-1] == max(fitting)
    # The second frame needs no more than one look, since the first has shown the way.
    assert decoded == [*fitting, max(fitting)]


@pytest.mark.parametrize("source", LARGE)
def test_reduced_decoding_stays_close_and_no_further_from_pillow(tmp_path, source):
    path = write(tmp_path / "1.jpg", scene(*source), quality=90)
    [frame] = read([path], SIZE)
    plain = plain_opencv(path, SIZE)
    assert difference(frame, plain).mean() < 1.5
    with Image.open(path) as picture:
        reference = np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR))
    # Pillow's bilinear filter skips no pixel of the source. Nor does OpenCV's at exactly twice the size; there both are
    # within a level of it.
    assert difference(frame, reference).mean() <= max(difference(plain, reference).mean(), 1)


def test_a_frame_does_not_depend_on_its_neighbours(tmp_path):
    sources = [(288, 144), (2600, 1300), (575, 287), (576, 288), (577, 289), (200, 100), (1151, 575), (1152, 576)]
    paths = [write(tmp_path / f"{n}.jpg", scene(*source, seed=n)) for n, source in enumerate(sources)]
    paths.append(write(tmp_path / "9.png", scene(700, 360)))
    alone = [read([path], SIZE)[0] for path in paths]
    order = np.random.default_rng(0).permutation(len(paths)).tolist()
    for chosen in (range(len(paths)), order, order[::-1]):
        together = read(paths, SIZE, chosen)
        assert all(np.array_equal(frame, alone[index]) for frame, index in zip(together, chosen, strict=True))


def test_other_formats_are_never_reduced(tmp_path, monkeypatch):
    large = write(tmp_path / "1.png", scene(700, 360))
    assert set(reduction_of(monkeypatch, large, SIZE)) == {1}
    jpeg = write(tmp_path / "2.jpg", scene(700, 360))
    [_, frame] = read([jpeg, large], SIZE)
    assert np.array_equal(frame, plain_opencv(large, SIZE))
