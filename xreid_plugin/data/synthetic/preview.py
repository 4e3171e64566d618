"""A contact sheet that shows why a visible and an infrared tracklet match."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from xreid_plugin.data.synthetic.person import draw_person
from xreid_plugin.data.synthetic.plan import plan_unpaired
from xreid_plugin.data.synthetic.render import render_tracklet
from xreid_plugin.data.synthetic.settings import SyntheticError, SyntheticSettings
from xreid_plugin.data.tracklet import Modality
from xreid_plugin.files import replace_atomically

_TRACKLETS, _FRAMES = 2, 3
_GAP = 4
_SMALLEST_HEIGHT = 160


def write_preview(settings: SyntheticSettings, file: Path, identities: int = 8) -> None:
    """Writes a sheet with one row per identity: frames of visible tracklets on the left, of infrared ones on the right.

    Args:
        settings: the set's settings; its first training identities are shown, as HITSZ-VCM's layout has them.
        file: PNG file, replaced if it exists.
        identities: greatest number of rows, at least 1.

    Raises:
        SyntheticError: the name does not end in .png.
        OSError: the file cannot be written.
    """
    if file.suffix.lower() != ".png":
        raise SyntheticError(f"a preview is a PNG file: {file} must end in .png")
    rows = [_row(settings, pid) for pid in range(1, min(identities, settings.train_identities) + 1)]
    sheet = np.vstack(rows)
    factor = max(1, round(_SMALLEST_HEIGHT / settings.size[0]))
    enlarged = cv2.resize(sheet, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    done, encoded = cv2.imencode(".png", enlarged)
    if not done:
        raise OSError(f"the preview for {file} could not be encoded")
    replace_atomically(file, lambda part: part.write_bytes(encoded.tobytes()))


def _row(settings: SyntheticSettings, pid: int) -> NDArray[np.uint8]:
    person = draw_person(settings, pid)
    cells: list[NDArray[np.uint8]] = []
    for modality in (Modality.VISIBLE, Modality.INFRARED):
        plans = [plan for plan in plan_unpaired(settings, [pid]) if plan.modality is modality]
        for plan in plans[:_TRACKLETS]:
            frames = list(render_tracklet(settings, person, plan))
            picks = np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int).tolist()
            cells += [np.broadcast_to(frames[pick], (*settings.size, 3)) for pick in picks]
            cells.append(np.full((settings.size[0], _GAP, 3), 255, np.uint8))
    row = np.hstack(cells)
    return np.vstack([row, np.full((_GAP, row.shape[1], 3), 255, np.uint8)])
