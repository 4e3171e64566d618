"""Two videos of walkers, an infrared and a visible one, with the tracks that a tracker would find in them."""

from pathlib import Path

import cv2
import numpy as np

from xreid_plugin.data.synthetic.camera import draw_camera, expose
from xreid_plugin.data.synthetic.layouts import staged
from xreid_plugin.data.synthetic.person import draw_person
from xreid_plugin.data.synthetic.plan import Stream, SyntheticSettings, TrackletPlan
from xreid_plugin.data.synthetic.render import Walker, panorama
from xreid_plugin.data.tracklet import Modality

# Numbers of the people in each, from 1, after those of a set of the same settings: none of them was trained on. A
# track is named by its person, so that one can tell which matches are right.
PEOPLE = {Modality.INFRARED: (1, 2, 3, 4, 7, 8), Modality.VISIBLE: (1, 2, 3, 4, 5, 6)}
CAMERAS = {Modality.INFRARED: 2, Modality.VISIBLE: 3}
RATE = 25.0  # Frames a second.
_FRAMES, _PITCH = 40, 18  # Of a walk at most, and from the beginning of one to that of the next.


def write_videos(settings: SyntheticSettings, root: Path, *, workers: int = 1, overwrite: bool = False) -> str:
    """Writes infrared.avi and visible.avi, Motion JPEG, and their tracks in MOTChallenge's format, in .txt.

    Some people are in both, some in one alone. A frame is as high as those of a set and five times as wide. The folder
    ``root`` appears only when all is there. One process draws, whatever ``workers`` says.

    Returns:
        How much was drawn, in words.

    Raises:
        FileExistsError: ``root`` holds something else, or videos and ``overwrite`` is not given.
    """
    with staged(root, "videos", settings, overwrite) as part:
        frames = [_write_video(settings, modality, part / modality.name.lower()) for modality in PEOPLE]
    return f"2 videos of {frames[0]} and {frames[1]} frames, {sum(map(len, PEOPLE.values()))} tracks"


def _write_video(settings: SyntheticSettings, modality: Modality, stem: Path) -> int:
    """Writes STEM.avi and STEM.txt; returns the number of frames."""
    number, (height, width) = CAMERAS[modality], settings.size
    camera, surroundings = draw_camera(settings, number), panorama(settings, number, modality)
    people, rng = PEOPLE[modality], settings.rng(Stream.SCENE, number, int(modality), 1)
    walks = []
    for person in people:
        pid = settings.train_identities + settings.test_identities + person
        walk = (pid, int(modality), 0)
        walker = Walker(settings, draw_person(settings, pid), TrackletPlan(pid, modality, number, 0, _FRAMES, walk))
        # Where the walk is longer than the picture is wide, it ends at its edge.
        space = surroundings.shape[1] - width
        columns = walker.travelled[np.abs(walker.travelled) <= space]
        columns = (columns - columns.min() + rng.uniform(0, space - np.ptp(columns))).astype(int)
        walks.append((person, walker, columns.tolist()))
    length, lines = max(place * _PITCH + len(columns) for place, (_, _, columns) in enumerate(walks)), []
    writer = cv2.VideoWriter(str(stem) + ".avi", cv2.VideoWriter.fourcc(*"MJPG"), RATE, surroundings.shape[1::-1])
    if not writer.isOpened():
        raise OSError(f"OpenCV cannot write {stem}.avi: its build lacks Motion JPEG.")
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    for time in range(length):
        scene = surroundings.astype(np.float32)
        for place, (person, walker, columns) in enumerate(walks):
            frame = time - place * _PITCH
            if 0 <= frame < len(columns):
                left = columns[frame]
                crop = scene[:, left : left + width]
                crop[:] = walker.paint(crop, frame)
                lines.append(f"{time + 1},{person},{left + 1},1,{width},{height},1,-1,-1,-1")
        picture = expose(rng, camera, modality, scene)
        writer.write(np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3))))
    writer.release()
    stem.with_suffix(".txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return length
