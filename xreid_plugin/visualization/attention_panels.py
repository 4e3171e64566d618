"""Attention as heat maps on the frames: one row per block, one column per frame."""

from collections.abc import Mapping

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.visualization.attention_maps import ClipPair
from xreid_plugin.visualization.frame_source import middles
from xreid_plugin.visualization.panels import PANEL_WIDTH, Panel
from xreid_plugin.visualization.theme import Theme

MOST_FRAMES = 5
_COLOURS = mpl.colormaps["inferno"]
_STRENGTH = 0.72
_GAP = 0.08
_LABEL = 0.8  # space for the names of rows, in widths of a frame
_BAR_INCHES, _MARGINS = 0.72, 0.16
SCALE_NOTE = "1 = what every patch would get\nif the model looked everywhere alike"


def attention_panels(pair: ClipPair, maps: Mapping[str, NDArray[np.float32]]) -> list[Panel]:
    """One panel per modality, on one scale.

    Args:
        pair: the clips.
        maps: by row, (2, T, h, w), from :func:`~xreid_plugin.visualization.attention_maps.attention_maps`.
    """
    # A few patches, often in the background, may take a hundred times their share, and would hide the rest.
    highest = max(1.5, float(np.quantile(np.stack(list(maps.values())), 0.995)))
    return [
        _panel(modality, pair, {name: values[modality] for name, values in maps.items()}, highest)
        for modality in Modality
    ]


def _panel(modality: Modality, pair: ClipPair, maps: Mapping[str, NDArray[np.float32]], highest: float) -> Panel:
    clip = pair.images[modality].permute(0, 2, 3, 1).numpy()
    chosen = middles(len(clip), min(MOST_FRAMES, len(clip)))
    frames = clip[chosen]
    rows = {"frames": frames} | {
        name: np.stack([heat_map(frame, values[t] / highest) for frame, t in zip(frames, chosen, strict=True)])
        for name, values in maps.items()
    }
    tall = clip.shape[1] / clip.shape[2]
    width, height = _LABEL + len(frames) * (1 + _GAP), len(rows) * (tall + _GAP)

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        for number, (name, pictures) in enumerate(rows.items()):
            top = number * (tall + _GAP)
            axes.text(0, top + tall / 2, name, fontsize=11, va="center")
            for place, picture in enumerate(pictures):
                left = _LABEL + place * (1 + _GAP)
                axes.imshow(picture, extent=(left, left + 1, top + tall, top), interpolation="none")
        axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", anchor="N")
        axes.set_axis_off()
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, highest), _COLOURS),
            ax=axes,
            orientation="horizontal",
            shrink=0.8,
            aspect=40,
            extend="max",
            pad=0.01,
        )
        bar.set_label(SCALE_NOTE, fontsize=8.5)

    tracklet = pair.tracklets[modality]
    return Panel(
        f"Person {tracklet.pid}, {modality.name.lower()} camera {tracklet.camid}",
        f"{len(frames)} frames of the {modality.name.lower()} clip, and below them heat maps of where "
        f"{', '.join(maps)} look on them.",
        draw,
        height=height / width * (PANEL_WIDTH - _MARGINS) + _BAR_INCHES,
        photographic=True,
    )


def heat_map(frame: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Paints a map of patches on the frame, which turns grey.

    Args:
        frame: (H, W, 3) uint8, RGB.
        values: (h, w), 0..1; more counts as 1.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    smooth = cv2.resize(values, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    colours = _COLOURS(np.clip(smooth, 0, 1))[..., :3] * 255
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return (_STRENGTH * colours + (1 - _STRENGTH) * grey).round().astype(np.uint8)
