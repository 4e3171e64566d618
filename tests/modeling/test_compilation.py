"""Blocks are traced whole, compute the same, and stay as they are where nothing can compile them.

Traced by torch.compile with its backend "aot_eager", which generates no code: a C++ compiler takes minutes.
"""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.modeling.tiny_model import D, make_model
from xreid_plugin.modeling.compilation import compile_blocks, transformer_blocks
from xreid_plugin.modeling.mii import CrossAttentionBlock

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forget_what_was_traced():
    yield
    torch.compiler.reset()


@pytest.mark.slow
@torch.no_grad()
def test_every_kind_of_block_is_traced_without_a_break():
    blocks = list(transformer_blocks(make_model()))
    # The tower's four, SII's, LII's and CII's.
    assert [type(block).__name__ for block in blocks] == ["ResidualAttentionBlock"] * 3 + [
        *("LastBlock", "CrossAttentionBlock", "CrossAttentionBlock", "FirstPlaceBlock")
    ]
    for block in {type(block): block for block in blocks}.values():
        traced = copy.deepcopy(block)
        traced.compile(backend="aot_eager", fullgraph=True)
        tokens = torch.randn(2, 5, D)
        inputs = (tokens[:, :1], tokens) if isinstance(block, CrossAttentionBlock) else (tokens,)
        assert_close(traced(*inputs), block(*inputs))


@pytest.mark.slow
def test_a_compiled_block_learns_the_same():
    plain, compiled = CrossAttentionBlock(8, 2, 2.0), CrossAttentionBlock(8, 2, 2.0)
    compiled.load_state_dict(plain.state_dict())
    assert compile_blocks(nn.Sequential(compiled), CPU, nullcontext(), backend="aot_eager") == 1
    assert list(compiled.state_dict()) == list(plain.state_dict())
    tokens, context = torch.randn(3, 2, 8), torch.randn(3, 4, 8)
    for block in (plain, compiled):
        block(tokens, context).square().sum().backward()
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert_close(other.grad, one.grad)


def test_without_a_compiler_the_model_runs_uncompiled_and_says_so(caplog):
    block = CrossAttentionBlock(8, 2, 2.0)
    tokens = torch.randn(2, 3, 8)
    before = block(tokens, tokens)
    assert compile_blocks(nn.Sequential(block), CPU, nullcontext(), backend="no_such_compiler") == 0
    assert torch.equal(block(tokens, tokens), before)
    assert "MODEL.COMPILE" in caplog.text
