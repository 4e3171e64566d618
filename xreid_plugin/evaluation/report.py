"""Evaluations as a table for people and as a file for programs."""

import json
from collections.abc import Mapping
from pathlib import Path

from tabulate import tabulate

from xreid_plugin.evaluation.evaluator import FIGURES
from xreid_plugin.host import replace_atomically


def results_table(evaluations: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table with a row an evaluation and direction.

    Args:
        evaluations: by label, such as "before training", figures in percent as the evaluator names them; the labels have
            the same directions.
    """
    suffix = f"/{FIGURES[0]}"
    directions = [key.removesuffix(suffix) for key in next(iter(evaluations.values())) if key.endswith(suffix)]
    rows = [
        [direction, label, *(results[f"{direction}/{name}"] for name in FIGURES)]
        for direction in directions
        for label, results in evaluations.items()
    ]
    return tabulate(rows, headers=["direction", "", *FIGURES], tablefmt="pipe", floatfmt=".2f")


def write_results(path: Path, results: Mapping[str, float], protocol: Mapping[str, object]) -> None:
    """Writes figures and the protocol they were found under as JSON, whole or not at all."""
    text = json.dumps({"figures": dict(results), "protocol": dict(protocol)}, indent=2)
    replace_atomically(path, lambda part: part.write_text(text + "\n"))
