"""The checkpoints of a run, in its folder: saved whole or not at all, listed, and resumed from the newest whole one."""

from pathlib import Path
from typing import Any

from torch import nn

from xreid_plugin.files import replace_atomically
from xreid_plugin.host import Checkpointer
from xreid_plugin.modeling.public_weights import from_public_state, is_public_state
from xreid_plugin.torch_files import (
    NOTE,
    WeightFileError,
    load_checkpoint,
    load_torch_file,
    noted_checkpoint,
    refuse_damage,
)

# Names of a run's checkpoints that are no number of an epoch: its last, and one that a signal asked for.
FINAL = "model_final"
STOPPED = "model_stopped"
# Names the files of the latest run in its folder, one a line, the oldest first.
LIST = "checkpoints.txt"
# Names those of the run before it.
PREVIOUS_LIST = f"{LIST}.previous"


class RunCheckpointer(Checkpointer):
    """The host's, with a list of what the run has saved: of that the newest is kept, and the newest whole one resumed.

    Files of an earlier run in the same folder are on no list; they are neither removed nor resumed.
    """

    def __init__(
        self, model: nn.Module, save_dir: str, *, keep: int, save_to_disk: bool, **checkpointables: Any
    ) -> None:
        """
        Args:
            model: of the run.
            save_dir: its folder.
            keep: how many checkpoints stay, not counting ``model_final``; 0 for all.
            save_to_disk: whether this process is the one that saves.
            **checkpointables: what has a state beside the model.
        """
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self._keep = keep
        self._saved: list[Path] = []

    def save(self, name: str, **kwargs: Any) -> None:
        """Saves as ``name.pth``, whole or not at all, and removes what is no longer to be kept.

        Raises:
            WriteError: the disk is full; all earlier checkpoints are as they were.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        target = self._write(name, kwargs)
        self._saved = [path for path in self._saved if path != target and path.is_file()] + [target]
        lines = "".join(f"{path.name}\n" for path in self._saved)
        replace_atomically(target.with_name(LIST), lambda part: part.write_text(lines, encoding="utf-8"))
        self.tag_last_checkpoint(target.name)
        for path in self._outdated():
            path.unlink(missing_ok=True)

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
        found = run_checkpoints(Path(self.save_dir)) if resume else []
        if not found:
            return self.load(path, checkpointables=[])
        refused = []
        while found:
            newest = found[-1]
            try:
                content = self.load(str(newest))
            except WeightFileError as error:
                self.logger.warning(f"{error} Trying the one before it.")
                refused.append(found.pop())
                continue
            # What is refused is not on the list any more, or a run with few to keep would keep it.
            self._saved = found
            if refused:
                self.logger.warning(f"Resuming from {newest}; damaged: {', '.join(map(str, refused))}.")
            return content
        raise WeightFileError(
            f"None of the checkpoints in {self.save_dir} can be read: {', '.join(path.name for path in refused)}. "
            "Start anew without --resume, or restore one of them."
        )

    def put_list_aside(self) -> None:
        """Begins a run that goes on from nothing: what is in the folder is not to be resumed, even if it saves nothing.

        Raises:
            WriteError: the disk is full.
        """
        folder = Path(self.save_dir)
        if not self.save_to_disk or not ((folder / LIST).is_file() or (folder / NOTE).is_file()):
            return
        former = (folder / LIST).read_bytes() if (folder / LIST).is_file() else b""
        if former:
            # Not renamed: between that and an empty list, a killed run would leave the note of the earlier one alone.
            replace_atomically(folder / PREVIOUS_LIST, lambda part: part.write_bytes(former))
        replace_atomically(folder / LIST, lambda part: part.write_bytes(b""))

    def has_checkpoint(self) -> bool:
        """Whether there is anything to resume."""
        return bool(run_checkpoints(Path(self.save_dir)))

    def _load_file(self, f: str) -> Any:
        return load_whole_checkpoint(Path(f))


def run_checkpoints(folder: Path) -> list[Path]:
    """The files that the latest run in a folder has saved, the oldest first; of another program's, the last alone."""
    listed = folder / LIST
    if listed.is_file():
        names = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        return [folder / name for name in names if name == Path(name).name and (folder / name).is_file()]
    noted = noted_checkpoint(folder) if (folder / NOTE).is_file() else None
    return [noted] if noted is not None and noted.is_file() else []


def load_whole_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """As :func:`load_checkpoint`, once every byte agrees with the file's checksums, which torch does not look at.

    Args:
        path: of the file.
        mapped: see :func:`~xreid_plugin.torch_files.load_torch_file`.

    Raises:
        OSError: it cannot be opened.
        WeightFileError: it is damaged or none of the host's; names the one before it, if there is one.
    """
    try:
        refuse_damage(path)
        return _load(path, mapped)
    except WeightFileError as error:
        earlier = run_checkpoints(path.parent)
        before = earlier[: earlier.index(path)] if path in earlier else []
        hint = f" The checkpoint before it is {before[-1]}." if before else ""
        raise WeightFileError(f"{error}{hint}") from error


def _load(path: Path, mapped: bool) -> dict[str, Any]:
    try:
        return load_checkpoint(path, mapped)
    except WeightFileError:
        # What the authors' public code has trained is a bare state dict under other names.
        content = load_torch_file(path, mapped)
        if not is_public_state(content):
            raise
        return {"model": from_public_state(content)}
