"""Blocks are traced whole, compute the same, and stay as they are where nothing can compile them.

Traced by torch.compile with its backend "aot_eager", which generates no code: a C++ compiler takes minutes.
"""

import copy
import itertools
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.modeling.tiny_model import D, make_model
from xreid_plugin.modeling.attention import LastBlock
from xreid_plugin.modeling.compilation import compile_blocks, transformer_blocks, wants_compilation
from xreid_plugin.modeling.mii import CrossAttentionBlock

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forget_what_was_traced():
    yield
    torch.compiler.reset()


@pytest.mark.slow
def test_every_kind_of_block_is_traced_whole_for_training_refresh_and_ragged_batches():
    blocks = list(transformer_blocks(make_model()))
    # The tower's four, SII's, LII's and CII's.
    assert [type(block).__name__ for block in blocks] == ["ResidualAttentionBlock"] * 3 + [
        *("LastBlock", "CrossAttentionBlock", "CrossAttentionBlock", "FirstPlaceBlock")
    ]
    for block in {type(block): block for block in blocks}.values():
        traced = copy.deepcopy(block)
        # Numbers for shapes are traced in a fraction of the time that symbols take.
        traced.compile(backend="aot_eager", fullgraph=True, dynamic=False)
        kinds = [{}, {"first_only": True}] if isinstance(block, LastBlock) else [{}]
        for rows, options in itertools.product((2, 3), kinds):
            count = 2 if isinstance(block, CrossAttentionBlock) else 1
            inputs = [torch.randn(rows, 5, D, requires_grad=True) for _ in range(count)]
            outs = [kind(*inputs, **options) for kind in (traced, block)]
            assert_close(*outs)
            gradients = [
                torch.autograd.grad(out.square().sum(), [*inputs, *kind.parameters()])
                for out, kind in zip(outs, (traced, block), strict=True)
            ]
            assert_close(*gradients)


@pytest.mark.slow
def test_compiled_parameters_keep_their_names():
    block = CrossAttentionBlock(8, 2, 2.0)
    names = list(block.state_dict())
    assert compile_blocks(nn.Sequential(block), CPU, nullcontext(), backend="aot_eager") == 1
    assert list(block.state_dict()) == names


@pytest.mark.parametrize(
    ("choice", "device", "expected"), [("auto", "cuda", True), ("auto", "cpu", False), ("always", "cpu", True)]
)
def test_auto_compiles_known_blocks_on_cuda_alone(choice, device, expected):
    block = CrossAttentionBlock(8, 2, 2.0)
    assert wants_compilation(choice, nn.Sequential(block), torch.device(device)) is expected
    assert wants_compilation("auto", block.mlp, torch.device("cuda")) is False


def test_without_a_compiler_the_model_runs_uncompiled_and_says_so(caplog):
    block = CrossAttentionBlock(8, 2, 2.0)
    tokens = torch.randn(2, 3, 8)
    before = block(tokens, tokens)
    assert compile_blocks(nn.Sequential(block), CPU, nullcontext(), backend="no_such_compiler") == 0
    assert torch.equal(block(tokens, tokens), before)
    assert "MODEL.COMPILE" in caplog.text
