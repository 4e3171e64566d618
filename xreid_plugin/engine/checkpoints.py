"""The checkpoints of a run: saved whole or not at all, resumed from the newest whole one, loaded for evaluation."""

import logging
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from fastreid.config import CfgNode
from fastreid.utils import comm
from torch import nn

from xreid_plugin.files import replace_atomically
from xreid_plugin.host import Checkpointer
from xreid_plugin.host.configuration import leaves
from xreid_plugin.modeling.public_weights import from_public_state, is_public_state
from xreid_plugin.torch_files import WeightFileError, load_checkpoint, load_torch_file

logger = logging.getLogger(__name__)

# Names of a run's checkpoints that are no number of an epoch: its last, and one that a signal asked for.
FINAL = "model_final"
STOPPED = "model_stopped"
# Names the files of the latest run in its folder, one a line, the oldest first.
LIST = "checkpoints.txt"
# What training alone uses: a checkpoint may lack it, and so may a model.
TRAINING_ONLY = ("mii.cii.", "heads.interactions.cii.", "prototypes.")
# Where a run goes on is not what it is.
NOT_OF_A_RUN = ("OUTPUT_DIR", "MODEL.DEVICE", "MODEL.WEIGHTS", "DATASETS.ROOT", "DATASETS.PACK")


class RunCheckpointer(Checkpointer):
    """The host's, with a list of what the run has saved: of that the newest is kept, and the newest whole one resumed.

    Files of an earlier run in the same folder are on no list; they are neither removed nor resumed.
    """

    def __init__(
        self, model: nn.Module, save_dir: str, *, keep: int, save_to_disk: bool, **checkpointables: Any
    ) -> None:
        """As the host's; ``keep`` is how many checkpoints stay, not counting ``model_final``; 0 for all."""
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self._folder = Path(save_dir)
        self._keep = keep
        self._saved: list[Path] = []

    def save(self, name: str, **kwargs: Any) -> None:
        """Saves as ``name.pth``, whole or not at all, and removes what is no longer to be kept.

        Raises:
            OSError: the disk is full; all earlier checkpoints are as they were.
        """
        if not self.save_to_disk:
            return
        super().save(name, **kwargs)
        target = self._folder / f"{name}.pth"
        self._saved = [path for path in self._saved if path != target and path.is_file()] + [target]
        self._write_list()
        for path in self._outdated():
            path.unlink(missing_ok=True)

    def _write_list(self) -> None:
        lines = "".join(f"{path.name}\n" for path in self._saved)
        replace_atomically(self._folder / LIST, lambda part: part.write_text(lines, encoding="utf-8"))

    def _outdated(self) -> list[Path]:
        # A later checkpoint is all that one in mid-epoch was for.
        stopped = [path for path in self._saved[:-1] if path.stem == STOPPED]
        counted = [path for path in self._saved if path.stem not in (FINAL, STOPPED)]
        return stopped + (counted[: -self._keep] if self._keep else [])

    def resume_or_load(self, path: str, *, resume: bool = True) -> Any:
        """Loads the newest whole checkpoint of the folder's run, or else the weights of ``path``.

        Args:
            path: of weights to start from; empty for none.
            resume: False to start from ``path`` in any case.

        Returns:
            What the checkpoint holds beside the states that are loaded.

        Raises:
            WeightFileError: the run has checkpoints, and none is whole.
        """
        found = run_checkpoints(self._folder) if resume else []
        if not found:
            return self.load(path, checkpointables=[])
        # What is refused is not on the list any more, or a run with few to keep would keep it.
        self._saved = found
        while found:
            try:
                content = self.load(str(found[-1]))
            except WeightFileError as error:
                logger.warning(f"{error} Trying the one before it.")
                found.pop()
                continue
            logger.info(f"Resuming from {found[-1]}")
            return content
        raise WeightFileError(f"None of the checkpoints in {self._folder} can be read: start anew without --resume.")

    def forget_earlier_run(self) -> None:
        """Begins a run that goes on from nothing: what is in the folder is not to be resumed, even if it saves nothing.

        Raises:
            OSError: the disk is full.
        """
        if self.save_to_disk and run_checkpoints(self._folder):
            self._write_list()

    def _load_file(self, f: str) -> Any:
        return load_whole_checkpoint(Path(f))


def run_checkpoints(folder: Path) -> list[Path]:
    """The files that the latest run in a folder has saved, the oldest first; of another program's, the last alone."""
    listed = folder / LIST
    if not listed.is_file():
        last = last_checkpoint(folder)
        return [last] if last is not None and last.is_file() else []
    files = [folder / name for name in listed.read_text(encoding="utf-8").splitlines()]
    return [file for file in files if file.is_file()]


