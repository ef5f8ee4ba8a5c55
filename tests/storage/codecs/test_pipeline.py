"""Whole pipelines against what HDF5 and its plug-ins write."""

import subprocess
import sys
import threading
import time
import zlib

import imagecodecs
import numpy as np
import pytest
from stored_chunks import OPTIONS, decoded, stored_chunk

from h5lightning.storage.codecs import CodecError, FilterPipeline, NoCodecError, fletcher32


def knows_elements_of(size):
    """Whether the bitshuffle of this imagecodecs does; older ones know 1, 2, 4 and 8 bytes."""
    try:
        imagecodecs.bitshuffle_decode(bytes(8 * size), itemsize=size)
    except ValueError:
        return False
    return True


KNOWS_ALL_ELEMENTS = knows_elements_of(3)


@pytest.mark.parametrize("options", list(OPTIONS))
@pytest.mark.parametrize("dtype", ["u1", "f8", "S3"])
def test_sizes(dtype, options):
    if dtype == "S3" and options.startswith("bitshuffle") and not KNOWS_ALL_ELEMENTS:
        pytest.skip("this imagecodecs refuses elements of 3 bytes")
    for size in (1, 2, 3, 7, 8, 9, 15, 16, 17, 255, 4096, 8191):
        values = (np.arange(size) % 5).astype(dtype)
        pipeline, stored, mask = stored_chunk(values, OPTIONS[options])
        assert decoded(pipeline, stored, values.nbytes, mask).tobytes() == values.tobytes(), size


@pytest.mark.parametrize("options", list(OPTIONS))
def test_a_large_chunk_of_noise(options):
    values = np.frombuffer(np.random.default_rng(0).bytes(8 << 20), "<u4")
    pipeline, stored, mask = stored_chunk(values, OPTIONS[options])
    assert np.array_equal(decoded(pipeline, stored, values.nbytes, mask).view("<u4"), values)


@pytest.mark.parametrize("options", list(OPTIONS))
@pytest.mark.parametrize("more", [-8, 8], ids=["shorter", "longer"])
def test_a_chunk_of_another_size(more, options):
    values = (np.arange(1000) // 7).astype("<f4")
    pipeline, _, _ = stored_chunk(values, OPTIONS[options])
    _, stored, mask = stored_chunk(np.resize(values, 1000 + more), OPTIONS[options])
    with pytest.raises(CodecError):
        decoded(pipeline, stored, values.nbytes, mask)


@pytest.mark.parametrize("options", list(OPTIONS))
def test_a_few_bytes_are_no_chunk(options):
    pipeline, _, _ = stored_chunk(np.zeros(100, "<f4"), OPTIONS[options])
    for size in range(5):
        with pytest.raises(CodecError):
            decoded(pipeline, np.zeros(size, np.uint8), 400)


# ── several filters ──────────────────────────────────────────────────────────────────────────────────

PLAIN = np.arange(100, dtype="<f4").view(np.uint8)
SHUFFLED = PLAIN.reshape(100, 4).T.ravel()


def checked(data):
    """Bytes with their checksum behind them."""
    return np.concatenate([data, np.frombuffer(fletcher32(data).to_bytes(4, "little"), np.uint8)])


def deflated(data):
    return np.frombuffer(zlib.compress(data.tobytes()), np.uint8)


@pytest.mark.parametrize(
    ("mask", "stored"),
    [
        (0b000, checked(deflated(SHUFFLED))),
        (0b100, deflated(SHUFFLED)),
        (0b010, checked(SHUFFLED)),
        (0b001, checked(deflated(PLAIN))),
        (0b110, SHUFFLED),
        (0b101, deflated(PLAIN)),
        (0b011, checked(PLAIN)),
        (0b111, PLAIN),
    ],
    ids=["none", "checksum", "deflate", "shuffle", "last-two", "first-last", "first-two", "all"],
)
def test_filters_that_were_skipped(mask, stored):
    pipeline = FilterPipeline([(2, (4,)), (1, (4,)), (3, ())], 400)
    assert decoded(pipeline, stored, 400, mask).tobytes() == PLAIN.tobytes()


@pytest.mark.parametrize(
    ("numbers", "stored"),
    [
        ((3, 1), deflated(checked(PLAIN))),
        ((2, 3, 1), deflated(checked(SHUFFLED))),
        ((3, 3, 2), checked(checked(PLAIN)).reshape(-1, 4).T.ravel()),
        ((2, 2), SHUFFLED.reshape(100, 4).T.ravel()),
    ],
    ids=["checksum-first", "checksum-within", "two-checksums", "two-shuffles"],
)
def test_filters_in_any_order(numbers, stored):
    pipeline = FilterPipeline([(number, (4,)) for number in numbers], 400)
    assert decoded(pipeline, stored, 400).tobytes() == PLAIN.tobytes()


def test_no_filters():
    assert decoded(FilterPipeline([], 400), PLAIN, 400).tobytes() == PLAIN.tobytes()
    with pytest.raises(CodecError, match="400 bytes, expected 399"):
        decoded(FilterPipeline([], 399), PLAIN, 399)


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ([(4, ())], "has filter 4, which only HDF5 decodes"),
        ([(1, (4,)), (32015, ())], "is compressed more than once: filters [1, 32015]"),
        ([(32001, (2, 2, 4, 400, 5, 1, 3))], "is compressed with snappy inside blosc"),
        ([(32008, (0, 4, 4, 0, 9))], "is bitshuffled with unknown parameters: (0, 4, 4, 0, 9)"),
        ([(32008, ())], "is bitshuffled with unknown parameters: ()"),
    ],
    ids=["szip", "twice", "snappy", "bitshuffle", "bitshuffle-nothing"],
)
def test_no_codec(filters, reason):
    with pytest.raises(NoCodecError) as caught:
        FilterPipeline(filters, 400)
    assert str(caught.value) == reason


