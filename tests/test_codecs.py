"""Each decoder against what HDF5 and its plug-ins write, and against bytes that nobody wrote."""

import contextlib
import subprocess
import sys
import zlib

import h5py
import hdf5plugin
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.codecs import CodecError, Filter, NoCodecError, Pipeline, fletcher32

OPTIONS = {
    "deflate": {"compression": "gzip"},
    "shuffle-deflate": {"compression": "gzip", "shuffle": True},
    "deflate-fletcher32": {"compression": "gzip", "fletcher32": True},
    "shuffle": {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "blosc": hdf5plugin.Blosc(),
    "blosc-blosclz": hdf5plugin.Blosc(cname="blosclz", shuffle=hdf5plugin.Blosc.NOSHUFFLE),
    "blosc-zlib": hdf5plugin.Blosc(cname="zlib"),
    "lz4": hdf5plugin.LZ4(nbytes=1000),
    "zstd": hdf5plugin.Zstd(),
    "bitshuffle": hdf5plugin.Bitshuffle(cname="none"),
    "bitshuffle-lz4": hdf5plugin.Bitshuffle(cname="lz4"),
    "bitshuffle-zstd": hdf5plugin.Bitshuffle(cname="zstd"),
}


def stored_chunk(path, values, options):
    """The pipeline of a dataset of one chunk, its stored bytes and its filter mask."""
    with h5py.File(path, "w") as file:
        did = file.create_dataset("x", data=values, chunks=values.shape, **options).id
        plist = did.get_create_plist()
        filters = [Filter(*plist.get_filter(i)[::2]) for i in range(plist.get_nfilters())]
        file.flush()
        mask, stored = did.read_direct_chunk((0,) * values.ndim)
    return Pipeline(filters, values.nbytes), np.frombuffer(stored, np.uint8), mask


@pytest.fixture(params=OPTIONS, scope="module")
def chunk(request, tmp_path_factory):
    values = (np.arange(3 * 1003) // 7 % 50).astype("<f4").reshape(3, 1003)
    path = tmp_path_factory.mktemp("codecs") / "a.h5"
    return values, *stored_chunk(path, values, OPTIONS[request.param])


def decoded(pipeline, stored, size, mask=0):
    """The decoded bytes, and that nothing was written beside them."""
    guarded = np.full(size + 64, 0xA5, np.uint8)
    pipeline.decode(stored, guarded[32 : 32 + size], mask)
    assert (guarded[:32] == 0xA5).all()
    assert (guarded[-32:] == 0xA5).all()
    return guarded[32:-32]


def test_what_hdf5_wrote(chunk):
    values, pipeline, stored, mask = chunk
    assert decoded(pipeline, stored, values.nbytes, mask).tobytes() == values.tobytes()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 15, 16, 17, 255, 4096, 8191])
@pytest.mark.parametrize("options", list(OPTIONS))
@pytest.mark.parametrize("dtype", ["u1", "f8"])
def test_sizes(dtype, options, size, tmp_path):
    values = (np.arange(size) % 5).astype(dtype)
    pipeline, stored, mask = stored_chunk(tmp_path / "a.h5", values, OPTIONS[options])
    assert decoded(pipeline, stored, values.nbytes, mask).tobytes() == values.tobytes()


