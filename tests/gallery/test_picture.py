import numpy as np
import pytest
from PIL import Image

from xreid_plugin.gallery.picture import Strip, draw, write
from xreid_plugin.gallery.records import FrameRef, GalleryError


def test_strips_show_their_frames_and_what_is_missing(tmp_path):
    Image.new("RGB", (20, 40), (10, 200, 30)).save(tmp_path / "green.png")
    there, missing = FrameRef(str(tmp_path / "green.png")), FrameRef(str(tmp_path / "gone.png"))
    lost = FrameRef(str(tmp_path / "gone.mp4"), 3, (0, 0, 5, 5))
    sheet = np.asarray(draw([Strip("first", [there, missing], "black"), Strip("ñ → 人\n" * 2, [lost], "green")]))
    pitch = 30 + 128 + 6
    # The middles of the frames.
    assert sheet[6 + 30 + 64, 18 + 32].tolist() == [10, 200, 30]
    assert sheet[6 + 30 + 64, 18 + 70 + 32].tolist() == [200, 200, 200]
    assert sheet[pitch + 6 + 30 + 64, 18 + 32].tolist() == [200, 200, 200]
    assert sheet.shape[0] == 2 * pitch + 6


def test_frames_are_read_by_the_rules_of_training(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # its first row is the right side
    turned = Image.new("RGB", (40, 20), "white")
    turned.paste("black", (0, 0, 40, 10))
    turned.save(tmp_path / "turned.png", exif=exif)
    for name in ("cut.jpg", "whole.jpg"):
        Image.new("RGB", (64, 128), (250, 0, 0)).save(tmp_path / name)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:-20])
    frames = [FrameRef(str(tmp_path / name)) for name in ("turned.png", "cut.jpg", "whole.jpg")]
    sheet = np.asarray(draw([Strip("", frames, "black")]))[6 + 30 : 6 + 30 + 128]
    assert sheet[:, 18 + 16].tolist() == [[255, 255, 255]] * 128
    assert sheet[:, 18 + 48].tolist() == [[0, 0, 0]] * 128
    # Of one that was cut off, decoders give a part.
    assert (sheet[:, 18 + 70 : 18 + 70 + 64] == 200).all()
    assert (sheet[:, 18 + 140 : 18 + 140 + 64, 0] > 240).all()


def test_a_picture_that_cannot_be_written_is_refused(tmp_path):
    for name, fault in (("a.gif", "must end in"), ("none/a.png", "no folder")):
        with pytest.raises(GalleryError, match=fault):
            write(tmp_path / name, [Strip("a", [], "black")])
    write(tmp_path / "A.JPG", [Strip("a", [], "black")])
    with Image.open(tmp_path / "A.JPG") as picture:
        assert picture.format == "JPEG"
