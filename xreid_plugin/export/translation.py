"""Translates torch's program to ONNX."""

from collections.abc import Mapping
from typing import Any

import torch

from xreid_plugin.export.embedder import ClipEmbedder, random_clips
from xreid_plugin.export.libraries import ExportError, library

# The first with GELU as one operator; onnxruntime has read it since 1.17.
OPSET = 20
INPUTS, OUTPUT = ("images", "cameras"), "embedding"
# As in onnx.TensorProto.
_INT64 = 7


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
        ExportError: a library is missing, or the model does something that ONNX cannot express.
    """
    library("onnxscript")
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
        raise ExportError(f"{type(embedder.model).__name__} cannot be written as ONNX: {reason}") from error
    assert program is not None
    _tidy(program.model)
    program.model.metadata_props.update(metadata)
    return program


def _searchsorted(sorted_sequence: Any, values: Any) -> Any:
    """How many of a sorted row lie below each value, which ONNX has no operator for; as the camera embedding asks."""
    op = library("onnxscript").opset20
    last = op.Constant(value_ints=[-1])
    below = op.Less(sorted_sequence, op.Unsqueeze(values, last))
    return op.ReduceSum(op.Cast(below, to=_INT64), last, keepdims=0)


def _tidy(model: Any) -> None:
    """Unique names, one name for the batch, and none of the stack traces that torch puts into every node."""
    passes = library("onnx_ir.passes.common")
    # A value inside may have the output's name, "embedding", as well: torch names values by their operators.
    passes.NameFixPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    # A model without camera embedding does not read the cameras, and torch does not tie their number to the clips'.
    model.graph.inputs[1].shape = library("onnx_ir").Shape(["clips"])
