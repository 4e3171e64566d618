"""The model to export: from a checkpoint that carries its configuration, or from a configuration."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastreid.config import CfgNode
from torch import nn

from xreid_plugin.engine.checkpoints import TRAINING_ONLY
from xreid_plugin.engine.restore import restore
from xreid_plugin.modeling.fingerprint import fingerprint


class Source(NamedTuple):
    """A trained model, on the CPU, in eval mode.

    Attributes:
        cfg: the configuration that it was built from, frozen.
        model: the model, which maps a batch to (B, F) embeddings.
        checkpoint: the file of its weights.
        cameras: numbers of the cameras that have an embedding, ascending; empty where the model uses none.
    """

    cfg: CfgNode
    model: nn.Module
    checkpoint: Path
    cameras: list[int]

    @property
    def frames(self) -> int:
        """T."""
        return int(self.cfg.INPUT.CLIP.FRAMES)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.cfg.INPUT.SIZE_TEST
        return int(height), int(width)


def load_source(file: Path, settings: Sequence[str] = ()) -> Source:
    """The model of a file; see :func:`~xreid_plugin.engine.restore.restore`, which raises the same.

    Args:
        file: a checkpoint of a training run; or a configuration (.yml, .yaml), whose MODEL.WEIGHTS, or else the last
            checkpoint in OUTPUT_DIR, is loaded.
        settings: key, value, key, value: they override what the file says.
    """
    restored = restore(file, "cpu", settings)
    return Source(restored.cfg, restored.model, restored.path, list(restored.cameras))


def facts(source: Source, raw: bool) -> dict[str, str]:
    """What the file tells its readers, as ``metadata_props``: text, numbers in decimal, lists as JSON.

    Args:
        source: the model in the file.
        raw: whether the rows are not scaled to length 1.
    """
    cfg: Any = source.cfg
    height, width = source.size
    return {
        "frames": str(source.frames),
        "height": str(height),
        "width": str(width),
        "cameras": json.dumps(source.cameras),
        "clips": cfg.TEST.FRAMES,
        "flip": json.dumps(bool(cfg.TEST.FLIP.ENABLED)),
        "raw": json.dumps(raw),
        "pixel_mean": json.dumps([float(value) for value in cfg.MODEL.PIXEL_MEAN]),
        "pixel_std": json.dumps([float(value) for value in cfg.MODEL.PIXEL_STD]),
        "fingerprint": fingerprint(source.model, cfg, TRAINING_ONLY),
        "checkpoint": source.checkpoint.name,
        "config": cfg.dump(),
    }
