"""What an evaluation leaves: metrics, with the protocol and the model that they are of, as JSON; and tables of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from xreid_plugin.files import replace_atomically

# What an evaluation asked for by itself is called, and its file; others are of a training, such as "epoch 12".
ALONE = "evaluation"
# Parts of a protocol that tell what was met under it; evaluations may be compared whatever these are.
_OUTCOMES = ("queries", "queries_without_match", "substituted_frames")


class Results(NamedTuple):
    """An evaluation, as its results_*.json has it.

    Attributes:
        metrics: in percent, by names such as "I2V/mAP".
        protocol: under which they were found, the dataset among it.
        curves: by direction, the CMC in percent at ranks 1, 2, ...
        model: "weights", their SHA-256; "fingerprint", as saved features and galleries have it, of these and the
            model's settings; "checkpoint", the file of the weights, "" in a training; "seed"; "version" of the plugin;
            "time" of the evaluation, to the second and with the offset from UTC.
    """

    metrics: Mapping[str, float]
    protocol: Mapping[str, Any]
    curves: Mapping[str, Sequence[float]]
    model: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The protocol, but for what was met under it: equal where metrics may be compared."""
        return {key: value for key, value in self.protocol.items() if key not in _OUTCOMES}


def write_results(folder: Path, label: str, dataset: str, results: Results) -> Path:
    """Writes an evaluation as JSON, whole or not at all.

    Args:
        folder: of the run.
        label: of the evaluation. A training's, such as "epoch 12", name a file each; :data:`ALONE` has one for every
            model, dataset and protocol.
        dataset: part of the file's name; "" where a run has one.
        results: to be written.

    Returns:
        The file.
    """
    parts = ["results", *([dataset] if dataset else []), label.replace(" ", "_")]
    if label == ALONE:
        facts = json.dumps([results.model["fingerprint"], results.settings], sort_keys=True)
        parts += [results.protocol["frames"], hashlib.sha256(facts.encode()).hexdigest()[:8]]
    path = folder / f"{'_'.join(parts)}.json"
    text = json.dumps(results._asdict(), indent=2)
    replace_atomically(path, lambda part: part.write_text(text + "\n"))
    return path


def read_results(path: Path) -> Results:
    """Reads what :func:`write_results` wrote.

    Raises:
        OSError: there is no such file.
        ValueError: it is of another form.
    """
    try:
        return Results(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file of results of this version ({error}): evaluate again.") from error


def set_results_aside(folder: Path) -> None:
    """Renames the results of an earlier run in the folder to ``NAME.previous``, over those of the one before."""
    for file in folder.glob("results_*.json"):
        file.replace(file.with_name(f"{file.name}.previous"))


def dataset_title(protocol: Mapping[str, Any]) -> str:
    """What a protocol's dataset is called wherever metrics are shown: drawn people are told from real ones."""
    name = protocol.get("dataset", "")
    return f"{name} layout, drawn people" if protocol.get("drawn") else name


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """The settings of a protocol that most often differ, in a line."""
    height, width = protocol.get("size", (0, 0))
    flip = ", with mirror images" if protocol.get("flip") else ""
    return (
        f"{protocol.get('frames')} frames, {protocol.get('frames_per_clip')} a clip, {height}x{width}{flip}; "
        f"same camera: {protocol.get('same_camera')}"
    )


def protocol_title(protocol: Mapping[str, Any]) -> str:
    """The test set and the settings that most often differ; "" where there are none, as of other programs' features."""
    return f"{dataset_title(protocol)}, {protocol_line(protocol)}" if "frames" in protocol else ""


def results_table(evaluations: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table with one row per evaluation and ranking, such as "I2V" and "I2V-reranked".

    Args:
        evaluations: by label, such as "before training", the metrics in percent under the evaluator's names, the same
            names for each label.
    """
    names = [key.rpartition("/") for key in next(iter(evaluations.values()))]
    directions = dict.fromkeys(direction for direction, _, _ in names)
    columns = list(dict.fromkeys(metric for _, _, metric in names))
    rows = [
        [direction, label, *(results[f"{direction}/{metric}"] for metric in columns)]
        for direction in directions
        for label, results in evaluations.items()
    ]
    return tabulate(rows, headers=["direction", "", *columns], tablefmt="pipe", floatfmt=".2f")
