"""Checkpoints that are whole or absent, and run no code."""

import logging
from pathlib import Path
from typing import Any

import fastreid.utils.checkpoint
import torch

from xreid_plugin.files import replace_atomically
from xreid_plugin.torch_files import load_checkpoint

logger = logging.getLogger(__name__)


class Checkpointer(fastreid.utils.checkpoint.Checkpointer):
    """Replaces ``Checkpointer``, which writes straight over its target: a kill in mid-write loses what was there.

    Files are written beside and renamed, and loaded without running code from them.
    """

    def save(self, name: str, **kwargs: Any) -> None:
        """Saves model, checkpointables and ``kwargs`` as ``name.pth``, whole or not at all.

        Raises:
            OSError: the disk is full; all earlier checkpoints are as they were.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict(), **{k: v.state_dict() for k, v in self.checkpointables.items()}}
        target = Path(self.save_dir) / f"{name}.pth"

        def write(part: Path) -> None:
            # Given a path, torch would not say why the disk refuses.
            with part.open("wb") as file:
                torch.save({**data, **kwargs}, file)

        replace_atomically(target, write)
        self.tag_last_checkpoint(target.name)
        logger.info(f"Saved {target}")

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Names the newest checkpoint, whole or not at all."""
        target = Path(self.save_dir) / "last_checkpoint"
        replace_atomically(target, lambda part: part.write_text(last_filename_basename))

    def _load_file(self, f: str) -> Any:
        return load_checkpoint(Path(f))
