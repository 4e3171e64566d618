import numpy as np
from PIL import Image

from xreid_plugin.gallery.answers import Hit, draw
from xreid_plugin.gallery.store import FrameRef, Record

PITCH = 30 + 128 + 6


def test_rows_show_their_frames_what_is_missing_and_what_matches(tmp_path):
    Image.new("RGB", (20, 40), (10, 200, 30)).save(tmp_path / "green.png")
    asking = Record("", "query", frames=[FrameRef(str(tmp_path / "green.png")), FrameRef(str(tmp_path / "gone.png"))])
    lost = Record("ñ → 人", "a\nb", 3, frames=[FrameRef(str(tmp_path / "gone.mp4"), 3, [0, 0, 5, 5])])
    hits = [Hit(1, 0.9, True, lost), Hit(2, 0.8, False, lost), Hit(3, 0.7, None, lost)]
    sheet = np.asarray(draw(asking, hits))
    assert sheet.shape[0] == 4 * PITCH + 6
    # The middles of the frames.
    assert sheet[6 + 30 + 64, 18 + 32].tolist() == [10, 200, 30]
    assert sheet[6 + 30 + 64, 18 + 70 + 32].tolist() == [200, 200, 200]
    assert sheet[PITCH + 6 + 30 + 64, 18 + 32].tolist() == [200, 200, 200]
    # Bars: black, seagreen, firebrick, grey.
    bars = [[0, 0, 0], [46, 139, 87], [178, 34, 34], [128, 128, 128]]
    assert [sheet[row * PITCH + 50, 8].tolist() for row in range(4)] == bars
