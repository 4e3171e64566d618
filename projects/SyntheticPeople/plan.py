"""What a synthetic set is made of: its settings, its sources of randomness, and which tracklets it has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from math import ceil

import numpy as np

from xreid_plugin.data.tracklet import Modality

SHORTEST_USED = 12  # Frames: HITSZ-VCM's protocol drops tracklets below this length.
SHORT_SHARE = 0.04  # Of tracklets, that get 6 to 11 frames, which a loader has to filter out.

# Independent sources of randomness: adding a draw to one leaves all others as they were.
Stream = IntEnum(
    "Stream", ["OUTFITS", "PERSON", "CAMERA", "SCENE", "PLAN", "SHORT", "WALK", "SENSOR", "ORDER"], start=0
)


@dataclass(frozen=True)
class SyntheticSettings:
    """Arguments of a synthetic set; equal settings give byte-identical files.

    Raises:
        ValueError: a value is outside its range; the message names it.
    """

    train_identities: int = 80  # At least 1; no test identity is one of them.
    test_identities: int = 40  # At least 1.
    cameras: int = 4  # At least 2, so that a query has a match under another camera.
    tracklets: int = 4  # Per identity and modality, at least 1.
    frames: tuple[int, int] = (16, 24)  # Fewest and most of an ordinary tracklet, at least 12.
    size: tuple[int, int] = (96, 48)  # Height and width of a frame in pixels, at least 48 and 24.
    seed: int = 0  # Not negative.
    quality: int = 92  # Of the JPEGs, 1 to 100.

    def __post_init__(self) -> None:
        lowest = {"train_identities": 1, "test_identities": 1, "cameras": 2, "tracklets": 1, "seed": 0, "quality": 1}
        found = [(name, getattr(self, name), low) for name, low in lowest.items()]
        found += [("frames: the fewest", self.frames[0], SHORTEST_USED), ("frames: the most", *self.frames[::-1])]
        found += [("size: the height", self.size[0], 48), ("size: the width", self.size[1], 24)]
        for name, value, low in found:
            if value < low:
                raise ValueError(f"{name} must be at least {low}, not {value}")

    def rng(self, stream: Stream, *key: int) -> np.random.Generator:
        """A generator that depends on the seed, the stream and the key, and on nothing drawn elsewhere."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(int(stream), *key)))


@dataclass(frozen=True)
class TrackletPlan:
    """One tracklet that is to be drawn."""

    pid: int  # From 1.
    modality: Modality
    camera: int  # From 1.
    number: int  # Which of its identity's tracklets of this modality it is, from 0.
    frames: int
    walk: tuple[int, ...]  # The random key of the walk; plans that share it show the same walk, frame for frame.


def plan_tracklets(
    settings: SyntheticSettings, pids: Sequence[int], tracklets: int, *, paired: bool = False
) -> list[TrackletPlan]:
    """Plans ``tracklets`` of either modality for every identity, in an order that tells nothing of who is who.

    Unpaired, as in HITSZ-VCM, all are walks of their own, partly under other cameras. Paired, as in BUPTCampus, both
    sensors of a camera see every walk at once: two and two plans share camera, number, length and walk.
    """
    # An identity visits fewer cameras than it has tracklets: some camera sees it twice.
    visited = settings.cameras if paired else min(settings.cameras, max(2, ceil(tracklets * 2 / 3)))
    plans = []
    for pid in pids:
        rng = settings.rng(Stream.PLAN, pid)
        cameras = (rng.permutation(settings.cameras) + 1).tolist()
        for modality in [Modality.INFRARED] if paired else list(Modality):
            for number in range(tracklets):
                camera = cameras[(number % visited + int(modality)) % settings.cameras]
                frames = int(rng.integers(settings.frames[0], settings.frames[1] + 1))
                walk = (pid, number) if paired else (pid, int(modality), number)
                plans.append(TrackletPlan(pid, modality, camera, number, frames, walk))
    # A few are too short to be used, none of them its identity's first in a modality.
    eligible = [index for index, plan in enumerate(plans) if plan.number > 0]
    rng = settings.rng(Stream.SHORT, pids[0])
    for pick in rng.permutation(len(eligible))[: ceil(SHORT_SHARE * len(plans))].tolist():
        length = int(rng.integers(SHORTEST_USED // 2, SHORTEST_USED))
        plans[eligible[pick]] = replace(plans[eligible[pick]], frames=length)
    if paired:
        plans += [replace(plan, modality=Modality.VISIBLE) for plan in plans]
    return [plans[place] for place in settings.rng(Stream.ORDER, pids[0]).permutation(len(plans)).tolist()]
