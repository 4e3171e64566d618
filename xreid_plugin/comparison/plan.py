"""What a comparison has to run: every configuration under every seed, each in a folder of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from fastreid.config import CfgNode

from xreid_plugin.checks import check_config
from xreid_plugin.config import get_cfg
from xreid_plugin.files import replace_atomically
from xreid_plugin.host.configuration import leaves, read_yaml
from xreid_plugin.user_errors import message_of

# Keys that the comparison sets itself, run by run.
OWN_KEYS = ("SEED", "OUTPUT_DIR")


@dataclass(frozen=True)
class Run:
    """One training with its last evaluation.

    Attributes:
        name: the configuration's name in the report.
        seed: the seed of weights, samplers and augmentation.
        config_file: the file that tools/train_net.py is given.
        folder: the folder that the run writes to.
        overrides: KEY VALUE ... for the command line of tools/train_net.py.
        settings: the whole configuration as YAML but for OUTPUT_DIR, to check that a folder's content is this run's.
        last_epoch: the epoch whose evaluation counts, from 1.
    """

    name: str
    seed: int
    config_file: Path
    folder: Path
    overrides: tuple[str, ...]
    settings: str
    last_epoch: int

    @property
    def results(self) -> Path:
        """Figures of the last epoch; there once the run is done."""
        return self.folder / f"results_epoch_{self.last_epoch}.json"

    @property
    def log(self) -> Path:
        """Everything that the run has printed."""
        return self.folder / "console.txt"

    @property
    def is_done(self) -> bool:
        """Whether the last epoch has been evaluated."""
        return self.results.is_file()

    @property
    def can_resume(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return (self.folder / "last_checkpoint").is_file()


def plan(
    configs: Sequence[tuple[str, Path]],
    seeds: Sequence[int],
    output: Path,
    overlays: Sequence[Path] = (),
    overrides: Sequence[str] = (),
) -> list[Run]:
    """All runs of a comparison, configuration by configuration.

    Args:
        configs: names, all different, with YAML files.
        seeds: the seeds, at least 0 and all different.
        output: the comparison's folder; a run's is OUTPUT/NAME/seedK.
        overlays: YAML files whose own keys, not those of their ``_BASE_``, are laid over every configuration, in order.
        overrides: KEY VALUE ..., laid over them.

    Raises:
        ValueError: what was asked for is ambiguous, cannot be compared or contradicts itself, or a run's folder holds
            something else.
        OSError: a file cannot be read.
    """
    _check_names(configs, seeds)
    runs = []
    for name, config in configs:
        cfg, keys = _merged(config, overlays, overrides)
        changes = [text for key in keys for text in (key, repr(_value(cfg, key)))]
        for seed in seeds:
            cfg.SEED = seed
            folder = output / name / f"seed{seed}"
            own = ("SEED", str(seed), "OUTPUT_DIR", repr(str(folder)))
            runs.append(
                Run(
                    name=name,
                    seed=seed,
                    config_file=config,
                    folder=folder,
                    overrides=(*changes, *overrides, *own),
                    settings=cfg.dump(),
                    last_epoch=cfg.SOLVER.MAX_EPOCH,
                )
            )
    for run in runs:
        _check_folder(run)
    return runs


def claim_folder(run: Run) -> None:
    """Makes the run's folder, and records in it what it is for."""
    run.folder.mkdir(parents=True, exist_ok=True)
    replace_atomically(_note(run), lambda part: part.write_text(run.settings))


def own_keys(overlay: Path) -> dict[str, Any]:
    """The nested keys that a YAML file sets itself, without those of its ``_BASE_``, OUTPUT_DIR and SEED.

    Raises:
        ValueError: it is not a YAML mapping.
        OSError: a file cannot be read.
    """
    return {key: value for key, value in read_yaml(overlay).items() if key not in ("_BASE_", *OWN_KEYS)}


def _merged(config: Path, overlays: Sequence[Path], overrides: Sequence[str]) -> tuple[CfgNode, list[str]]:
    """The configuration of a run but for SEED, and the keys that the overlays set."""
    cfg = get_cfg()
    layers = [(overlay, own_keys(overlay)) for overlay in overlays]
    source: object = config
    try:
        cfg.merge_from_file(str(config))
        for overlay, nested in layers:
            source = overlay
            cfg.merge_from_other_cfg(CfgNode(nested))
        source = "the command line"
        cfg.merge_from_list(list(overrides))
        cfg.OUTPUT_DIR = ""
        source = config
        check_config(cfg)
    except (AssertionError, KeyError, ValueError, yaml.YAMLError) as error:
        text = message_of(error)
        # Faults in a file are reported with their place already.
        raise ValueError(text if text.startswith(str(source)) else f"{source}: {text}") from None
    if cfg.TEST.EVAL_PERIOD <= 0:
        raise ValueError(f"{config}: TEST.EVAL_PERIOD is {cfg.TEST.EVAL_PERIOD}, so that nothing is evaluated; set 1.")
    if len(cfg.DATASETS.TESTS) != 1:
        raise ValueError(f"{config}: DATASETS.TESTS is {tuple(cfg.DATASETS.TESTS)}; compare on one test set at a time.")
    for key in OWN_KEYS:
        if key in overrides[::2]:
            raise ValueError(f"{key} differs from run to run: give --seeds and --output instead.")
    return cfg, list(dict.fromkeys(key for _, nested in layers for key, _ in leaves(nested)))


def _check_names(configs: Sequence[tuple[str, Path]], seeds: Sequence[int]) -> None:
    names = [name for name, _ in configs]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"Two configurations are named {repeated}; rename one, as in other=FILE.")
    if len(set(seeds)) < len(seeds) or min(seeds, default=0) < 0:
        raise ValueError(f"--seeds are {', '.join(map(str, seeds))}; they must be different and at least 0.")


def _check_folder(run: Run) -> None:
    """Refuses a run's folder that other settings have made.

    Raises:
        ValueError: the folder holds something that is not this run's.
    """
    if not run.folder.is_dir() or not any(run.folder.iterdir()):
        return
    remedy = "Choose another --output, or remove that folder."
    if not _note(run).is_file():
        raise ValueError(f"{run.folder} holds something that is not a run of a comparison. {remedy}")
    before, now = (dict(leaves(keys)) for keys in (read_yaml(_note(run)), yaml.safe_load(run.settings)))
    changed = [
        f"{key} {before.get(key)} → {now.get(key)}" for key in {**before, **now} if before.get(key) != now.get(key)
    ]
    if changed:
        raise ValueError(f"{run.folder} was run with other settings ({'; '.join(changed[:5])}). {remedy}")


def _note(run: Run) -> Path:
    return run.folder / "comparison.yaml"


def _value(cfg: CfgNode, key: str) -> Any:
    value: Any = cfg
    for part in key.split("."):
        value = value[part]
    return value