# ── without imagecodecs ──────────────────────────────────────────────────────────────────────────────

WITHOUT = """
import sys, zlib
sys.modules["imagecodecs"] = None
import numpy as np
from h5lightning.storage.codecs import NoCodecError, FilterPipeline, fletcher32
values = np.arange(1001, dtype="<u4")
data = zlib.compress(values.view(np.uint8).reshape(-1, 4).T.tobytes())
data += fletcher32(np.frombuffer(data, np.uint8)).to_bytes(4, "little")
out = np.zeros(4004, np.uint8)
FilterPipeline([(2, (4,)), (1, (4,)), (3, ())], 4004).decode(np.frombuffer(data, np.uint8), out)
assert np.array_equal(out.view("<u4"), values)
try:
    FilterPipeline([(32015, ())], 400)
except NoCodecError as error:
    print(error)
"""


def test_the_extra_is_named_where_it_is_needed():
    answer = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert (
        answer.stdout
        == "is compressed with zstd, which needs imagecodecs: pip install 'h5lightning[codecs]'\n"
    )


# ── threads ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def no_thread_is_asked_to_give_way():
    """Python code keeps the interpreter until it waits for something, or a library lets go of it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(100)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("options", list(OPTIONS))
@pytest.mark.timeout(60)
def test_decoding_leaves_the_interpreter_to_others(options, no_thread_is_asked_to_give_way):
    values = np.tile(np.arange(251, dtype="u1"), 100_000)[: 16 << 20].view("<u4")
    pipeline, stored, mask = stored_chunk(values, OPTIONS[options])
    out = np.zeros(values.nbytes, np.uint8)
    # Once is enough: on a busy machine, this thread may not come to run while the other one decodes.
    assert any(ticks_while(lambda: pipeline.decode(stored, out, mask)) for _ in range(200))


def test_ticks_need_the_interpreter(no_thread_is_asked_to_give_way):
    numbers = list(range(1_000_000))
    assert ticks_while(lambda: numbers.index(999_999)) == 0


def ticks_while(work):
    """How often this thread comes to run while another one works."""
    moments, ticks = [], []

    def timed():
        moments.append(time.perf_counter())
        work()
        moments.append(time.perf_counter())

    thread = threading.Thread(target=timed)
    thread.start()
    while thread.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.0002)
    thread.join()
    return sum(moments[0] < tick < moments[1] for tick in ticks)
