"""What a run has written while it went: the scalars of metrics.json, and its evaluations."""

import json
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from xreid_plugin.engine.record import lines_before
from xreid_plugin.evaluation.results import Results, protocol_title, read_results

logger = logging.getLogger(__name__)

# Iterations or epochs, ascending, and a scalar's values there.
Series = tuple[Sequence[int], Sequence[float]]

_RESULTS = re.compile(r"results_(?:(?P<set>.+)_)?(?P<label>before_training|epoch_(?P<epoch>\d+)|evaluation_.+)")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a run.

    Attributes:
        label: such as "epoch 12", or the name of the checkpoint that was evaluated.
        epoch: after which training made it, 0 before the first; None for one that was asked for by itself.
        dataset: the test set; empty in a run with one.
        results: with the protocol and the model that they are of.
    """

    label: str
    epoch: int | None
    dataset: str
    results: Results

    @property
    def is_of_the_run(self) -> bool:
        """Whether the model is the run's own: weights from elsewhere may be evaluated into its folder, too."""
        return not PurePath(self.results.model["checkpoint"]).is_absolute()

    @property
    def table(self) -> dict[str, dict[str, float]]:
        """The metrics by ranking, such as "I2V-reranked", and by their names in it, such as "mAP"."""
        rows: dict[str, dict[str, float]] = {}
        for name, value in self.results.metrics.items():
            ranking, _, metric = name.rpartition("/")
            rows.setdefault(ranking, {})[metric] = value
        return rows

    @property
    def kind(self) -> tuple[str, bool, str]:
        """Equal for evaluations that may stand side by side."""
        return self.dataset, not self.is_of_the_run, json.dumps(self.results.settings, sort_keys=True)

    @property
    def title(self) -> str:
        """The test set, the settings that most often differ, and whether the model is another than the run's."""
        others = "" if self.is_of_the_run else "other models than the run's: "
        return others + protocol_title(self.results.protocol)


def read_history(folder: Path) -> dict[str, Series]:
    """The scalars of a run's metrics.json by name, over iterations from 1, in the order of their first appearance.

    Raises:
        ValueError: there is no such file, or it holds nothing yet.
    """
    found: dict[str, tuple[list[int], list[float]]] = {}
    for iteration, line in sorted(lines_before(folder / "metrics.json", sys.maxsize).items()):
        for name, value in json.loads(line).items():
            if name != "iteration":
                iterations, values = found.setdefault(name, ([], []))
                iterations.append(iteration + 1)
                values.append(value)
    if not found:
        raise ValueError(f"{folder / 'metrics.json'} holds no scalars: wait for the run's first SOLVER.LOG_PERIOD.")
    return dict(found)


def read_evaluations(folder: Path) -> list[Evaluation]:
    """The evaluations that a run has written, results_*.json: by test set, those of training first, in their order.

    What another version has written is left out, with a warning that names the file.
    """
    found = []
    for file in folder.glob("results_*.json"):
        if match := _RESULTS.fullmatch(file.stem):
            try:
                results, label = read_results(file), match["label"].replace("_", " ")
            except ValueError as error:
                logger.warning(f"left out: {error}")
                continue
            epoch = 0 if label == "before training" else int(match["epoch"]) if match["epoch"] else None
            # Of a run of the host's own program no name of a file is known.
            checkpoint = PurePath(results.model["checkpoint"]).name or f"evaluated {results.model['time']}"
            found.append(Evaluation(checkpoint if epoch is None else label, epoch, match["set"] or "", results))
    return sorted(found, key=lambda one: (one.dataset, one.epoch is None, one.epoch or 0, one.results.model["time"]))


def ends_of(evaluations: Sequence[Evaluation]) -> dict[str, tuple[Evaluation, Evaluation]]:
    """By test set, the last evaluation that training itself made, or else of its models, and the first alike."""
    own = [evaluation for evaluation in evaluations if evaluation.is_of_the_run]
    trained = [evaluation for evaluation in own if evaluation.epoch is not None] or own
    last = {evaluation.dataset: evaluation for evaluation in trained}
    return {name: (next(one for one in trained if one.kind == end.kind), end) for name, end in last.items()}
