"""What the folder of a run says about it: configuration, environment, and where its files are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastreid.config import CfgNode

from xreid_plugin.config import get_cfg
from xreid_plugin.torch_files import NOTE
from xreid_plugin.visualization.evaluations import Evaluation, read_evaluations
from xreid_plugin.visualization.history import METRICS_FILE, Series, read_history

CONFIG_FILE, LOG_FILE = "config.yaml", "log.txt"
_RULE = re.compile(r"-{5,}  -{5,}")
_MOST_LOG = 200_000
# Keys about this machine, or without influence on the run's figures.
_PLACES = ("OUTPUT_DIR", "DATASETS.ROOT", "DATASETS.PACK", "TEST.SAVE_FEATURES", "VERSION")


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A run, as read from its folder.

    Attributes:
        path: the folder.
        cfg: the run's configuration with the keys of the command line over it; its OUTPUT_DIR is the folder.
        evaluations: the evaluations in the order of training.
        history: the scalars of metrics.json.
        environment: (what, version) as in the log; empty without a log.
        weights_chosen: whether the command line has MODEL.WEIGHTS.
    """

    path: Path
    cfg: CfgNode
    evaluations: list[Evaluation]
    history: Mapping[str, Series]
    environment: list[tuple[str, str]]
    weights_chosen: bool = False

    @classmethod
    def read(cls, path: Path, overrides: list[str]) -> "RunFolder":
        """Reads a run's folder.

        Args:
            path: the folder, with config.yaml and metrics.json.
            overrides: KEY VALUE pairs, such as where the dataset is on this machine.

        Raises:
            FileNotFoundError: it is not a run's folder.
            ValueError: a file in it is of another form.
        """
        config_file = path / CONFIG_FILE
        if not config_file.is_file():
            raise FileNotFoundError(f"{config_file} is missing: expected the folder of a run, its OUTPUT_DIR.")
        cfg = get_cfg()
        cfg.merge_from_file(str(config_file))
        cfg.merge_from_list(overrides)
        cfg.OUTPUT_DIR = str(path)
        chosen = "MODEL.WEIGHTS" in overrides[::2]
        history = read_history(path / METRICS_FILE)
        return cls(path, cfg, read_evaluations(path), history, read_environment(path), chosen)

    @property
    def trained_config(self) -> CfgNode:
        """The configuration with the checkpoint to look into: that of the command line, or else the run's last."""
        cfg = self.cfg.clone()
        # The run's own configuration names the weights that it began with, or those that were evaluated last.
        if not self.weights_chosen and (self.path / NOTE).is_file():
            cfg.MODEL.WEIGHTS = ""
        return cfg

    @property
    def last(self) -> list[Evaluation]:
        """The last evaluation of each test set that training itself made, or else of any."""
        trained = [evaluation for evaluation in self.evaluations if evaluation.epoch is not None]
        return list({evaluation.dataset: evaluation for evaluation in trained or self.evaluations}.values())

    @property
    def epochs(self) -> int | None:
        """Whole epochs that the run has done, as far as metrics.json and results show; None if they do not."""
        evaluated = max((evaluation.epoch or 0 for evaluation in self.evaluations), default=0)
        length = self.cfg.SOLVER.ITERS_PER_EPOCH
        if not length and evaluated:
            length = max(s.iterations[-1] for name, s in self.history.items() if name.endswith("mAP")) // evaluated
        if not length:
            return None
        last = max((series.iterations[-1] for series in self.history.values()), default=0)
        return max(evaluated, last // length)

    @property
    def highlights(self) -> list[tuple[str, str]]:
        """(key, value) where the run differs from the plugin's defaults, except for paths on a machine."""
        usual = dict(flat(get_cfg()))
        return [
            (key, _readable(value)) for key, value in flat(self.cfg) if key not in _PLACES and value != usual.get(key)
        ]


def _readable(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    return ", ".join(" ".join(map(str, item)) if isinstance(item, list) else str(item) for item in value) or "none"


def flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every key below, with tuples as lists, sorted by name."""
    for key, value in sorted(node.items()):
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value


def read_environment(folder: Path) -> list[tuple[str, str]]:
    """The table that the host's log begins with; empty where there is none."""
    log = folder / LOG_FILE
    if not log.is_file():
        return []
    with log.open(encoding="utf-8", errors="replace") as file:
        lines = iter(file.read(_MOST_LOG).splitlines())
    table = []
    for line in lines:
        if _RULE.match(line):
            break
    for line in lines:
        if _RULE.match(line):
            break
        name, _, value = line.partition("  ")
        # Where a package lies on the machine is of no interest to a reader.
        table.append((name.strip(), value.partition("@")[0].strip()))
    return table
