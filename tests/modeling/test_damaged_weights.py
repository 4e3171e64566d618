"""Damaged safetensors files as weights of a tower: they load, or one error names the file."""

import json
import resource
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from open_clip.transformer import VisionTransformer

from xreid_plugin.modeling.clip_weights import load_clip_weights
from xreid_plugin.modeling.weight_files import read_weight_file

ROOM = 1 << 30


def make_tower():
    return VisionTransformer((4, 2), patch_size=2, width=4, layers=1, heads=2, mlp_ratio=2, output_dim=4)


WHOLE = safetensors.torch.save(make_tower().state_dict())
START = 8 + struct.unpack("<Q", WHOLE[:8])[0]
NAMES = sorted(make_tower().state_dict())


def with_header(header):
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + WHOLE[START:]


@pytest.fixture
def little_memory():
    """Lets this process take no more than a GiB beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@st.composite
def flipped(draw):
    content = bytearray(WHOLE)
    # The length and the header are looked at more closely than the numbers are.
    places = st.integers(0, 7) | st.integers(8, START - 1) | st.integers(START, len(WHOLE) - 1)
    for place in draw(st.lists(places, min_size=1, max_size=4)):
        content[place] ^= draw(st.integers(1, 255))
    return bytes(content)


NUMBERS = st.integers(-2, 200) | st.sampled_from([2**31, 2**32, 2**53, 2**63, 2**64 - 1, 2**64]) | st.floats(0, 8)
DTYPES = ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E8M0", "F4", "F6_E2M3", "I64", "U8", "BOOL", "C64", "X", "", None]
FIELDS = st.one_of(
    st.tuples(st.just("dtype"), st.sampled_from(DTYPES)),
    st.tuples(st.just("shape"), st.lists(NUMBERS, max_size=4)),
    st.tuples(st.just("data_offsets"), st.lists(NUMBERS, max_size=3)),
)


@st.composite
def of_another_header(draw):
    header = json.loads(WHOLE[8:START])
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2)):
        key, value = draw(FIELDS)
        header[name][key] = value
    return with_header(header)


@st.composite
def of_other_shapes(draw):
    """As many numbers in other shapes: nothing that reading a file would notice."""
    header = json.loads(WHOLE[8:START])
    tensor = header[draw(st.sampled_from(NAMES) | st.just("positional_embedding"))]
    begin, end = tensor["data_offsets"]
    dtype, width = draw(st.sampled_from([("F32", 4), ("F16", 2), ("BF16", 2), ("I32", 4), ("U8", 1), ("F8_E4M3", 1)]))
    count = (end - begin) // width
    rows = draw(st.sampled_from([n for n in range(1, count + 1) if count % n == 0]))
    tensor |= {"dtype": dtype, "shape": [rows, count // rows]}
    return with_header(header)


CUT = st.integers(0, len(WHOLE) - 1).map(lambda length: WHOLE[:length])
OTHER_LENGTH = st.integers(0, 2**64 - 1).map(lambda length: struct.pack("<Q", length) + WHOLE[8:])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads from /proc how much memory it has")
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(content=CUT | OTHER_LENGTH | flipped() | of_another_header() | of_other_shapes())
def test_a_damaged_file_loads_or_is_refused_by_name(tmp_path, little_memory, content):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content)
    tower = make_tower()
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    refused = None
    try:
        report = load_clip_weights(tower, file)
    except ValueError as error:
        refused = str(error)
    if refused is None:
        assert sorted(report.loaded) == NAMES
        assert sum(value.nbytes for value in read_weight_file(file).tensors.values()) <= len(content)
    else:
        assert str(file) in refused
        assert all(torch.equal(value, before[name]) for name, value in tower.state_dict().items())


@pytest.mark.parametrize("dtype", ["I32", "U32", "C64", "F4", "F8_E4M3", "BOOL"])
def test_numbers_that_are_no_weights_are_refused_with_the_remedy(tmp_path, dtype):
    bits = {"C64": 64, "F4": 4, "F8_E4M3": 8, "BOOL": 8}.get(dtype, 32)
    header = json.loads(WHOLE[8:START])
    tensor = header["ln_pre.weight"]
    begin, end = tensor["data_offsets"]
    tensor |= {"dtype": dtype, "shape": [(end - begin) * 8 // bits]}
    file = tmp_path / "weights.safetensors"
    file.write_bytes(with_header(header))
    with pytest.raises(ValueError, match=r"weights\.safetensors: 'ln_pre\.weight' holds .*save .* in float32"):
        load_clip_weights(make_tower(), file)


def test_a_file_that_was_cut_off_is_refused_with_the_remedy(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(WHOLE[:-1])
    with pytest.raises(ValueError, match=r"weights\.safetensors is not a readable .*\. Copy or download it again"):
        load_clip_weights(make_tower(), file)
