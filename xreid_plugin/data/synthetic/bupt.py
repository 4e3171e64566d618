"""BUPTCampus's layout: pairs of tracklets that two sensors took at once, one JSON of paths and four lists."""

import json
from collections.abc import Iterable
from pathlib import Path

from xreid_plugin.data.synthetic.drawing import Drawing, SetSize, draw_all
from xreid_plugin.data.synthetic.person import require_outfits
from xreid_plugin.data.synthetic.plan import TrackletPlan, plan_paired
from xreid_plugin.data.synthetic.settings import SyntheticError, SyntheticSettings
from xreid_plugin.data.synthetic.staging import staged
from xreid_plugin.data.tracklet import Modality

CAMERAS = ("LS3", "G25", "CQ1", "W4", "TSG1", "TSG2")
_NAMES = {Modality.INFRARED: "IR", Modality.VISIBLE: "RGB"}

Paths = dict[str, dict[str, dict[str, dict[str, list[str]]]]]


def write_bupt(settings: SyntheticSettings, root: Path, *, workers: int = 1, overwrite: bool = False) -> SetSize:
    """Writes a set in the form of BUPTCampus: DATA, data_paths.json and the lists of its four parts.

    Both modalities of a tracklet show one walk, frame by frame. The auxiliary identities, which come on top of the
    training identities, have one tracklet of each modality. The first tracklet of a test identity is its query,
    infrared and visible in turn from one identity to the next; its other tracklets are the gallery, in both
    modalities. There is no FakeIR: that is a learned translation.

    Args:
        settings: what to draw.
        root: the folder to write the set to; absent or empty, unless ``overwrite``.
        workers: number of processes.
        overwrite: whether to replace a synthetic set at ``root``.

    Returns:
        What was drawn.

    Raises:
        FileExistsError: ``root`` is occupied.
        SyntheticError: more than six cameras, fewer than two tracklets, or not enough outfits for so many identities.
        OSError: a file cannot be written.
    """
    if settings.cameras > len(CAMERAS):
        raise SyntheticError(f"cameras must be at most {len(CAMERAS)} for BUPTCampus, not {settings.cameras}")
    if settings.tracklets < 2:
        raise SyntheticError(
            "tracklets must be at least 2 for BUPTCampus: one is the query, the others are the gallery"
        )
    train = range(1, settings.train_identities + 1)
    test = range(train.stop, train.stop + settings.test_identities)
    auxiliary = range(test.stop, test.stop + settings.auxiliary_identities)
    require_outfits(auxiliary.stop - 1)
    with staged(root, "bupt", settings, overwrite=overwrite) as partial:
        plans = plan_paired(settings, train, settings.tracklets)
        _write_lines(partial / "train.txt", _pair_lines(plans))
        extra = plan_paired(settings, auxiliary, 1)
        _write_lines(partial / "train_auxiliary.txt", _pair_lines(extra))
        tests = plan_paired(settings, test, settings.tracklets)
        _write_lines(partial / "query.txt", (_line(plan) for plan in tests if _asks(plan)))
        _write_lines(partial / "gallery.txt", (_line(plan) for plan in tests if plan.number > 0))

        paths: Paths = {}
        # The unused half of a query's pair is on disk and in the JSON, but in no list.
        drawings = [_place(plan, partial / "DATA", paths) for plan in [*plans, *extra, *tests]]
        (partial / "data_paths.json").write_text(json.dumps(paths), encoding="ascii")
        return draw_all(settings, drawings, workers)


def _asks(plan: TrackletPlan) -> bool:
    asking = (Modality.INFRARED, Modality.VISIBLE)[plan.pid % 2]
    return plan.number == 0 and plan.modality is asking


def _line(plan: TrackletPlan, modality: str | None = None) -> str:
    return f"{plan.pid} {modality or _NAMES[plan.modality]} {CAMERAS[plan.camera - 1]} {plan.number + 1}\n"


def _pair_lines(plans: Iterable[TrackletPlan]) -> Iterable[str]:
    return (_line(plan, "RGB/IR") for plan in plans if plan.modality is Modality.VISIBLE)


def _write_lines(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(lines), encoding="ascii")


def _place(plan: TrackletPlan, data: Path, paths: Paths) -> Drawing:
    """Notes where the frames of a tracklet go, relative to DATA."""
    pid, modality, camera = str(plan.pid), _NAMES[plan.modality], CAMERAS[plan.camera - 1]
    stem = f"{pid}_{modality}_{camera}_{plan.number + 1}"
    names = [f"{pid}/{modality}/{camera}/{stem}_{frame}.jpg" for frame in range(1, plan.frames + 1)]
    paths.setdefault(pid, {}).setdefault(modality, {}).setdefault(camera, {})[str(plan.number + 1)] = names
    return Drawing(plan, tuple(data / name for name in names))
