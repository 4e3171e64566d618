"""Where the interactions of X-ReID look on the frames of two clips of one person, one clip per modality.

Shapes: T frames a clip, L = h·w patches a frame, H×W pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.data.build import build_dataset, build_frame_reader
from xreid_plugin.data.clips import TestClips
from xreid_plugin.data.tracklet import IMAGES, Modality, Tracklet
from xreid_plugin.engine.unseen_cameras import as_the_model_knows_them
from xreid_plugin.modeling.xreid import XReID
from xreid_plugin.visualization.attention_weights import recorded_weights


@dataclass(frozen=True, eq=False)
class ClipPair:
    """An infrared and a visible clip of one person.

    Attributes:
        images: (2, T, 3, H, W) uint8, RGB, the infrared clip first.
        tracklets: the tracklets that they show.
        camids: (2,) int64, their cameras, as given to the model.
    """

    images: torch.Tensor
    tracklets: tuple[Tracklet, Tracklet]
    camids: torch.Tensor


def choose_pairs(cfg: Any, count: int, seed: int = 0) -> list[ClipPair]:
    """Clips of test identities that have tracklets of both modalities.

    Args:
        cfg: the configuration; INPUT and the first of DATASETS.TESTS are used.
        count: greatest number of identities.
        seed: the seed for choosing identities and their tracklets.

    Raises:
        FileNotFoundError: the dataset is not there.
        ValueError: no test identity has both, or the model has no embedding of a camera.
        FrameError: a frame is missing or cannot be decoded.
    """
    by_person: dict[int, dict[Modality, list[Tracklet]]] = {}
    for tracklet in build_dataset(cfg, cfg.DATASETS.TESTS[0]).test:
        by_person.setdefault(tracklet.pid, {}).setdefault(tracklet.modality, []).append(tracklet)
    both = sorted(pid for pid, tracklets in by_person.items() if len(tracklets) == len(Modality))
    if not both:
        raise ValueError(f"No test identity of {cfg.DATASETS.TESTS[0]} has tracklets of both modalities.")
    rng = np.random.default_rng(seed)
    people = sorted(rng.choice(both, min(count, len(both)), replace=False).tolist())
    chosen = [by_person[pid][modality] for pid in people for modality in Modality]
    tracklets = [candidates[rng.integers(len(candidates))] for candidates in chosen]
    known = as_the_model_knows_them(cfg, cfg.DATASETS.TESTS[0], tracklets)
    camids = torch.tensor([tracklet.camid for tracklet in known])
    reader = build_frame_reader(cfg, "SIZE_TEST")
    clips = TestClips(tracklets, tuple(cfg.INPUT.SIZE_TEST), cfg.INPUT.CLIP.FRAMES, "even", reader=reader)
    return [
        ClipPair(
            torch.stack([clips[i][IMAGES], clips[i + 1][IMAGES]]), (tracklets[i], tracklets[i + 1]), camids[i : i + 2]
        )
        for i in range(0, len(tracklets), 2)
    ]


def attention_maps(model: XReID, pair: ClipPair, with_cii: bool) -> Mapping[str, NDArray[np.float32]]:
    """What each interaction's class tokens read, the mean over heads, on the frames that the patches belong to.

    SII's class token of frame t reads the patches of frame t, after a shift in time; LII's of frame t + S those of
    frame t; CII's class tokens read all frames of the partner, and their mean is shown on the partner's frames.

    Args:
        model: the model in eval mode; it runs in full precision.
        pair: the clips.
        with_cii: whether CII's weights were trained, so that CII is shown.

    Returns:
        By the name of the block, such as "SII 1", (2, T, h, w) float32: multiples of what uniform attention would give
        each patch, so that they average 1 over the patches that a token reads.

    Raises:
        ValueError: the model has none of the interactions, or does not know a camera.
    """
    kept: list[torch.Tensor] = []
    catch = model.backbone.register_forward_hook(lambda _, __, output: kept.append(output.tokens))
    try:
        with torch.inference_mode(), recorded_weights(dict(model.mii.items())) as weights:
            model.frame_features(pair.images, pair.camids)
            if with_cii and "cii" in model.mii:
                model.mii["cii"](kept[0].unflatten(0, pair.images.shape[:2]))
    finally:
        catch.remove()
    clips, frames = pair.images.shape[:2]
    maps = {}
    for branch, blocks in weights.items():
        for number, block in enumerate(blocks, 1):
            name = branch.upper() + (f" {number}" if len(blocks) > 1 else "")
            # (R, heads, Q, M) -> (R, M): CII has a query for each frame, the others have one.
            read = block.mean((1, 2)) * block.shape[-1]
            maps[name] = read.reshape(clips, frames, *model.backbone.grid)
            if branch == "cii":
                maps[name] = maps[name].roll(1, dims=0)
    if not maps:
        raise ValueError("The model has none of SII, LII and CII (MODEL.MII), so there is no attention to show.")
    return {name: values.cpu().numpy() for name, values in maps.items()}
