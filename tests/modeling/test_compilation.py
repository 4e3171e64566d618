"""torch.compile where it works and where it does not; the compiler is the real one."""

import logging
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from tests.modeling.tiny_model import make_model
from xreid_plugin.modeling.compilation import compile_blocks, transformer_blocks
from xreid_plugin.modeling.mii import CrossAttentionBlock

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def test_blocks_of_tower_and_interactions_are_found():
    names = [type(block).__name__ for block in transformer_blocks(make_model())]
    # The tower's four, SII's, LII's and CII's.
    assert names == ["ResidualAttentionBlock"] * 4 + ["CrossAttentionBlock"] * 2 + ["FirstPlaceBlock"]


def test_a_model_without_blocks_stays_as_it_is(caplog):
    model = nn.Linear(2, 2)
    with caplog.at_level(logging.WARNING):
        assert compile_blocks(model, CPU, nullcontext()) == 0
    assert "MODEL.COMPILE changes nothing" in caplog.text


WITHOUT_COMPILER = """
import logging, torch
from contextlib import nullcontext
from torch import nn
from tests.modeling.tiny_model import make_model
from xreid_plugin.modeling.mii import CrossAttentionBlock
from xreid_plugin.modeling.compilation import compile_blocks
logging.basicConfig()
block = CrossAttentionBlock(8, 2, 2.0)
tokens = torch.randn(2, 3, 8)
before = block(tokens, tokens)
assert compile_blocks(nn.Sequential(block), torch.device("cpu"), nullcontext()) == 0
assert torch.equal(block(tokens, tokens), before)
"""


def test_without_a_compiler_the_model_runs_uncompiled_and_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_COMPILER],
        env={**os.environ, "CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "MODEL.COMPILE does not work here, so the model runs uncompiled" in done.stderr


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler for the CPU")
def test_compiled_blocks_compute_the_same(tmp_path, monkeypatch, request):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    request.addfinalizer(torch.compiler.reset)
    torch.manual_seed(0)
    model = nn.ModuleList([CrossAttentionBlock(8, 2, 2.0)])
    names = list(model.state_dict())
    tokens, context = torch.randn(3, 2, 8), torch.randn(3, 4, 8)
    plain = model[0](tokens, context)
    plain.sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    assert compile_blocks(model, CPU, nullcontext()) == 1
    compiled = model[0](tokens, context)
    compiled.sum().backward()
    torch.testing.assert_close(compiled, plain)
    for parameter, expected in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-5)
    assert list(model.state_dict()) == names
