"""Tables of the page: figures of a run's evaluations, and what they depend on."""

from collections.abc import Sequence
from dataclasses import dataclass

from xreid_plugin.visualization.evaluations import Evaluation
from xreid_plugin.visualization.run_folder import RunFolder

_HEADLINES = ("Rank-1", "mAP")


@dataclass(frozen=True)
class Headline:
    """One of the figures at the top of the page.

    Attributes:
        name: its name, such as "I2V Rank-1".
        value: the figure in percent.
        before: the same before training; None where that was not evaluated.
    """

    name: str
    value: float
    before: float | None


@dataclass(frozen=True)
class ResultTable:
    """Figures of all evaluations on one test set.

    Attributes:
        dataset: its name; empty in a run with one test set.
        columns: names of figures.
        rows: (ranking, evaluation, figures in percent, None where there is none).
    """

    dataset: str
    columns: list[str]
    rows: list[tuple[str, str, list[float | None]]]

    @property
    def ends(self) -> list[tuple[str, str, list[float | None]]]:
        """The first and the last row of each ranking."""
        by_ranking = {ranking: [row for row in self.rows if row[0] == ranking] for ranking, _, _ in self.rows}
        return [row for rows in by_ranking.values() for row in (rows[:1] + rows[1:][-1:])]


def headlines(run: RunFolder) -> list[Headline]:
    """Rank-1 and mAP of the last evaluation, raw, with those before training."""
    first = {evaluation.dataset: evaluation for evaluation in reversed(run.evaluations)}
    found = []
    for evaluation in run.last:
        before = first[evaluation.dataset]
        for direction in evaluation.curves:
            for figure in _HEADLINES:
                name = f"{direction}/{figure}"
                if name in evaluation.figures:
                    earlier = before.figures.get(name) if before is not evaluation else None
                    label = f"{evaluation.dataset} {direction} {figure}".strip()
                    found.append(Headline(label, evaluation.figures[name], earlier))
    return found


def result_tables(evaluations: Sequence[Evaluation]) -> list[ResultTable]:
    """One table per test set, with a row per ranking and evaluation, in the order of the file and of training."""
    tables = []
    for dataset in dict.fromkeys(evaluation.dataset for evaluation in evaluations):
        ours = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
        names = [name.rpartition("/") for evaluation in ours for name in evaluation.figures]
        columns = list(dict.fromkeys(figure for _, _, figure in names))
        rows = [
            (ranking, evaluation.label, [evaluation.figures.get(f"{ranking}/{figure}") for figure in columns])
            for ranking in dict.fromkeys(ranking for ranking, _, _ in names)
            for evaluation in ours
            if any(name.startswith(f"{ranking}/") for name in evaluation.figures)
        ]
        tables.append(ResultTable(dataset, columns, rows))
    return tables


def protocol_rows(run: RunFolder) -> list[tuple[str, str]]:
    """(what, value) of the last evaluations' protocols, without the counts of every set."""
    found = []
    for evaluation in run.last:
        for name, value in evaluation.protocol.items():
            if isinstance(value, dict):
                parts = [f"{key} {part}" for key, part in value.items() if not isinstance(part, dict)]
                value = ", ".join(parts)
            if value not in ("", None, []):
                found.append((f"{evaluation.dataset} {name}".strip().replace("_", " "), str(value)))
    return found
