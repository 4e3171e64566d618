"""Evaluations as tables for people and as files for programs."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from tabulate import tabulate

from xreid_plugin.evaluation.scoring import Ranking
from xreid_plugin.files import replace_atomically

# In temporal re-ranking λ is two weights.
SETTING_COLUMNS = ("ranking", "k1", "k2", "lambda")


def title_of(label: str) -> str:
    """An evaluation's label as people read it: "even frames" for "evaluation even", which names the file."""
    frames = label.removeprefix("evaluation ")
    return label if frames == label else f"{frames} frames"


def results_table(evaluations: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table with one row per evaluation and ranking, such as "I2V" and "I2V-reranked".

    Args:
        evaluations: by label, such as "before training", the figures in percent under the evaluator's names, the same
            names for each label.
    """
    names = [key.rpartition("/") for key in next(iter(evaluations.values()))]
    directions = dict.fromkeys(direction for direction, _, _ in names)
    columns = list(dict.fromkeys(figure for _, _, figure in names))
    rows = [
        [direction, label, *(results[f"{direction}/{figure}"] for figure in columns)]
        for direction in directions
        for label, results in evaluations.items()
    ]
    return tabulate(rows, headers=["direction", "", *columns], tablefmt="pipe", floatfmt=".2f")


def write_results(
    path: Path,
    results: Mapping[str, float],
    protocol: Mapping[str, object],
    curves: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Writes figures, the protocol they were found under and CMC curves as JSON, whole or not at all."""
    parts = {"figures": dict(results), "protocol": dict(protocol), "curves": dict(curves or {})}
    text = json.dumps(parts, indent=2)
    replace_atomically(path, lambda part: part.write_text(text + "\n"))


def rankings_table(rankings: Sequence[Ranking]) -> str:
    """A Markdown table with one row per ranking: its settings, and its figures in percent."""
    rows = [[*_settings(ranking), *ranking.figures.values()] for ranking in rankings]
    headers = [*SETTING_COLUMNS, *rankings[0].figures]
    # Settings are passed to tabulate as text, or it would give k1 two decimals.
    formats = ("",) * len(SETTING_COLUMNS) + (".2f",) * len(rankings[0].figures)
    return tabulate(
        rows, headers=headers, tablefmt="pipe", floatfmt=formats, disable_numparse=list(range(len(SETTING_COLUMNS)))
    )


def write_rankings(path: Path, rankings: Sequence[Ranking]) -> None:
    """Writes the rows of :func:`rankings_table` as comma-separated values in full precision, whole or not at all."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow([*SETTING_COLUMNS, *rankings[0].figures])
            table.writerows([*_settings(ranking), *ranking.figures.values()] for ranking in rankings)

    replace_atomically(path, write)


def _settings(ranking: Ranking) -> list[str]:
    if ranking.method is None:
        return [ranking.label, "", "", ""]
    k1, k2, *weights = astuple(ranking.method)
    return [ranking.label, str(k1), str(k2), " ".join(map(str, weights))]
