"""What a run recorded on its way: the scalars of metrics.json by name."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

METRICS_FILE = "metrics.json"


class Series(NamedTuple):
    """One scalar over a run.

    Attributes:
        iterations: the iterations, from 1, ascending.
        values: the values there; NaN where the run has written no finite number.
    """

    iterations: tuple[int, ...]
    values: tuple[float, ...]


def read_history(file: Path) -> dict[str, Series]:
    """Reads the lines of a run's metrics.json.

    In a resumed run, the later of two lines for one iteration counts. A last line that is cut off, as while a run
    is writing, is left out.

    Args:
        file: one JSON object a line, with its "iteration", from 0.

    Returns:
        By name, in the order of their first appearance.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is of another form, or there is none.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: the folder of a run has it once training has begun.")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text: expected a JSON object a line ({error.reason}).") from error
    found: dict[str, dict[int, float]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        is_cut_off = number == text.count("\n") + 1
        scalars = _parse(line)
        if scalars is None:
            if is_cut_off:
                break
            raise ValueError(f"{file}, line {number}: expected a JSON object with an 'iteration'; remove the line.")
        iteration = scalars.pop("iteration") + 1
        for name, value in scalars.items():
            found.setdefault(name, {})[iteration] = _number(value)
    if not found:
        raise ValueError(f"{file} holds no scalars yet: wait for the run's first SOLVER.LOG_PERIOD.")
    return {name: _series(points) for name, points in found.items()}


def _parse(line: str) -> dict[str, Any] | None:
    try:
        scalars = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fits = isinstance(scalars, dict) and type(scalars.get("iteration")) is int
    return scalars if fits else None


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else math.nan


def _series(points: Mapping[int, float]) -> Series:
    ordered = sorted(points.items())
    return Series(tuple(iteration for iteration, _ in ordered), tuple(value for _, value in ordered))
