import cv2
import numpy as np
import pytest
from PIL import Image

from xreid_plugin.data import frames
from xreid_plugin.data.footage import folder_tracklet, image_footage, video_footage

LENGTH = 9
SIZE = (16, 32)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Frame n is grey of level 20·n."""
    path = tmp_path_factory.mktemp("video") / "grey.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, SIZE[::-1])
    for number in range(LENGTH):
        writer.write(np.full((*SIZE, 3), 20 * number, np.uint8))
    writer.release()
    return path


def whole_frames(*numbers):
    return [(number, 0, 0, SIZE[1], SIZE[0]) for number in numbers]


def levels(clip):
    return (clip.astype(float).mean((1, 2, 3)) / 20).round().astype(int).tolist()


def test_clips_come_before_the_video_has_been_read_on(video):
    footage = video_footage(video, whole_frames(*range(LENGTH + 3)))
    clips = footage.clips(frames.dense(footage.length, 4), SIZE)
    assert levels(next(clips)) == [0, 1, 2, 3]
    assert levels(next(clips)) == [4, 5, 6, 7]
    with pytest.raises(ValueError, match="frame 9"):
        next(clips)


def test_a_part_of_a_pixel_counts_as_the_pixel(video):
    boxes = [(3, 30.2, 14.9, 30.3, 15.1)]
    assert [levels(clip) for clip in video_footage(video, boxes).clips(np.zeros((1, 1), np.int64), (1, 1))] == [[3]]


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    for name in ("10.png", "9.png", "a2.PNG", "notes.txt"):
        (tmp_path / name).touch()
    assert folder_tracklet(tmp_path).paths == [str(tmp_path / name) for name in ("9.png", "10.png", "a2.PNG")]


def test_images_in_memory_of_any_kind_are_the_same_frames():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    (clip,) = image_footage([grey, rgb, Image.fromarray(grey), Image.fromarray(rgb)]).clips(
        np.array([range(4)]), (2, 3)
    )
    assert all(np.array_equal(frame, rgb) for frame in clip)
