"""What the folder of a run says about it: configuration, curves, evaluations, environment, features."""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from fastreid.config import CfgNode

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.checkpoints import TRAINING_ONLY
from xreid_plugin.engine.evaluation import evaluate_test_set
from xreid_plugin.engine.record import lines_before
from xreid_plugin.engine.restore import restore
from xreid_plugin.evaluation.evaluator import features_path
from xreid_plugin.evaluation.features import TrackletFeatures, load_features
from xreid_plugin.evaluation.results import Results, dataset_title, protocol_line, read_results
from xreid_plugin.host.configuration import leaves
from xreid_plugin.modeling.fingerprint import fingerprint, weights_hash
from xreid_plugin.torch_files import NOTE

logger = logging.getLogger(__name__)

# Iterations or epochs, ascending, and a scalar's values there.
Series = tuple[Sequence[int], Sequence[float]]

_RESULTS = re.compile(r"results_(?:(?P<set>.+)_)?(?P<label>before_training|epoch_(?P<epoch>\d+)|evaluation_.+)")
# The table that the host's log begins with lies between two such rules.
_ENVIRONMENT = re.compile(r"^-{5,}  -{5,}\n(.*?)^-{5,}  -{5,}$", re.DOTALL | re.MULTILINE)
# Keys about this machine, or without influence on the run's metrics.
_PLACES = ("OUTPUT_DIR", "DATASETS.ROOT", "DATASETS.PACK", "TEST.SAVE_FEATURES", "VERSION")


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
        others, protocol = "" if self.is_of_the_run else "other models than the run's: ", self.results.protocol
        return f"{others}{dataset_title(protocol)}, {protocol_line(protocol)}"


def read_config(folder: Path, overrides: list[str]) -> tuple[CfgNode, str]:
    """A run's configuration, with KEY VALUE pairs, such as where the dataset is on this machine, over its keys.

    Returns:
        The configuration, whose MODEL.WEIGHTS is the checkpoint to look into, if the pairs name one, and whose
        OUTPUT_DIR is the folder; and the same before the two were set, as YAML.

    Raises:
        OSError: it is not a run's folder.
        ValueError: an unknown key, or a file of another form.
    """
    config_file = folder / "config.yaml"
    if not config_file.is_file():
        raise FileNotFoundError(f"{config_file} is missing: expected the folder of a run, its OUTPUT_DIR.")
    cfg = get_cfg()
    cfg.merge_from_file(str(config_file))
    cfg.merge_from_list(overrides)
    configuration = cfg.dump()
    cfg.OUTPUT_DIR = str(folder)
    if "MODEL.WEIGHTS" not in overrides[::2] and (folder / NOTE).is_file():
        # The run's configuration names what it began with.
        cfg.MODEL.WEIGHTS = ""
    return cfg, configuration


def highlights(cfg: CfgNode) -> list[tuple[str, str]]:
    """(key, value) where a configuration differs from the plugin's defaults, except for paths on a machine."""
    usual = dict(leaves(get_cfg()))
    ours = [(key, str(value)) for key, value in sorted(leaves(cfg)) if key not in _PLACES]
    return [(key, value) for key, value in ours if key not in usual or value != str(usual[key])]


def length(cfg: CfgNode, evaluations: Sequence[Evaluation], history: Mapping[str, Series]) -> str:
    """How long a run was: "12 epochs", or "6 of 12 epochs" if it has not finished."""
    planned, per_epoch = cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.ITERS_PER_EPOCH
    done = max((evaluation.epoch or 0 for evaluation in evaluations), default=0)
    if per_epoch:
        done = max(done, max(iterations[-1] for iterations, _ in history.values()) // per_epoch)
    return f"{planned} epochs" if done >= planned else f"{done} of {planned} epochs"


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


def tables_of(evaluations: Sequence[Evaluation]) -> list[tuple[str, list[Evaluation]]]:
    """All evaluations: those whose metrics may stand side by side, under a title, in their order."""
    groups: dict[tuple[str, bool, str], list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(evaluation.kind, []).append(evaluation)
    return [(group[0].title, group) for group in groups.values()]


def ends_of(evaluations: Sequence[Evaluation]) -> dict[str, tuple[Evaluation, Evaluation]]:
    """By test set, the last evaluation that training itself made, or else of its models, and the first alike."""
    own = [evaluation for evaluation in evaluations if evaluation.is_of_the_run]
    trained = [evaluation for evaluation in own if evaluation.epoch is not None] or own
    last = {evaluation.dataset: evaluation for evaluation in trained}
    return {name: (next(one for one in trained if one.kind == end.kind), end) for name, end in last.items()}


def read_environment(folder: Path) -> list[tuple[str, str]]:
    """(what, version) of software and hardware, from the run's log; empty where it has none."""
    log = folder / "log.txt"
    table = _ENVIRONMENT.search(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
    rows = [line.partition("  ") for line in table[1].splitlines()] if table else []
    # Where a package lies on the machine is of no interest to a reader.
    return [(name.strip(), value.partition("@")[0].strip()) for name, _, value in rows]


def run_features(cfg: CfgNode, file: Path | None, make: bool, tell: Callable[[str], None]) -> TrackletFeatures:
    """Reads the features of the checkpoint that the page shows, or makes and keeps what an evaluation would save.

    Args:
        cfg: of the run, whose TEST.SAVE_FEATURES, or else features.npz, is read if it is of that checkpoint.
        file: a file to read instead, whatever model it is of.
        make: whether to embed the first test set with the checkpoint where there is no such file.
        tell: is called with a line before that, which may take long.

    Raises:
        OSError: there are none, and they are not to be made or cannot be.
    """
    if file is not None:
        return load_features(file)
    name, folder = cfg.DATASETS.TESTS[0], Path(cfg.OUTPUT_DIR)
    saved = folder / (features_path(cfg, name) or Path("features.npz")).name
    cfg, network, checkpoint = restore(cfg, cfg.MODEL.DEVICE)
    model, kept = fingerprint(weights_hash(network, TRAINING_ONLY), cfg), folder / f"features_{checkpoint.stem}.npz"
    for candidate in (saved, kept):
        if candidate.is_file() and (data := load_features(candidate)).protocol.get("model") == model:
            return data
    if not make:
        raise FileNotFoundError(f"no saved features are of {checkpoint.name}, and --no-features was given.")
    cfg = cfg.clone()
    cfg.merge_from_list(["TEST.SAVE_FEATURES", str(kept), "DATASETS.TESTS", (name,)])
    tell(f"no saved features are of {checkpoint.name}, so it embeds the test set now; --no-features goes without.")
    evaluate_test_set(cfg, network, name)
    return load_features(kept)
