"""Which tracklets a set has: who, seen by which sensor of which camera, for how long."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from xreid_plugin.data.synthetic.settings import SHORTEST_USED, Stream, SyntheticSettings
from xreid_plugin.data.tracklet import Modality


@dataclass(frozen=True)
class TrackletPlan:
    """One tracklet that is to be drawn.

    Attributes:
        pid: identity, from 1.
        modality: which sensor.
        camera: camera number, from 1.
        number: which of its identity's tracklets of this modality it is, from 0.
        frames: number of frames.
        walk: the random key of the walk; two plans that share it show the same walk, frame for frame.
    """

    pid: int
    modality: Modality
    camera: int
    number: int
    frames: int
    walk: tuple[int, ...]


def plan_unpaired(settings: SyntheticSettings, pids: Sequence[int]) -> list[TrackletPlan]:
    """Tracklets of the two modalities are walks of their own, partly under other cameras (HITSZ-VCM).

    Returns:
        Per identity ``settings.tracklets`` infrared, then as many visible ones.
    """
    plans = []
    for pid in pids:
        rng = settings.rng(Stream.PLAN, pid)
        cameras = (rng.permutation(settings.cameras) + 1).tolist()
        for modality in (Modality.INFRARED, Modality.VISIBLE):
            # An identity visits fewer cameras than it has tracklets: some camera sees it twice.
            visited = min(settings.cameras, max(2, ceil(settings.tracklets * 2 / 3)))
            for number in range(settings.tracklets):
                camera = cameras[(number % visited + int(modality)) % settings.cameras]
                frames = int(rng.integers(settings.frames[0], settings.frames[1] + 1))
                plans.append(TrackletPlan(pid, modality, camera, number, frames, (pid, int(modality), number)))
    return _shorten(settings, plans)


def plan_paired(settings: SyntheticSettings, pids: Sequence[int], tracklets: int) -> list[TrackletPlan]:
    """Every walk is seen by both sensors of one camera at once (BUPTCampus).

    Returns:
        Infrared and visible plans in turn, two and two sharing camera, number, length and walk.
    """
    infrared = []
    for pid in pids:
        rng = settings.rng(Stream.PLAN, pid)
        cameras = (rng.permutation(settings.cameras) + 1).tolist()
        for number in range(tracklets):
            frames = int(rng.integers(settings.frames[0], settings.frames[1] + 1))
            camera = cameras[number % settings.cameras]
            infrared.append(TrackletPlan(pid, Modality.INFRARED, camera, number, frames, (pid, number)))
    return [
        replace(plan, modality=modality)
        for plan in _shorten(settings, infrared)
        for modality in (Modality.INFRARED, Modality.VISIBLE)
    ]


def _shorten(settings: SyntheticSettings, plans: list[TrackletPlan]) -> list[TrackletPlan]:
    """Makes a few tracklets too short to be used, none of them its identity's first in a modality."""
    eligible = [index for index, plan in enumerate(plans) if plan.number > 0]
    count = min(len(eligible), ceil(settings.short_share * len(plans)))
    rng = settings.rng(Stream.SHORT, plans[0].pid)
    shortened = list(plans)
    for pick in rng.permutation(len(eligible))[:count].tolist():
        index = eligible[pick]
        shortened[index] = replace(plans[index], frames=int(rng.integers(SHORTEST_USED // 2, SHORTEST_USED)))
    return shortened
