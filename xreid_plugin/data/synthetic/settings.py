"""What a synthetic set is made of, and where its randomness comes from."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

SHORTEST_USED = 12
"""Frames: HITSZ-VCM's protocol drops tracklets below this length."""


class SyntheticError(ValueError):
    """What was asked for cannot be drawn; the message tells the user why."""


class Stream(IntEnum):
    """Independent sources of randomness: adding a draw to one leaves all others as they were."""

    OUTFITS = 0
    PERSON = 1
    CAMERA = 2
    SCENE = 3
    PLAN = 4
    SHORT = 5
    WALK = 6
    SENSOR = 7


@dataclass(frozen=True)
class SyntheticSettings:
    """Arguments of a synthetic set; equal settings give byte-identical files.

    Attributes:
        train_identities: identities to train on, at least 1.
        test_identities: identities to test on, at least 1; none of them is a training identity.
        cameras: number of cameras, at least 2, so that a query has a match under another camera.
        tracklets: tracklets per identity and modality, at least 1.
        frames: fewest and most frames of an ordinary tracklet, both at least 12.
        short_share: share, 0 to 1, of tracklets that get 6 to 11 frames, which a loader has to filter out; a split
            gets at least one where this is above 0. The first tracklet of an identity and modality is never short, so
            ``tracklets=1`` gives no short ones.
        size: height and width of a frame in pixels, at least 48 and 24.
        seed: non-negative.
        quality: JPEG quality, 1 to 100.

    Raises:
        SyntheticError: a value is outside its range; the message names it.
    """

    train_identities: int = 80
    test_identities: int = 40
    cameras: int = 4
    tracklets: int = 4
    frames: tuple[int, int] = (16, 24)
    short_share: float = 0.04
    size: tuple[int, int] = (96, 48)
    seed: int = 0
    quality: int = 92

    def __post_init__(self) -> None:
        self._check("train_identities", self.train_identities, 1)
        self._check("test_identities", self.test_identities, 1)
        self._check("cameras", self.cameras, 2)
        self._check("tracklets", self.tracklets, 1)
        self._check("frames: the fewest", self.frames[0], SHORTEST_USED)
        self._check("frames: the most", self.frames[1], self.frames[0])
        self._check("size: the height", self.size[0], 48)
        self._check("size: the width", self.size[1], 24)
        self._check("seed", self.seed, 0)
        self._check("quality", self.quality, 1, 100)
        self._check("short_share", self.short_share, 0, 1)

    @staticmethod
    def _check(name: str, value: float, low: float, high: float | None = None) -> None:
        if value < low:
            raise SyntheticError(f"{name} must be at least {low}, not {value}")
        if high is not None and value > high:
            raise SyntheticError(f"{name} must be at most {high}, not {value}")

    @property
    def auxiliary_identities(self) -> int:
        """Identities of BUPTCampus's auxiliary list, which come on top of the training identities."""
        return max(1, self.train_identities // 4)

    def rng(self, stream: Stream, *key: int) -> np.random.Generator:
        """A generator that depends on the seed, the stream and the key, and on nothing drawn elsewhere."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(int(stream), *key)))
