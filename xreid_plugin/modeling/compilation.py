"""torch.compile for the transformer blocks of a model, where it works.

Blocks are compiled, not the whole model: all blocks of a class share their code, so that a ViT of twelve takes as long
to compile as one block, and the code around them may stay as dynamic as it is.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from xreid_plugin.modeling.attention import LastBlock
from xreid_plugin.modeling.mii import CrossAttentionBlock, FirstPlaceBlock

logger = logging.getLogger(__name__)

_TRIAL_ROWS, _TRIAL_TOKENS = 2, 5


def wants_compilation(choice: str, model: nn.Module, device: torch.device) -> bool:
    """Whether MODEL.COMPILE asks for it: "always", or "auto", which is on CUDA, where it pays, for known blocks."""
    known = next(transformer_blocks(model), None) is not None
    return choice == "always" or (choice == "auto" and device.type == "cuda" and known)


def compile_blocks(
    model: nn.Module, device: torch.device, autocast: AbstractContextManager[Any], backend: str = "inductor"
) -> int:
    """Compiles the tower's and MII's blocks in place, unless a trial on this machine fails; then logs why.

    Parameters keep their names. The code itself is generated in the first forward pass, and again for each image size.

    Args:
        model: any model; its blocks are found by their class.
        device: that it will run on.
        autocast: that it will run in.
        backend: torch.compile's.

    Returns:
        How many blocks are compiled.
    """
    blocks = list(transformer_blocks(model))
    if not blocks:
        logger.warning("MODEL.COMPILE changes nothing: the model has no transformer block that it knows.")
        return 0
    # Tracing reads the gradient of tensors in the middle of a graph, which makes torch warn about its own code.
    warnings.filterwarnings("ignore", message=r"The \.grad attribute of a Tensor that is not a leaf", module=r"torch\.")
    kinds = {type(block): block for block in blocks}
    try:
        for block in kinds.values():
            _try(block, device, autocast, backend)
    # The errors of a missing compiler, an old driver or an unknown processor have no common base class.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        logger.warning(f"MODEL.COMPILE does not work here, so the model runs uncompiled: {reason}")
        return 0
    for block in blocks:
        block.compile(backend=backend)
    logger.info(f"Compiled {len(blocks)} transformer blocks")
    return len(blocks)


def transformer_blocks(model: nn.Module) -> Iterator[nn.Module]:
    """The blocks of open_clip's towers and of MII, in the model's order."""
    from open_clip.transformer import ResidualAttentionBlock

    kinds = (ResidualAttentionBlock, LastBlock, CrossAttentionBlock, FirstPlaceBlock)
    return (module for module in model.modules() if isinstance(module, kinds))


def _try(block: nn.Module, device: torch.device, autocast: AbstractContextManager[Any], backend: str) -> None:
    """Compiles a copy of the block, and runs it forward and backward on a few tokens."""
    trial = copy.deepcopy(block).to(device)
    trial.compile(backend=backend)
    width = next(module for module in trial.modules() if isinstance(module, nn.LayerNorm)).normalized_shape[0]
    leaf = torch.zeros(_TRIAL_ROWS, _TRIAL_TOKENS, width, device=device, requires_grad=True)
    with autocast, torch.enable_grad():
        # As in a model, the block's input is the result of a computation.
        tokens = leaf + 1
        out = trial(tokens, tokens) if isinstance(trial, CrossAttentionBlock) else trial(tokens)
    out.float().sum().backward()
