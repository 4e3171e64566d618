"""What a run writes down: its log, one curve for one run however often it was interrupted, and a line on the screen."""

import argparse
import json
import logging
import math
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fastreid.engine import default_setup
from fastreid.engine.train_loop import HookBase
from fastreid.utils import comm
from fastreid.utils.collect_env import collect_env_info
from fastreid.utils.events import EventStorage, get_event_storage
from fastreid.utils.logger import setup_logger

from xreid_plugin.files import replace_atomically

logger = logging.getLogger(__name__)

# Losses and rates wobble from batch to batch; what is written is the median of the latest.
WINDOW = 20
# What a clock measures starts anew with every process.
CLOCKED = ("time", "data_time", "clips_per_second")


def begin_log(cfg: Any, args: argparse.Namespace) -> None:
    """Begins the record of a job: ``log.txt`` with environment and configuration, and ``config.yaml``.

    An evaluation is added to ``log_evaluation.txt``: the run's own files may be of one that is training, or is to be
    resumed. Its configuration lies beside its results.
    """
    # The host's report on the environment imports what complains of a compiler for CUDA without a GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    # On a full disk every line of the log would be a traceback; the run ends with what it says itself.
    logging.raiseExceptions = False
    folder = Path(cfg.OUTPUT_DIR)
    output = str(folder / "log_evaluation.txt" if args.eval_only else folder)
    # The host's log shows its own messages alone.
    setup_logger(output, distributed_rank=comm.get_rank(), name="xreid_plugin", abbrev_name="xreid")
    host = setup_logger(output, distributed_rank=comm.get_rank())
    for handler in host.handlers:
        if getattr(handler, "stream", None) is sys.stdout:
            # It tells the whole environment, configuration and model: for the file.
            handler.setLevel(logging.WARNING)
    if args.eval_only:
        host.info(f"Environment info:\n{collect_env_info()}\nCommand line arguments: {args}")
        return
    # The host would log the file from a handle that it leaves open; it logs the whole configuration anyway.
    default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": ""}))
    logger.info(f"Environment and configuration: {folder}/log.txt and config.yaml; seed {cfg.SEED}")


