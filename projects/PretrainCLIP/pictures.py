"""The pictures that the towers are taught with: drawn people whom no set has, under cameras that no set has."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from projects.SyntheticPeople.person import OUTFITS, Person, draw_person
from projects.SyntheticPeople.plan import SyntheticSettings, TrackletPlan
from projects.SyntheticPeople.render import render_tracklet
from xreid_plugin.data.tracklet import Modality

# A set's cameras are numbered from 1.
_CAMERAS = range(101, 149)
# Of the numbers at random beside those that the set itself has.
_STREAM = 17


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures.

    Attributes:
        pixels: (N, 3, H, W) uint8, RGB; infrared ones have three equal channels.
        modalities: (N,) int64, values of Modality.
        owners: (N,) int64, whose picture it is: an index into ``people``.
        people: everyone in them.
    """

    pixels: NDArray[np.uint8]
    modalities: NDArray[np.int64]
    owners: NDArray[np.int64]
    people: Sequence[Person]


def draw_pictures(
    settings: SyntheticSettings, first: int, people: int, each: int, infrared: float, workers: int = 1
) -> Pictures:
    """Draws pictures of people, each under a camera and at a moment of a walk of its own.

    Sets number their people from 1 up; here they are taken from the other end, so that none is in both.

    Args:
        settings: of the set that is not to be touched: its seed, and the size of a picture.
        first: of the people, counted from 0 at that end.
        people: how many, at least 1.
        each: pictures of a person.
        infrared: share of infrared pictures, 0 to 1.
        workers: processes; no effect on the pictures.

    Raises:
        ValueError: there are not so many people.
    """
    numbers = [OUTFITS - index for index in range(first, first + people)]
    if settings.train_identities + settings.test_identities >= numbers[-1]:
        raise ValueError(f"there are {OUTFITS} people, too few for {first + people} beside those of a set")
    pixels = np.empty((people * each, 3, *settings.size), np.uint8)
    modalities = np.empty(people * each, np.int64)
    draw = partial(_draw, settings, each, infrared)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        drawn = map(draw, numbers) if workers == 1 else pool.map(draw, numbers, chunksize=16)
        with tqdm(desc=f"Drawing {people:,} people", total=people, unit="person", leave=False, disable=None) as bar:
            for start, (frames, sensors) in zip(range(0, len(pixels), each), drawn, strict=True):
                pixels[start : start + each], modalities[start : start + each] = frames, sensors
                bar.update()
    owners = np.repeat(np.arange(people), each)
    return Pictures(pixels, modalities, owners, [draw_person(settings, number) for number in numbers])


def _draw(
    settings: SyntheticSettings, each: int, infrared: float, pid: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    person, rng = draw_person(settings, pid), np.random.default_rng((settings.seed, _STREAM, pid))
    modalities = np.where(rng.uniform(size=each) < infrared, Modality.INFRARED, Modality.VISIBLE)
    cameras = rng.choice(_CAMERAS, each)
    frames = []
    for number, (modality, camera) in enumerate(zip(modalities.tolist(), cameras.tolist(), strict=True)):
        plan = TrackletPlan(pid, Modality(modality), camera, number, 1, (pid, modality, number))
        (frame,) = render_tracklet(settings, person, plan)
        frames.append(np.broadcast_to(frame[:, :, ::-1].transpose(2, 0, 1), (3, *settings.size)))
    return np.stack(frames), modalities
