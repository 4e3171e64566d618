import numpy as np
from PIL import Image

from xreid_plugin.data.footage import folder_tracklet, open_tracklet


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    for name in ("10.png", "9.png", "a2.PNG", "notes.txt"):
        (tmp_path / name).touch()
    assert folder_tracklet(tmp_path).paths == [str(tmp_path / name) for name in ("9.png", "10.png", "a2.PNG")]


def test_images_in_memory_of_any_kind_are_the_same_frames():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    tracklet, images, camera = open_tracklet([grey, rgb, Image.fromarray(grey), Image.fromarray(rgb)], 0, None)
    assert camera is None
    assert all(np.array_equal(frame, rgb) for frame in images.read(tracklet, range(4), (2, 3)))