class RunWriter(HookBase):
    """metrics.json, a JSON object a line, and TensorBoard; a resumed run goes on where its checkpoint was made.

    It writes once a period and after every epoch, but only once for the last step of an epoch: what arrives for an
    iteration that is already written is dropped, and so would be the evaluation's metrics.
    """

    def __init__(self, path: Path, period: int) -> None:
        """
        Args:
            path: of metrics.json, whose folder TensorBoard's file is for.
            period: iterations between two writings.
        """
        self._path = path
        self._period = period
        self._open: list[Any] = []

    def before_train(self) -> None:
        """Writes what the run that is resumed had not written of its last epoch.

        Lines from the iteration on that the run goes on with are cut off, and TensorBoard hides them; at 0 a file of an
        earlier run is renamed to ``NAME.previous``.

        Raises:
            OSError: the disk is full.
        """
        # Here, since it takes a second that most programs can do without.
        from torch.utils.tensorboard import SummaryWriter

        path, start = self._path, self.trainer.start_iter
        kept = lines_before(path, start)
        if start == 0 and path.is_file() and path.stat().st_size:
            path.replace(path.with_name(f"{path.name}.previous"))
        else:
            replace_atomically(path, lambda part: part.write_text("".join(kept.values()), encoding="utf-8"))
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(path.parent), purge_step=start or None)
        self._open = [self._file, self._board]
        self._written = max(kept, default=-1)
        if start and start % self.trainer.iters_per_epoch == 0:
            self.write()

    def after_step(self) -> None:
        """Writes once a period."""
        done = self.trainer.iter + 1
        if done % self._period == 0 and done % self.trainer.iters_per_epoch:
            self.write()

    def after_epoch(self) -> None:
        """Writes, unless the epoch's evaluation was left to whoever resumes the run."""
        if not self.trainer.stop.number:
            self.write()

    def write(self) -> None:
        """Appends what is new, at once: a kill loses nothing of it.

        Raises:
            OSError: the disk is full; the half line is cut off when the run goes on.
        """
        rows: dict[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in get_event_storage().latest_with_smoothing_hint(WINDOW).items():
            if iteration > self._written:
                rows[iteration][name] = value
                self._board.add_scalar(name, value, iteration)
        for iteration, scalars in sorted(rows.items()):
            self._file.write(json.dumps({**scalars, "iteration": iteration}, sort_keys=True) + "\n")
            self._written = iteration
        self._file.flush()
        self._board.flush()

    def close(self) -> None:
        """Closes both files, if they are open."""
        for file in self._open:
            file.close()


def lines_before(path: Path, start: int) -> dict[int, str]:
    """By iteration below ``start``, the whole lines of metrics.json, the last of them where some are of one iteration.

    A kill or a full disk may have left half of a line, which is passed over.
    """
    kept: dict[int, str] = {}
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for line in text.splitlines(keepends=True):
        try:
            iteration = json.loads(line)["iteration"]
        except ValueError:
            continue
        if line.endswith("\n") and iteration < start:
            kept[iteration] = line
    return kept


def has_evaluation(path: Path, iteration: int) -> bool:
    """Whether metrics.json has metrics of an evaluation at an iteration."""
    return '/mAP"' in lines_before(path, iteration + 1).get(iteration, "")


def storage_state(storage: EventStorage) -> dict[str, Any]:
    """What of a run's record its next lines depend on: plain containers, for a checkpoint."""
    kept = {name: buffer for name, buffer in storage.histories().items() if name not in CLOCKED}
    return {
        "values": {name: [value for value, _ in buffer.values()[-WINDOW:]] for name, buffer in kept.items()},
        "latest": {name: storage.latest()[name] for name in kept},
        "smoothed": {name: storage.smoothing_hints()[name] for name in kept},
    }


def restore_storage(storage: EventStorage, state: Mapping[str, Any]) -> None:
    """Fills an empty record with what :func:`storage_state` returned."""
    for name, values in state["values"].items():
        for value in values:
            storage.put_scalar(name, value, smoothing_hint=state["smoothed"][name])
    storage.latest().update({name: tuple(entry) for name, entry in state["latest"].items()})


def console_line(storage: EventStorage, max_iter: int, batch_size: int, device: torch.device) -> str:
    """A line about the latest iteration: losses, rates, time left, and of a GPU the peak of memory.

    It has at most 120 characters, up to 999 epochs of 99,999 iterations and 99 hours with four kinds of losses.

    Args:
        storage: the run's record.
        max_iter: iterations of the whole run.
        batch_size: clips in a global batch.
        device: of the model.
    """
    histories = storage.histories()
    parts = [f"epoch {storage.epoch + 1} iter {storage.iter + 1}/{max_iter}"]
    parts.append(f"loss {_short(histories['total_loss'].median(WINDOW))}")
    # Cross-entropies of clips and of frames in one; metrics.json and TensorBoard have all there is.
    kinds: dict[str, float] = defaultdict(float)
    for name, history in histories.items():
        if name.startswith("loss_"):
            kinds[name.split("_")[1]] += history.median(WINDOW)
    parts += [f"{kind} {_short(value)}" for kind, value in kinds.items()]
    parts.append(f"lr {histories['lr'].latest():.1e}")
    if "clips_per_second" in histories:
        rate = histories["clips_per_second"].latest()
        minutes = math.ceil(batch_size / rate * (max_iter - storage.iter - 1) / 60)
        parts += [f"{_short(rate)} clips/s", f"left {minutes // 60}h{minutes % 60:02d}"]
    if device.type == "cuda":
        parts.append(f"{_short(torch.cuda.max_memory_allocated(device) / 2**30)} GiB")
    return " ".join(parts)


def _short(value: float) -> str:
    """Three digits where there are no more before the point: 1.23, 12.3, 123, 1234."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}"
