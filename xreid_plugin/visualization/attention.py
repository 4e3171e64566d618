"""Where SII and LII of X-ReID look: heat maps on the frames of two clips of one person, one clip per modality.

Shapes: T frames a clip, h×w patches a frame, H×W pixels; clip 0 is infrared, clip 1 visible. CII has no part in
evaluation.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import FigureBase
from numpy.typing import NDArray
from torch import nn

from xreid_plugin.data.build import build_dataset, build_frame_reader
from xreid_plugin.data.clips import TestClips
from xreid_plugin.data.tracklet import IMAGES, Modality, Tracklet
from xreid_plugin.engine.evaluation import as_the_model_knows_them
from xreid_plugin.engine.restore import restore
from xreid_plugin.modeling.xreid import XReID
from xreid_plugin.visualization.panels import PANEL_WIDTH, Panel, Theme
from xreid_plugin.visualization.rank_lists import middles

_MOST_FRAMES = 5
_COLOURS = mpl.colormaps["inferno"]
_STRENGTH = 0.72
_SCALE, _MARGINS = 0.62, 0.16  # inches
_SCALE_NOTE = "1 = what every patch would get\nif the model looked everywhere alike"


def attention_of_people(cfg: Any, people: int, seed: int = 0) -> list[Panel]:
    """Two panels, one per modality, for each of at most ``people`` identities of the first of DATASETS.TESTS.

    Of the model that :func:`~xreid_plugin.engine.restore.restore` finds by the configuration, whose errors are raised
    here, too; the seed chooses identities and their tracklets.

    Raises:
        FileNotFoundError: the dataset is not there.
        ValueError: nobody has tracklets of both modalities, or the model has neither SII nor LII.
        FrameError: a frame is missing or cannot be decoded.
    """
    cfg, model, _ = restore(cfg, "cpu")
    name = cfg.DATASETS.TESTS[0]
    tracklets = choose_tracklets(build_dataset(cfg, name).test, people, seed)
    camids = torch.tensor([tracklet.camid for tracklet in as_the_model_knows_them(cfg, name, tracklets)])
    reader = build_frame_reader(cfg, "SIZE_TEST")
    clips = TestClips(tracklets, tuple(cfg.INPUT.SIZE_TEST), cfg.INPUT.CLIP.FRAMES, "even", reader=reader)
    panels = []
    for both in np.split(np.arange(len(tracklets)), len(tracklets) // 2):
        images = torch.stack([clips[i][IMAGES] for i in both])
        panels += attention_panels(images, [tracklets[i] for i in both], attention_maps(model, images, camids[both]))
    return panels


def choose_tracklets(tracklets: Sequence[Tracklet], people: int, seed: int) -> list[Tracklet]:
    """An infrared and a visible tracklet of each of a few people, one after another."""
    both = sorted(set.intersection(*({t.pid for t in tracklets if t.modality == modality} for modality in Modality)))
    if not both:
        raise ValueError("No test identity has tracklets of both modalities.")
    rng, chosen = np.random.default_rng(seed), []
    for pid in sorted(rng.choice(both, min(people, len(both)), replace=False).tolist()):
        for modality in Modality:
            its = [tracklet for tracklet in tracklets if (tracklet.pid, tracklet.modality) == (pid, modality)]
            chosen.append(its[rng.integers(len(its))])
    return chosen


def attention_maps(model: nn.Module, images: torch.Tensor, camids: torch.Tensor) -> dict[str, NDArray[np.float32]]:
    """What the class tokens of SII and LII read, the mean over heads, on the frames that the patches belong to.

    Args:
        model: in eval mode; it runs in full precision.
        images: (2, T, 3, H, W) uint8, RGB.
        camids: (2,) int64, cameras as the model knows them.

    Returns:
        By the name of the block, such as "SII 1", (2, T, h, w) float32: multiples of what uniform attention would give
        each patch, so that they average 1 over a frame.

    Raises:
        ValueError: the model has neither.
    """
    if not isinstance(model, XReID) or not {"sii", "lii"} & set(model.mii):
        raise ValueError("The model has neither SII nor LII (MODEL.MII), so there is no attention to show.")
    recorded: dict[str, list[torch.Tensor]] = {name: [] for name in ("sii", "lii") if name in model.mii}

    def record(read: list[torch.Tensor], block: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        # A row for each frame, with one query: all but the first and the last dimension are that and the heads.
        read.append(block.attention_weights(*inputs).float().mean((1, 2)))

    handles = [
        block.register_forward_pre_hook(partial(record, read))
        for name, read in recorded.items()
        for block in model.mii[name].modules()
        if hasattr(block, "attention_weights")
    ]
    try:
        with torch.inference_mode():
            model.frame_features(images, camids)
    finally:
        for handle in handles:
            handle.remove()
    shape = (*images.shape[:2], *model.backbone.grid)
    return {
        name.upper() + (f" {number}" if len(read) > 1 else ""): (row * row.shape[1]).reshape(shape).cpu().numpy()
        for name, read in recorded.items()
        for number, row in enumerate(read, 1)
    }


def attention_panels(
    images: torch.Tensor, tracklets: Sequence[Tracklet], maps: Mapping[str, NDArray[np.float32]]
) -> list[Panel]:
    """One panel per modality, on one scale: a row of the (2, T, 3, H, W) frames, and one for each (2, T, h, w) map."""
    # A few patches, often in the background, may take a hundred times their share, and would hide the rest.
    highest = max(1.5, float(np.quantile(np.stack(list(maps.values())), 0.995)))
    panels = []
    for modality, tracklet in zip(Modality, tracklets, strict=True):
        clip, kind = images[modality].permute(0, 2, 3, 1).numpy(), modality.name.lower()
        chosen = middles(len(clip), min(_MOST_FRAMES, len(clip)))
        rows = {"frames": clip[chosen]}
        for name, values in maps.items():
            rows[name] = np.stack([heat_map(clip[t], values[modality][t] / highest) for t in chosen])
        title = f"Person {tracklet.pid}, {kind} camera {tracklet.camid}"
        alt = f"Frames of the {kind} clip, and below them heat maps of where {', '.join(maps)} look on them."
        panels.append(_panel(title, alt, rows, highest))
    return panels


def _panel(title: str, alt: str, rows: Mapping[str, NDArray[np.uint8]], highest: float) -> Panel:
    """Rows of n frames, (n, H, W, 3) each, one below the other, above the scale."""
    tall, wide = rows["frames"].shape[1:3]
    gap, names = wide // 12, 4 * wide // 5
    # With gaps to the right of pictures and below, through which the paper is seen.
    pictures = np.pad(np.stack(list(rows.values())), [(0, 0)] * 4 + [(0, 1)], constant_values=255)
    pictures = np.pad(pictures, [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)])
    sheet = np.vstack([np.hstack(list(row)) for row in pictures])
    height, width = sheet.shape[0], sheet.shape[1] + names

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        axes.imshow(sheet, extent=(names, width, height, 0), interpolation="none")
        for number, name in enumerate(rows):
            axes.text(0, number * (tall + gap) + tall / 2, name, fontsize=11, va="center")
        axes.set(xlim=(0, width), anchor="N")
        axes.set_axis_off()
        scale = ScalarMappable(Normalize(0, highest), _COLOURS)
        bar = figure.colorbar(scale, ax=axes, orientation="horizontal", shrink=0.8, aspect=40, extend="max", pad=0.01)
        bar.set_label(_SCALE_NOTE, fontsize=8.5)

    return Panel(title, alt, draw, (PANEL_WIDTH - _MARGINS) * height / width + _SCALE, photographic=True)


def heat_map(frame: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Paints a map of patches, (h, w) from 0 to 1 or more, on a frame, which turns grey; (H, W, 3) uint8, RGB."""
    smooth = cv2.resize(values, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    colours = _COLOURS(np.clip(smooth, 0, 1))[..., :3] * 255
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return (_STRENGTH * colours + (1 - _STRENGTH) * grey).round().astype(np.uint8)
