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


def test_a_picture_that_cannot_be_written_is_refused(tmp_path):
    for name, fault in (("a.gif", "must end in"), ("none/a.png", "no folder")):
        with pytest.raises(GalleryError, match=fault):
            write(tmp_path / name, [Strip("a", [], "black")])
    write(tmp_path / "A.JPG", [Strip("a", [], "black")])
    with Image.open(tmp_path / "A.JPG") as picture:
        assert picture.format == "JPEG"
