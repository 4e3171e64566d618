import cv2
import numpy as np
import pytest

from xreid_plugin.data import frames
from xreid_plugin.data.footage import open_tracklet
from xreid_plugin.data.tracks import TrackClips, read_tracks

LENGTH, HEIGHT, WIDTH = 20, 24, 32


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A lossless video of noise, and its frames, RGB."""
    path = tmp_path_factory.mktemp("video") / "noise.mkv"
    grey = np.random.default_rng(0).integers(0, 256, (LENGTH, HEIGHT // 2, WIDTH // 2), np.uint8)
    pictures = np.repeat(grey.repeat(2, 1).repeat(2, 2)[..., None], 3, axis=3)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, (WIDTH, HEIGHT))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path, pictures


def tracks_of(scene, folder, text, *wanted):
    (folder / "tracks").write_text(text)
    return read_tracks(scene[0], folder / "tracks", wanted)


def test_both_formats_are_the_same_tracks(scene, tmp_path):
    mot = "1,10,1,1,10,20,1,-1,-1,-1\n2,10,2,1,10,20,0.5\n\n1,9,3.5,1,4,4,1\n2,9,4,1,4,4,-1\n3,9,5,1,4,4,0,1,1\n"
    blanks = mot.replace(",", " ")
    table = "x1,y1,x2,y2,frame,id\n1,0,11,20,1,10\n0,0,10,20,0,10\n2.5,0,6.5,4,0,9\n3,0,7,4,1,9\n"
    for text, told in [(mot, "MOTChallenge"), (blanks, "MOTChallenge"), (table, "CSV")]:
        found = tracks_of(scene, tmp_path, text)
        assert told in found.notes[0]
        assert (found.ids, found.rate) == (["9", "10"], 25)
        assert [boxes.tolist() for boxes in found.boxes] == [
            [[0, 2.5, 0, 6.5, 4], [1, 3, 0, 7, 4]],
            [[0, 0, 0, 10, 20], [1, 1, 0, 11, 20]],
        ]
    assert tracks_of(scene, tmp_path, mot, "9").ids == ["9"]
    assert tracks_of(scene, tmp_path, "frame,x1,y1,x2,y2\n3,1,2,3,4\n5,1,2,3,4").ids == [""]


def test_what_a_video_cannot_show_is_counted_and_named(scene, tmp_path):
    lines = ["0,1,1,1,5,5", "21,1,1,1,5,5", "99,2,1,1,5,5", "1,3,33,1,5,5", "1,4,1,1,0,5", "1,5,-9,1,9,9"]
    lines += ["1,6,1,1,5,5", "2,6,1,1,5,5", "2,6,2,1,5,5", "2,7,1,1,5,5"]
    lines += ["1,8,-5,-5,99,99", "2,8,1,1,5,5,0", "2,9,1,1,5,5,0", "2,9,1,1,5,5"]
    found = tracks_of(scene, tmp_path, "\n".join(lines))
    assert dict(zip(found.ids, map(len, found.boxes), strict=True)) == {"6": 2, "7": 1, "8": 1, "9": 1}
    left = [note.partition(" ")[0] + ":" + note.rpartition(":")[2] for note in found.notes[1:]]
    assert left == ["2: 8, 9.", "3: 1, 2.", "3: 3, 4, 5.", "1: 6.", "3: 7, 8, 9."]
    for text, named in [
        ("", "header"),
        ("1,2,3,4\n", "line 1.* 4 of"),
        ("1,1,1,1,5,5\n1,1,1,one,5,5", "line 2"),
        ("1.5,1,1,1,5,5", "line 1"),
        ("1,2,1,1,5,5\n1,1.5,1,1,5,5", "line 2"),
        ("1,-1,1,1,5,5", "detections"),
        ("99,1,1,1,5,5", "no box is left"),
        ("frame,id,left,top,width,height\n1,1,1,1,5,5", "begins with frame,id,left"),
        ("frame,track_id,x1,y1,x2,y2\n0,1,1,1,5,5\n0,2,1,1,5,5", "column id.* frame,track_id"),
        ("frame,x1,y1,x2,y2\n0,1,2,3", "line 2.* y2"),
    ]:
        with pytest.raises(ValueError, match=named):
            tracks_of(scene, tmp_path, text)
    (tmp_path / "latin").write_text("frame,x1,y1,x2,y2,größe", encoding="latin-1")
    with pytest.raises(ValueError, match="latin is no text"):
        read_tracks(scene[0], tmp_path / "latin")
    with pytest.raises(ValueError, match="no track 5"):
        tracks_of(scene, tmp_path, "1,1,1,1,5,5", "5", "1")
    (tmp_path / "no.mp4").write_bytes(b"this is no video" * 100)
    for video in ("none.mp4", "no.mp4"):
        with pytest.raises(ValueError, match=video):
            read_tracks(tmp_path / video, tmp_path / "tracks")


@pytest.mark.parametrize("choose", [frames.dense, lambda length, count: frames.even(length, count)[None]])
def test_one_pass_gives_every_track_its_own_clips(scene, choose):
    rng, size, told = np.random.default_rng(1), (8, 6), []
    tracks = [
        np.array([[n, n - 4, -3, n + 9, 99] for n in range(first, last)], float)
        for first, last in [(0, 9), (3, 20), (5, 6)]
    ]
    rows = [choose(len(boxes), 4) for boxes in tracks]
    clips = TrackClips(scene[0], tracks, rows, size, told.append)
    found = [[] for _ in tracks]
    for number, clip in clips:
        found[number].append(clip)
    assert (clips.ended, sum(told) <= LENGTH) == (None, True)
    for boxes, chosen, own in zip(tracks, rows, found, strict=True):
        cut = [scene[1][int(n), :, max(0, int(x1)) : int(x2)] for n, x1, _, x2, _ in boxes]
        tracklet, images, _ = open_tracklet(cut, 0, None)
        np.testing.assert_array_equal(own, [images.read(tracklet, row, size) for row in chosen])
    # A video that ends too early cuts tracks off, and one that begins later has nothing.
    late = np.array([[n, 0, 0, 9, 9] for n in rng.permutation(5) + 99], float)
    tracks = [np.array([[n, 0, 0, 9, 9] for n in range(LENGTH - 2, LENGTH + 5)], float), late[late[:, 0].argsort()]]
    clips = TrackClips(scene[0], tracks, [choose(len(boxes), 4) for boxes in tracks], size)
    (number, clip), *more = clips
    assert (number, clips.ended, len(more)) == (0, LENGTH, 0)
    np.testing.assert_array_equal(clip[-1], clip[2 if choose is not frames.dense else 1])
