"""The runs of a comparison: every configuration under every seed, each in a folder and a process of its own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from fastreid.config import CfgNode

from xreid_plugin.checks import check_config
from xreid_plugin.config import get_cfg
from xreid_plugin.evaluation.results import read_results
from xreid_plugin.files import replace_atomically
from xreid_plugin.host.configuration import leaves

# Keys that the comparison sets itself, run by run.
OWN_KEYS = ("SEED", "OUTPUT_DIR")
# The file in a run's folder that it is configured by, which says what the folder is for.
SETTINGS = "comparison.yaml"
# The end of a line in training's log on CUDA.
_CUDA_MEMORY = re.compile(r"([\d.]+) GiB$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One training with its last evaluation.

    Attributes:
        name: the configuration's name in the report.
        seed: the seed of weights, samplers and augmentation.
        config_file: the file that the configuration is from.
        folder: the folder that the run writes to.
        settings: the whole configuration as YAML, its OUTPUT_DIR empty.
        last_epoch: the epoch whose evaluation counts, from 1.
    """

    name: str
    seed: int
    config_file: Path
    folder: Path
    settings: str
    last_epoch: int

    @property
    def results(self) -> Path:
        """Metrics of the last epoch; there once the run is done."""
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

    @property
    def last_line(self) -> str:
        """The last line of the log: after a failure, the error; it says so where the run has none."""
        if not self.log.is_file():
            return "not begun"
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was printed")


@dataclass(frozen=True)
class Usage:
    """What a run has used, over all its attempts.

    Attributes:
        seconds: wall time, including the start of the process and the evaluations.
        peak_bytes: most memory at a time: torch's on the GPU, or else resident in the training process, without its
            loader's workers.
    """

    seconds: float = 0.0
    peak_bytes: int = 0

    @classmethod
    def of(cls, run: Run) -> "Usage":
        """What the run has used so far; zero before its first attempt."""
        path = run.folder / "usage.json"
        return cls(**json.loads(path.read_text())) if path.is_file() else cls()


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
        ValueError: names or seeds repeat, a configuration cannot be compared, or a run's folder holds something else.
        KeyError: an unknown key.
        OSError: a file cannot be read.
    """
    names = [name for name, _ in configs]
    if len(set(names)) < len(names):
        raise ValueError(f"Two configurations have one name among {', '.join(names)}; rename one, as in other=FILE.")
    if len(set(seeds)) < len(seeds) or min(seeds, default=0) < 0:
        raise ValueError(f"--seeds are {', '.join(map(str, seeds))}; they must be different and at least 0.")
    if set(OWN_KEYS) & set(overrides[::2]):
        raise ValueError(f"{' and '.join(OWN_KEYS)} differ from run to run: give --seeds and --output instead.")
    runs = []
    for name, config in configs:
        cfg = _merged(config, overlays, overrides)
        for seed in seeds:
            cfg.SEED = seed
            runs.append(Run(name, seed, config, output / name / f"seed{seed}", cfg.dump(), cfg.SOLVER.MAX_EPOCH))
            _check_folder(runs[-1])
    return runs


def _merged(config: Path, overlays: Sequence[Path], overrides: Sequence[str]) -> CfgNode:
    """The configuration of a run but for what the comparison sets."""
    cfg = get_cfg()
    cfg.merge_from_file(str(config))
    for overlay in overlays:
        keys = yaml.safe_load(overlay.read_text(encoding="utf-8"))
        cfg.merge_from_other_cfg(CfgNode({key: keys[key] for key in keys if key not in ("_BASE_", *OWN_KEYS)}))
    cfg.merge_from_list(list(overrides))
    cfg.OUTPUT_DIR = ""
    check_config(cfg)
    if cfg.TEST.EVAL_PERIOD <= 0:
        raise ValueError(f"{config}: TEST.EVAL_PERIOD is {cfg.TEST.EVAL_PERIOD}, so that nothing is evaluated; set 1.")
    if len(cfg.DATASETS.TESTS) != 1:
        raise ValueError(f"{config}: DATASETS.TESTS is {tuple(cfg.DATASETS.TESTS)}; compare on one test set at a time.")
    return cfg


def _check_folder(run: Run) -> None:
    """Refuses a run's folder that other settings have made."""
    if not run.folder.is_dir() or not any(run.folder.iterdir()):
        return
    settings = run.folder / SETTINGS
    texts = settings.read_text() if settings.is_file() else "{}", run.settings
    before, now = (dict(leaves(yaml.safe_load(text))) for text in texts)
    if keys := [key for key in {**before, **now} if before.get(key) != now.get(key)]:
        changed = "; ".join(f"{key} {before.get(key)} → {now.get(key)}" for key in keys[:5])
        remedy = "Choose another --output, or remove that folder."
        raise ValueError(f"{run.folder} is of a run with other settings, or of no comparison ({changed}). {remedy}")


def execute_all(runs: list[Run], train_net: Path, say: Callable[[str], None], imports: Sequence[str] = ()) -> None:
    """Executes what is not done, and says so in a line or two a run; see :func:`execute`."""
    for number, run in enumerate(runs, 1):
        label = f"[{number}/{len(runs)}] {run.name}, seed {run.seed}"
        if run.is_done:
            say(f"{label}: done before")
            continue
        say(f"{label}: {'going on from its last checkpoint' if run.can_resume else 'training'}, see {run.log}")
        code = execute(run, train_net, imports)
        if code:
            say(f"{label}: failed with exit code {code}: {run.last_line}")
            continue
        metrics = read_results(run.results).metrics
        maps = "  ".join(f"{key} {value:.2f}" for key, value in metrics.items() if key.endswith("/mAP"))
        say(f"{label}: done in {Usage.of(run).seconds:.0f} s  {maps}")


def execute(run: Run, train_net: Path, imports: Sequence[str] = ()) -> int:
    """Trains and evaluates, from the run's last checkpoint if it has one.

    What the run prints is appended to ``run.log``; what it used is added to what earlier attempts did.

    Args:
        run: a run that is not done.
        train_net: the tool that trains.
        imports: modules of the user's own, for its ``--import``.

    Returns:
        The exit code; a run that ends well without its results has failed too, with 1.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    settings = run.folder / SETTINGS
    replace_atomically(settings, lambda part: part.write_text(run.settings))
    more = [word for name in imports for word in ("--import", name)] + ["--resume"] * run.can_resume
    keys = ["OUTPUT_DIR", repr(str(run.folder))]
    start = time.monotonic()
    with run.log.open("ab") as log:
        command = [sys.executable, str(train_net), "--config-file", str(settings), *more, *keys]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            # The resource module counts all children together, so its peak would be that of the largest so far.
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    before, seconds = Usage.of(run), time.monotonic() - start
    # Linux counts in KiB, macOS in bytes.
    resident = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    on_gpu = [round(float(gib) * 2**30) for gib in _CUDA_MEMORY.findall(run.log.read_text(errors="replace"))]
    usage = Usage(before.seconds + seconds, max(on_gpu or (before.peak_bytes, resident)))
    replace_atomically(run.folder / "usage.json", lambda part: part.write_text(json.dumps(asdict(usage)) + "\n"))
    return process.returncode or int(not run.is_done)
