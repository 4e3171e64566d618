"""What the exported file computes, from a clip as it was decoded to its embedding, and that as an ONNX program."""

import json
from collections.abc import Mapping
from typing import Any

import onnx_ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, NameFixPass
from onnxscript import opset20
from torch import Tensor, nn
from torch.nn import functional as F

from xreid_plugin.data.tracklet import CAMIDS, IMAGES
from xreid_plugin.engine.checkpoints import TRAINING_ONLY
from xreid_plugin.engine.restore import RestoredModel
from xreid_plugin.modeling.fingerprint import fingerprint, weights_hash

# The first with GELU as one operator; onnxruntime has read it since 1.17.
OPSET = 20
INPUTS, OUTPUT = ("images", "cameras"), "embedding"
# As in onnx.TensorProto.
_INT64 = 7


class ClipEmbedder(nn.Module):
    """A model as evaluation runs it, in float32, from tensors to a tensor.

    Normalising the pixels is the model's own work, averaging with the mirrored clip is done here: nothing of it is left
    to the user of the file.
    """

    def __init__(self, model: nn.Module, flip: bool, raw: bool) -> None:
        """
        Args:
            model: a model that maps a batch to (B, F) embeddings in eval mode.
            flip: whether to average every clip with its mirror image (TEST.FLIP.ENABLED).
            raw: whether to leave the embeddings' lengths as they are.
        """
        super().__init__()
        self.model = model
        self.flip = flip
        self.raw = raw
        self.eval()

    def forward(self, images: Tensor, cameras: Tensor) -> Tensor:
        """
        Args:
            images: (B, T, 3, H, W) uint8, RGB.
            cameras: (B,) int64, the dataset's camera numbers; one that training has not seen adds no camera embedding.

        Returns:
            (B, F) float32; rows of length 1 unless ``raw``.
        """
        if self.flip:
            # In one pass, which makes a file of half as many operators.
            images, cameras = torch.cat([images, images.flip(-1)]), torch.cat([cameras, cameras])
        embeddings: Tensor = self.model({IMAGES: images, CAMIDS: cameras}).float()
        if self.flip:
            embeddings = embeddings.unflatten(0, (2, -1)).mean(0)
        return embeddings if self.raw else F.normalize(embeddings)


def clip_shape(cfg: Any) -> tuple[int, tuple[int, int]]:
    """T and (H, W) of the clips that a model of this configuration reads."""
    height, width = cfg.INPUT.SIZE_TEST
    return int(cfg.INPUT.CLIP.FRAMES), (int(height), int(width))


def random_clips(count: int, frames: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Clips of noise, (count, frames, 3, *size) uint8, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, frames, 3, *size), dtype=torch.uint8, generator=generator)


def facts(source: RestoredModel, raw: bool) -> dict[str, str]:
    """What the file tells its readers, as ``metadata_props``: text, numbers in decimal, lists as JSON.

    Args:
        source: the model in the file.
        raw: whether the rows are not scaled to length 1.
    """
    cfg: Any = source.cfg
    frames, (height, width) = clip_shape(cfg)
    return {
        "frames": str(frames),
        "height": str(height),
        "width": str(width),
        "cameras": json.dumps(source.cameras),
        "clips": cfg.TEST.FRAMES,
        "flip": json.dumps(bool(cfg.TEST.FLIP.ENABLED)),
        "raw": json.dumps(raw),
        "pixel_mean": json.dumps([float(value) for value in cfg.MODEL.PIXEL_MEAN]),
        "pixel_std": json.dumps([float(value) for value in cfg.MODEL.PIXEL_STD]),
        "fingerprint": fingerprint(weights_hash(source.model, TRAINING_ONLY), cfg),
        "checkpoint": source.path.name,
        "config": cfg.dump(),
    }


def translate(
    embedder: ClipEmbedder, frames: int, size: tuple[int, int], metadata: Mapping[str, str]
) -> torch.onnx.ONNXProgram:
    """The embedder as an ONNX program, for any number of clips of this many frames of this size.

    The program shares the embedder's weights.

    Args:
        embedder: the embedder, on the CPU.
        frames: T.
        size: (H, W) in pixels.
        metadata: its ``metadata_props``.

    Raises:
        ValueError: the model does something that ONNX cannot express.
    """
    # Torch would take a dimension of 1 for a constant.
    example = (random_clips(2, frames, size), torch.zeros(2, dtype=torch.int64))
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                embedder,
                example,
                input_names=INPUTS,
                output_names=(OUTPUT,),
                opset_version=OPSET,
                # Named once: torch finds that both are the same, and would warn about a second name.
                dynamic_shapes=({0: "clips"}, {0: torch.export.Dim.DYNAMIC}),
                custom_translation_table={torch.ops.aten.searchsorted.Tensor: _searchsorted},
                dynamo=True,
                verbose=False,
                external_data=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise ValueError(f"{type(embedder.model).__name__} cannot be written as ONNX: {reason}") from error
    assert program is not None
    # A value inside may have the output's name, "embedding", as well: torch names values by their operators.
    NameFixPass()(program.model)
    # Torch puts a stack trace into every node.
    ClearMetadataAndDocStringPass()(program.model)
    # A model without camera embedding does not read the cameras, and torch does not tie their number to the clips'.
    program.model.graph.inputs[1].shape = onnx_ir.Shape(["clips"])
    program.model.metadata_props.update(metadata)
    return program


def _searchsorted(sorted_sequence: Any, values: Any) -> Any:
    """How many of a sorted row lie below each value, which ONNX has no operator for; as the camera embedding asks."""
    op: Any = opset20
    last = op.Constant(value_ints=[-1])
    below = op.Less(sorted_sequence, op.Unsqueeze(values, last))
    return op.ReduceSum(op.Cast(below, to=_INT64), last, keepdims=0)
