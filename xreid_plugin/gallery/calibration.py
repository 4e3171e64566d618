"""From which similarity on two tracklets count as one person: a threshold at a stated false-match rate."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import cosine_distance, seen_pairs


@dataclass(frozen=True)
class Calibration:
    """The threshold, measured on validation pairs.

    Attributes:
        threshold: similarity, -1 to 1; tracklets at or above it match.
        asked: the false-match rate that was asked for, 0..1.
        false_match_rate: share of the pairs of different people at or above the threshold.
        true_match_rate: share of the pairs of one person at or above it; None where there was no such pair.
        different: pairs of different people.
        same: pairs of one person.
    """

    threshold: float
    asked: float
    false_match_rate: float
    true_match_rate: float | None
    different: int
    same: int


def calibrate(data: TrackletFeatures, false_match_rate: float, direction: str | None = None) -> Calibration:
    """The least threshold that no more than this share of the pairs of different people reach.

    Args:
        data: features of validation people, who are in neither training nor the gallery.
        false_match_rate: the greatest share, above 0, below 1.
        direction: "I2V" or "V2I"; None for the pairs of all directions that the features have, each counted once.

    Raises:
        ValueError: no such direction, a rate out of range, or one that so few pairs cannot tell.
    """
    if direction not in (None, *data.tasks):
        raise ValueError(f"The features have no direction {direction}, only {', '.join(data.tasks)}.")
    parts = []
    counted = np.zeros((len(data.pids), len(data.pids)), bool)
    for sides in data.tasks.values() if direction is None else [data.tasks[direction]]:
        query, gallery = (np.asarray(side) for side in sides)
        pairs = np.ix_(query, gallery)
        similarities = 1 - cosine_distance(data.features[query], data.features[gallery]).cpu().numpy()
        labels = [values[side] for values in (data.pids, data.camids) for side in (query, gallery)]
        # One camera's tracklets of a person are too easy. In the other direction, the same pairs come again.
        seen, different = seen_pairs(*labels)
        counts = seen & ~counted[pairs]
        counted[pairs] = counted.T[pairs] = True
        parts.append((similarities[counts].astype(np.float32), different[counts]))
    similarities, differ = (np.concatenate(part) for part in zip(*parts, strict=True))
    different, same = similarities[differ], similarities[~differ]
    if not false_match_rate < 1 <= false_match_rate * len(different):
        raise ValueError(
            f"The false-match rate {false_match_rate:g} does not lie between 0 and 1, or is less than one of the "
            f"{len(different)} pairs of different people: give more validation tracklets, or another rate."
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
    """The least float32 that at most this share, above 0 and below 1, of the similarities (P,) reach."""
    place = len(different) - 1 - math.floor(false_match_rate * len(different))
    return float(np.nextafter(np.partition(different, place)[place], np.float32(np.inf)))
