import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from xreid_plugin.data.pack.format import (
    ChecksumError,
    PackError,
    PackInfo,
    digest,
    key_of,
    name_of,
    seal,
    unseal,
)

FILE = Path("some.pack")
INFO = PackInfo("HITSZVCM", (288, 144), 7, "ab", complete=True)


@pytest.mark.parametrize("info", [INFO, replace(INFO, size=None, complete=False)])
def test_a_record_comes_back_as_it_was(info):
    assert PackInfo.from_bytes(info.to_bytes(), FILE) == info


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"{}",
        INFO.to_bytes().replace(b'"count"', b'"counts"'),
        INFO.to_bytes().replace(b"[288, 144]", b"[288]"),
    ],
)
def test_what_is_no_record_is_refused(content):
    with pytest.raises(PackError, match=r"some\.pack is an LMDB file, but no pack"):
        PackInfo.from_bytes(content, FILE)


def test_another_version_is_refused_with_both():
    with pytest.raises(PackError, match=r"xreid-pack 2, not xreid-pack 1: pack it again"):
        PackInfo.from_bytes(INFO.to_bytes().replace(b'"version": 1', b'"version": 2'), FILE)


def test_a_sealed_value_is_the_sum_of_key_and_payload_and_then_the_payload():
    expected = xxhash.xxh3_64(b"pixels", seed=zlib.crc32(b"a/1.jpg")).intdigest().to_bytes(8, "little")
    assert seal(b"a/1.jpg", b"pixels") == expected + b"pixels"


@given(payload=st.binary(max_size=50), data=st.data())
def test_any_flipped_bit_is_found(payload, data):
    sealed = bytearray(seal(b"key", payload))
    assert bytes(unseal(b"key", memoryview(sealed))) == payload
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ChecksumError):
        unseal(b"key", memoryview(sealed))


def test_a_value_under_another_key_is_found():
    with pytest.raises(ChecksumError):
        unseal(b"b", memoryview(seal(b"a", b"pixels")))


def test_a_digest_is_of_the_set_of_names():
    assert digest(["a", "b"]) == digest(["b", "a"])
    assert len({digest(["a", "b"]), digest(["ab"]), digest(["a"])}) == 3


@pytest.mark.parametrize(
    ("path", "home", "name"),
    [
        ("/data/VCM/Train/1.jpg", "/data/VCM", "Train/1.jpg"),
        ("Train/1.jpg", ".", "Train/1.jpg"),
        ("./0001/1.jpg", ".", "0001/1.jpg"),
    ],
)
def test_names_are_relative_to_the_datasets_folder(path, home, name):
    assert name_of(path, Path(home)) == name


@pytest.mark.parametrize("name", ["", "x" * 512])
def test_a_name_that_is_no_key_is_refused(name):
    with pytest.raises(PackError, match="a pack takes 1 to 511"):
        key_of(name)
