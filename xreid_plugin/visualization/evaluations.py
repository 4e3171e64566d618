"""The results that a run's evaluations have written: results_*.json."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xreid_plugin.evaluation.ranking import title_of

BEFORE_TRAINING = "before training"
_NAME = re.compile(r"results_(?:(?P<set>.+)_)?(?P<label>before_training|epoch_\d+|evaluation_\w+)")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a run.

    Attributes:
        label: such as "epoch 12" or "dense frames".
        dataset: the dataset that its file names; empty in a run with one test set.
        figures: the figures in percent, by names such as "I2V/mAP".
        curves: by direction, the CMC in percent at ranks 1, 2, ...
        protocol: the protocol under which it was made.
    """

    label: str
    dataset: str
    figures: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    protocol: Mapping[str, Any]

    @property
    def epoch(self) -> int | None:
        """The epoch after which training made it, 0 before the first; None for one that was asked for by itself."""
        if self.label == BEFORE_TRAINING:
            return 0
        return int(self.label.removeprefix("epoch ")) if self.label.startswith("epoch ") else None

    @property
    def order(self) -> tuple[str, bool, int]:
        """The key that sorts a run's evaluations: those of training first, then those asked for separately."""
        return self.dataset, self.epoch is None, self.epoch or 0


def read_evaluations(folder: Path) -> list[Evaluation]:
    """Every evaluation in the folder of a run, in the order of its training.

    Raises:
        ValueError: a file is of another form.
    """
    named = [(file, _NAME.fullmatch(file.stem)) for file in sorted(folder.glob("results_*.json"))]
    return sorted((_read(file, match) for file, match in named if match), key=lambda evaluation: evaluation.order)


def _read(file: Path, match: re.Match[str]) -> Evaluation:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        figures = {name: _finite(value) for name, value in content["figures"].items()}
        curves = {name: [_finite(value) for value in values] for name, values in content["curves"].items()}
        protocol = dict(content["protocol"])
        if any("/" not in name for name in figures):
            raise ValueError("a figure names no direction")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{file} is not as an evaluation writes it, figures, protocol and curves as JSON "
            f"({' '.join(str(error).split())}): evaluate again, or remove it."
        ) from error
    return Evaluation(title_of(match["label"].replace("_", " ")), match["set"] or "", figures, curves, protocol)


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)
