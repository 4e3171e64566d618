"""The model to export: from a checkpoint that carries its configuration, or from a configuration."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastreid.config import CfgNode
from torch import nn

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.checkpoint import TRAINING_ONLY, load_for_evaluation
from xreid_plugin.engine.restore import checkpoint_config, complete_for_inference
from xreid_plugin.engine.setup import checkpoint_to_evaluate
from xreid_plugin.host import build_model
from xreid_plugin.modeling.fingerprint import fingerprint


class Source(NamedTuple):
    """A trained model, on the CPU and in eval mode.

    Attributes:
        cfg: frozen; what it was built from.
        model: maps a batch to (B, F) embeddings.
        checkpoint: whose weights it has.
    """

    cfg: CfgNode
    model: nn.Module
    checkpoint: Path

    @property
    def frames(self) -> int:
        """T."""
        return int(self.cfg.INPUT.CLIP.FRAMES)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.cfg.INPUT.SIZE_TEST
        return int(height), int(width)

    @property
    def cameras(self) -> list[int]:
        """Numbers of the cameras that have an embedding, ascending; empty where the model uses none."""
        numbers = getattr(getattr(self.model, "backbone", None), "camera_numbers", None)
        return [] if numbers is None else [int(number) for number in numbers]


def load_source(file: Path, settings: Sequence[str] = ()) -> Source:
    """Builds the model and loads its weights, without its data.

    Args:
        file: a checkpoint of a training run; or a configuration (.yml, .yaml), whose MODEL.WEIGHTS, or else the last
            checkpoint in OUTPUT_DIR, is loaded.
        settings: key, value, key, value: over what the file says.

    Raises:
        OSError: a file that is not there.
        ValueError: a checkpoint that is damaged or is not of this configuration, unknown keys, bad values.
    """
    if file.suffix in (".yml", ".yaml"):
        cfg = get_cfg()
        cfg.merge_from_file(str(file))
    else:
        cfg = checkpoint_config(file)
    cfg.merge_from_list(list(settings))
    checkpoint = checkpoint_to_evaluate(cfg)
    cfg.MODEL.DEVICE = "cpu"
    complete_for_inference(cfg, checkpoint)
    cfg.freeze()
    model = build_model(cfg).eval()
    load_for_evaluation(model, str(checkpoint))
    return Source(cfg, model, checkpoint)


def facts(source: Source, raw: bool) -> dict[str, str]:
    """What a reader of the file is told, as ``metadata_props``: text, numbers in decimal, lists as JSON.

    Args:
        source: of the file.
        raw: rows are not of length 1.
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
