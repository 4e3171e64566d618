"""HITSZ-VCM's layout: one folder per identity, modality and camera, and lists of names and of tracklets."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from xreid_plugin.data.synthetic.drawing import Drawing, SetSize, draw_all
from xreid_plugin.data.synthetic.person import require_outfits
from xreid_plugin.data.synthetic.plan import TrackletPlan, plan_unpaired
from xreid_plugin.data.synthetic.settings import SyntheticSettings
from xreid_plugin.data.synthetic.staging import staged
from xreid_plugin.data.tracklet import Modality

_CODES = {Modality.INFRARED: 1, Modality.VISIBLE: 2}
_FOLDERS = {Modality.INFRARED: "ir", Modality.VISIBLE: "rgb"}


def write_vcm(settings: SyntheticSettings, root: Path, *, workers: int = 1, overwrite: bool = False) -> SetSize:
    """Writes a set in the form of HITSZ-VCM: Train, Test and info. All infrared test tracklets are queries.

    Args:
        settings: what to draw.
        root: the folder to write the set to; absent or empty, unless ``overwrite``.
        workers: number of processes.
        overwrite: whether to replace a synthetic set at ``root``.

    Returns:
        What was drawn.

    Raises:
        FileExistsError: ``root`` is occupied.
        SyntheticError: there are not enough outfits for so many identities.
        OSError: a file cannot be written.
    """
    train = range(1, settings.train_identities + 1)
    test = range(train.stop, train.stop + settings.test_identities)
    require_outfits(test.stop - 1)
    with staged(root, "vcm", settings, overwrite=overwrite) as partial:
        info = partial / "info"
        info.mkdir()
        drawings = []
        for split, pids in (("train", train), ("test", test)):
            plans = plan_unpaired(settings, pids)
            drawings += _list_split(plans, split, partial)
            if split == "test":
                queries = [str(n) for n, plan in enumerate(plans, start=1) if plan.modality is Modality.INFRARED]
                (info / "query_IDX.txt").write_text(" ".join(queries) + "\n", encoding="ascii")
        return draw_all(settings, drawings, workers)


def _list_split(plans: Sequence[TrackletPlan], split: str, root: Path) -> list[Drawing]:
    """Writes a split's two lists and says which files its tracklets go to."""
    names: list[str] = []
    tracks: list[str] = []
    drawings: list[Drawing] = []
    tracklets: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    for plan in plans:
        # Frame numbers run on through the tracklets of a camera: they share a folder.
        folder = f"{plan.pid:04d}/{_FOLDERS[plan.modality]}/D{plan.camera}"
        tracklets[folder] += 1
        numbers = range(frames[folder] + 1, frames[folder] + 1 + plan.frames)
        frames[folder] += plan.frames
        code = _CODES[plan.modality]
        tracks.append(f"{code} {len(names) + 1} {len(names) + plan.frames} {plan.pid} {plan.camera}\n")
        prefix = f"{plan.pid:04d}M{code}D{plan.camera}T{tracklets[folder]}"
        names += [f"{prefix}F{number}.jpg\n" for number in numbers]
        files = tuple(root / split.capitalize() / folder / f"{number}.jpg" for number in numbers)
        drawings.append(Drawing(plan, files))
    (root / "info" / f"{split}_name.txt").write_text("".join(names), encoding="ascii")
    (root / "info" / f"track_{split}_info.txt").write_text("".join(tracks), encoding="ascii")
    return drawings