def last_checkpoint(folder: Path) -> Path | None:
    """The file that the host's note ``last_checkpoint`` in a folder names; None without a note."""
    note = folder / "last_checkpoint"
    return folder / note.read_text(encoding="utf-8").strip() if note.is_file() else None


def load_whole_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """As :func:`load_checkpoint`, once every byte agrees with the file's checksums, which torch does not look at.

    Raises:
        OSError: it cannot be opened.
        WeightFileError: it is damaged or none of the host's.
    """
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        # What zipfile raises depends on the byte that is wrong.
        except Exception as error:
            raise WeightFileError(f"{path} is damaged: {error}.") from error
        if damaged is not None:
            raise WeightFileError(f"{path} is damaged: the checksum of its part {damaged} is wrong.")
    try:
        return load_checkpoint(path, mapped)
    except WeightFileError:
        # What the authors' public code has trained is a bare state dict under other names.
        content = load_torch_file(path, mapped)
        if not is_public_state(content):
            raise
        return {"model": from_public_state(content)}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint to evaluate, read once for all who want something of it: configuration, cameras, weights.

    Attributes:
        path: of the file.
        content: the weights under "model", and what was saved with them.
    """

    path: Path
    content: dict[str, Any]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Tensors by name."""
        found: dict[str, torch.Tensor] = self.content["model"]
        return found

    @property
    def config(self) -> CfgNode:
        """The configuration that it was trained with, as it stands in the file.

        Raises:
            WeightFileError: there is none, or it cannot be read; nothing in it is ever run.
        """
        try:
            return CfgNode.load_cfg(self.content["config"])
        # It may be of anybody's making, and yacs asserts what it expects.
        except Exception as error:
            raise WeightFileError(
                f"{self.path} carries no configuration that can be read: give the one that it was trained with, its "
                "MODEL.WEIGHTS set to the checkpoint."
            ) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads and checks a file; its tensors stay there until they are used.

    Raises:
        OSError, WeightFileError: see :func:`load_whole_checkpoint`.
    """
    return Checkpoint(path, load_whole_checkpoint(path, mapped=True))


def load_for_evaluation(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Loads a checkpoint's weights; the host's way goes on with whatever weights it could not load.

    Args:
        model: to fill; not wrapped.
        checkpoint: stays as it is.

    Raises:
        ValueError: something that evaluation uses is missing or has another shape.
    """
    wanted = model.state_dict()
    stored = {name: value for name, value in checkpoint.weights.items() if name in wanted}
    used = [name for name in wanted if not name.startswith(TRAINING_ONLY) and "classifier" not in name]
    faults = [f"{name} is not in it" for name in used if name not in stored]
    others = {name: value for name, value in stored.items() if value.shape != wanted[name].shape}
    faults += [
        f"{name} is {tuple(others[name].shape)} in the checkpoint and {tuple(wanted[name].shape)} in the model"
        for name in used
        if name in others
    ]
    if faults:
        raise ValueError(
            f"The checkpoint is not of this configuration: {'; '.join(faults[:5])} ({len(faults)} such tensors). "
            "Evaluate it with the configuration that it was trained with; the run's folder has it as config.yaml."
        )
    model.load_state_dict({name: value for name, value in stored.items() if name not in others}, strict=False)


def tell_changes(content: dict[str, Any], cfg: Any) -> None:
    """Warns of the keys in which a run that goes on differs from the configuration in its checkpoint."""
    if "config" not in content:
        return
    stored, now = dict(leaves(yaml.safe_load(content["config"]))), dict(leaves(yaml.safe_load(cfg.dump())))
    changed = [key for key in now if key in stored and stored[key] != now[key] and key not in NOT_OF_A_RUN]
    if changed:
        told = ", ".join(f"{key} {stored[key]} -> {now[key]}" for key in changed)
        logger.warning(
            f"The run goes on with other keys than it began with: {told}. Rates and their schedule stay as they are in "
            "the checkpoint."
        )


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where this process's random numbers stand, by kind of device: uint8 tensors on the CPU."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(states: Sequence[dict[str, torch.Tensor]], device: torch.device) -> None:
    """Takes up what :func:`random_state` gave the process of the same rank, if there were as many processes."""
    if len(states) != comm.get_world_size():
        return
    state = states[comm.get_rank()]
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
