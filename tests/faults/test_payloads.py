"""Hostile bytes for each filter, written past it: errors, never a crash, and never bytes that are not the file's."""

import json
import random

import h5py
import hdf5plugin
import numpy as np
import pytest
from fuzzing.children import run_limited
from fuzzing.judging import expect, judge

from h5lightning import Field

FILTERS = {
    "gzip": {"compression": "gzip"},
    "gzip-shuffle-fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "fletcher32": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "szip": {"compression": "szip"},
    "scaleoffset": {"scaleoffset": 0},
    "zstd": dict(hdf5plugin.Zstd()),
    "blosc": dict(hdf5plugin.Blosc()),
    "blosc2": dict(hdf5plugin.Blosc2()),
    "lz4": dict(hdf5plugin.LZ4()),
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
    "bitshuffle-lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bitshuffle-zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
}


def payloads(genuine, count):
    """Bytes that a filter may be given: short, long, random, and its own with a few bytes changed."""
    rng = random.Random(0)
    yield from (b"\0", b"\xff" * 3, b"\0" * 16, b"\xff" * 64, genuine[: len(genuine) // 2], genuine * 3)
    for number in range(count - 6):
        if number % 4 == 0:
            yield rng.randbytes(rng.randrange(1, 600))
            continue
        changed = bytearray(genuine)
        for _ in range(rng.choice((1, 2, 8))):
            # Headers come first, and say how large things are.
            place = rng.randrange(min(len(changed), rng.choice((4, 16, 32, len(changed)))))
            changed[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        yield bytes(changed)


def outcomes(tmp_path, options, arm, count):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "x", data=np.arange(800, dtype="<i4").reshape(80, 10) % 37, chunks=(20, 10), **options
        )
        genuine = file["x"].id.read_direct_chunk((20, 0))[1]
    expected = expect(path, {"x": Field("x")})
    for payload in payloads(genuine, count):
        with h5py.File(path, "r+") as file:
            file["x"].id.write_direct_chunk((20, 0), payload)
        ended = run_limited(lambda: json.dumps(judge(arm, path, expected)), limit_s=6.0)
        yield payload, ended.problem or json.loads(ended.text)[0], ended.words or ended.text


def check(tmp_path, name, arm, count):
    for payload, verdict, words in outcomes(tmp_path, FILTERS[name], arm, count):
        # A filter without a checksum may make other values of changed bytes: nobody can tell.
        assert verdict in ("right", "error", "wrong"), (payload.hex(), words)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("arm", ["direct", "h5py"])
@pytest.mark.parametrize("name", FILTERS)
def test_hostile_payloads(name, arm, tmp_path):
    check(tmp_path, name, arm, count=12)


@pytest.mark.campaign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("arm", ["direct", "h5py"])
@pytest.mark.parametrize("name", FILTERS)
def test_many_hostile_payloads(name, arm, tmp_path):
    check(tmp_path, name, arm, count=80)
