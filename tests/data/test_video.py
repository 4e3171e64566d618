import cv2
import numpy as np
import pytest

from xreid_plugin.data import frames
from xreid_plugin.data.boxes import Boxes
from xreid_plugin.data.footage import FootageError
from xreid_plugin.data.video import VideoFrames

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


def boxes(*numbers):
    return Boxes.of([(number, 0, 0, SIZE[1], SIZE[0]) for number in numbers])


def levels(clip):
    return (clip.astype(float).mean((1, 2, 3)) / 20).round().astype(int).tolist()


@pytest.mark.parametrize("count", [1, 2, 4, 20])
def test_frames_are_those_of_the_boxes(video, count):
    numbers = [1, 2, 4, 5, 8]
    footage = VideoFrames(video, boxes(*numbers))
    for rows in (frames.even(len(footage), count)[None], frames.dense(len(footage), count)):
        expected = [[numbers[index] for index in row] for row in rows]
        assert [levels(clip) for clip in footage.clips(rows, SIZE)] == expected


def test_clips_come_before_the_video_has_been_read_on(video):
    footage = VideoFrames(video, boxes(*range(LENGTH + 3)))
    clips = footage.clips(frames.dense(len(footage), 4), SIZE)
    assert levels(next(clips)) == [0, 1, 2, 3]
    assert levels(next(clips)) == [4, 5, 6, 7]
    with pytest.raises(FootageError, match="after 9 frames"):
        next(clips)


def test_a_part_of_a_pixel_counts_as_the_pixel(video):
    footage = VideoFrames(video, Boxes.of([(3, 30.2, 14.9, 30.3, 15.1)]))
    (clip,) = footage.clips(np.zeros((1, 1), np.int64), (1, 1))
    assert levels(clip) == [3]
