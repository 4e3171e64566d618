"""From which cosine on two tracklets count as one person: a threshold at a stated false-match rate."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import cosine_distance, verification_pairs
from xreid_plugin.gallery.manifest import Calibration
from xreid_plugin.gallery.records import GalleryError


def calibrate(data: TrackletFeatures, false_match_rate: float, direction: str | None = None) -> Calibration:
    """The least threshold that no more than this share of the pairs of different people reach.

    Args:
        data: features of validation people, who are in neither training nor the gallery.
        false_match_rate: the greatest share, above 0, below 1.
        direction: "I2V" or "V2I"; None for the pairs of all directions that the features have.

    Raises:
        GalleryError: a rate out of range, no such direction, or so few pairs of different people that a single one
            exceeds the rate.
    """
    if not 0 < false_match_rate < 1:
        raise GalleryError(f"The false-match rate is {false_match_rate}; it must lie between 0 and 1, such as 1e-3.")
    directions = list(data.tasks) if direction is None else [direction]
    if direction is not None and direction not in data.tasks:
        raise GalleryError(f"The features have no direction {direction}, only {', '.join(data.tasks)}.")
    parts = [_similarities(data, name) for name in directions]
    same = np.concatenate([part[0] for part in parts])
    different = np.concatenate([part[1] for part in parts])
    needed = math.ceil(1 / false_match_rate)
    if len(different) < needed:
        raise GalleryError(
            f"A false-match rate of {false_match_rate:g} cannot be told from {len(different)} pairs of different "
            f"people: it takes {needed} at least. Give more validation tracklets, or a higher rate."
        )
    threshold = threshold_at(different, false_match_rate)
    return Calibration(
        threshold=threshold,
        asked=false_match_rate,
        false_match_rate=float((different >= threshold).mean()),
        true_match_rate=float((same >= threshold).mean()) if len(same) else None,
        different=len(different),
        same=len(same),
    )


def threshold_at(different: NDArray[np.float32], false_match_rate: float) -> float:
    """The least float32 that at most this share of the similarities reach.

    Args:
        different: (P,) float32, similarities of pairs of different people.
        false_match_rate: the greatest share, above 0, below 1.
    """
    allowed = math.floor(false_match_rate * len(different))
    place = len(different) - 1 - allowed
    highest_refused = np.partition(different, place)[place]
    return float(np.nextafter(np.float32(highest_refused), np.float32(np.inf)))


def _similarities(data: TrackletFeatures, direction: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines of the pairs of one person, and of those of different people."""
    task = data.tasks[direction]
    query, gallery = list(task.query), list(task.gallery)
    features = torch.as_tensor(data.features)
    distances, differ = verification_pairs(
        cosine_distance(features[query], features[gallery]),
        *(data.pids[query], data.pids[gallery], data.camids[query], data.camids[gallery]),
        same_camera="exclude",
    )
    similarities = (1 - distances).astype(np.float32)
    return similarities[~differ], similarities[differ]