@pytest.mark.parametrize("options", list(OPTIONS))
@pytest.mark.parametrize("more", [-8, 8], ids=["shorter", "longer"])
def test_a_chunk_of_another_size(more, options, tmp_path):
    values = (np.arange(1000) // 7).astype("<f4")
    pipeline, _, _ = stored_chunk(tmp_path / "a.h5", values, OPTIONS[options])
    _, stored, mask = stored_chunk(tmp_path / "b.h5", np.resize(values, 1000 + more), OPTIONS[options])
    with pytest.raises(CodecError):
        decoded(pipeline, stored, values.nbytes, mask)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_never_write_beside_the_buffer(chunk, data):
    values, pipeline, stored, mask = chunk
    damaged = np.array(stored[: data.draw(st.integers(0, len(stored)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if len(damaged):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        decoded(pipeline, damaged, values.nbytes, mask)


@pytest.mark.parametrize("options", list(OPTIONS))
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_a_few_bytes_are_no_chunk(size, options, tmp_path):
    pipeline, _, _ = stored_chunk(tmp_path / "a.h5", np.zeros(100, "<f4"), OPTIONS[options])
    with pytest.raises(CodecError):
        decoded(pipeline, np.zeros(size, np.uint8), 400)


def test_a_decompression_bomb():
    bomb = np.frombuffer(zlib.compress(bytes(50_000_000)), np.uint8)
    with pytest.raises(CodecError, match="deflate: damaged, or more than 4096 bytes"):
        decoded(Pipeline([Filter(1, (4,))], 4096), bomb, 4096)


def test_a_wrong_checksum(tmp_path):
    pipeline, stored, _ = stored_chunk(tmp_path / "a.h5", np.arange(100), {"fletcher32": True})
    damaged = stored.copy()
    damaged[50] ^= 1
    with pytest.raises(CodecError, match=r"fletcher32: checksum 0x\w{8}, expected 0x\w{8}"):
        decoded(pipeline, damaged, 800)


def test_the_checksum_of_old_versions(tmp_path):
    pipeline, stored, _ = stored_chunk(tmp_path / "a.h5", np.arange(100), {"fletcher32": True})
    swapped = stored.copy()
    swapped[-4:] = stored[[-3, -4, -1, -2]]
    assert decoded(pipeline, swapped, 800).tobytes() == np.arange(100).tobytes()


@given(data=st.binary(max_size=3000), fill=st.sampled_from([None, 0, 255]))
def test_fletcher32_is_that_of_hdf5(data, fill):
    values = np.frombuffer(data if fill is None else bytes([fill]) * len(data), np.uint8)
    assert fletcher32(values) == imagecodecs.h5checksum_fletcher32(values.tobytes())


def test_filters_that_were_skipped(tmp_path):
    values = np.arange(100, dtype="<f4")
    filters = [Filter(2, (4,)), Filter(1, (4,)), Filter(3, ())]
    pipeline = Pipeline(filters, 400)
    plain = np.frombuffer(values.tobytes(), np.uint8)
    shuffled = plain.reshape(100, 4).T.ravel()
    checksum = np.frombuffer(fletcher32(shuffled).to_bytes(4, "little"), np.uint8)
    deflated = np.frombuffer(zlib.compress(plain.tobytes()), np.uint8)
    for mask, stored in (
        (0b111, plain),
        (0b110, shuffled),
        (0b101, deflated),
        (0b010, np.concatenate([shuffled, checksum])),
    ):
        assert decoded(pipeline, stored, 400, mask).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ([Filter(4, ())], "has filter 4, which only HDF5 decodes"),
        ([Filter(1, (4,)), Filter(32015, ())], "is compressed more than once: filters [1, 32015]"),
        ([Filter(32001, (2, 2, 4, 400, 5, 1, 3))], "is compressed with snappy inside of blosc"),
        ([Filter(32008, (0, 4, 4, 0, 9))], "is bitshuffled in a way that is not known: (0, 4, 4, 0, 9)"),
        ([Filter(32008, ())], "is bitshuffled in a way that is not known: ()"),
    ],
    ids=["szip", "twice", "snappy", "bitshuffle", "bitshuffle-nothing"],
)
def test_no_codec(filters, reason):
    with pytest.raises(NoCodecError) as caught:
        Pipeline(filters, 400)
    assert str(caught.value) == reason


WITHOUT = """
import sys
sys.modules["imagecodecs"] = None
from h5lightning.codecs import Filter, NoCodecError, Pipeline
Pipeline([Filter(2, (4,)), Filter(1, (4,)), Filter(3, ())], 400)
try:
    Pipeline([Filter(32015, ())], 400)
except NoCodecError as error:
    print(error)
"""


def test_the_extra_is_named_where_it_is_needed():
    answer = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert (
        answer.stdout
        == "is compressed with zstd, which takes: pip install 'h5lightning[codecs]' (imagecodecs)\n"
    )
