"""Objects of global heaps: those of h5py's files are found, and no reference leads out of the bytes that there are."""

import struct

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.storage.readers.heap.global_heap import (
    REFERENCE,
    HeapError,
    collection_places,
    collection_size,
    find_objects,
)

pytestmark = pytest.mark.timeout(60)


def made(*objects, free=0, size=None):
    """A collection of objects, ``(number, bytes)`` each."""
    body = b""
    for number, data in objects:
        body += struct.pack("<HHIQ", number, 1, 0, len(data)) + data + b"\0" * (-len(data) % 8)
    if free:
        body += struct.pack("<HHIQ", 0, 0, 0, free) + b"\0" * (free - 16)
    return b"GCOL\1\0\0\0" + struct.pack("<Q", 16 + len(body) if size is None else size) + body


def references(*entries):
    return np.array(list(entries), REFERENCE)


def found(data, refs, first=0):
    view = np.frombuffer(data, np.uint8)
    objects = find_objects(view, refs, collection_places(refs, first, len(view)))
    pairs = zip(objects.starts.tolist(), objects.sizes.tolist(), strict=True)
    return [data[start : start + size] for start, size in pairs]


HEAP = made((1, b"one"), (7, b"seven---"), (2, b""), (300, b"x" * 999), free=32)


def test_objects_are_found_by_their_number():
    second = made((1, b"another"))
    data = b"\0" * 24 + HEAP + second
    refs = references(
        (8, 24, 7), (3, 24, 1), (0, 0, 0), (999, 24, 300), (7, 24 + len(HEAP), 1), (2, 24, 1), (0, 2**63, 9)
    )
    assert found(data, refs) == [b"seven---", b"one", b"", b"x" * 999, b"another", b"on", b""]
    assert found(b"user block" + data, refs, first=10) == found(data, refs)
    assert collection_size(np.frombuffer(HEAP[:16], np.uint8), 2000) == len(HEAP)
    assert collection_size(np.frombuffer(HEAP[:16], np.uint8), 100) == -1


@pytest.mark.parametrize(
    ("data", "reference", "message"),
    [
        (HEAP, (3, 2**64 - 1, 1), "beyond the end"),
        (HEAP, (3, len(HEAP), 1), "beyond the end"),
        (HEAP, (3, len(HEAP) - 8, 1), "beyond the end"),
        (HEAP, (3, 8, 1), "no heap lies"),
        (HEAP, (3, 0, 0), "names an object that no heap has"),
        (HEAP, (3, 0, 2**32 - 1), "names an object that no heap has"),
        (HEAP, (3, 0, 5), "that its heap does not hold"),
        (HEAP, (4, 0, 1), "longer than its object"),
        (made((1, b"one"), size=2**64 - 1), (3, 0, 1), "longer than the file"),
        (made((1, b"one"), size=2**63), (3, 0, 1), "longer than the file"),
        (made((1, b"one"), size=0), (3, 0, 1), "does not hold"),
        (HEAP[:4] + b"\2" + HEAP[5:], (3, 0, 1), "no heap lies"),
        # An object that reaches beyond its heap, by little and by much.
        (made((1, b"one"))[:24] + struct.pack("<Q", 9) + b"one     ", (9, 0, 1), "larger than the heap"),
        (
            made((1, b"one"))[:24] + struct.pack("<Q", 2**64 - 9) + b"one     ",
            (3, 0, 2),
            "larger than the heap",
        ),
        # Free space without a size, at which a walk would stand forever.
        (made((0, b""), (1, b"one")), (3, 0, 1), "free space has no size"),
    ],
)
def test_what_leads_nowhere(data, reference, message):
    with pytest.raises(HeapError, match=message) as caught:
        found(data, references((3 if data is HEAP else 0, 0, 1), reference))
    assert caught.value.entry == 1


def test_a_heap_of_endless_objects_ends():
    data = b"GCOL\1\0\0\0" + struct.pack("<Q", 16 + 16 * 70_000) + struct.pack("<HHIQ", 9, 0, 0, 0) * 70_000
    with pytest.raises(HeapError, match="more objects than a heap can have"):
        found(data, references((1, 0, 1)))


def test_a_heap_of_many_objects():
    objects = [(number, bytes([number % 251]) * (number % 20)) for number in range(1, 700)]
    data = made(*objects, free=16) + made((1, b"one"))
    wanted = [1, 100, 128, 129, 130, 699, 500, 500]
    refs = [(number % 20, 0, number) for number in wanted]
    assert found(data, references(*refs)) == [dict(objects)[number] for number in wanted]
    at = data.find(struct.pack("<HHIQ", 300, 1, 0, 0))
    for place, change, message in [
        (at + 8, struct.pack("<Q", 2**63), "larger than the heap"),
        (at, b"\0" * 16, "free space has no size"),
        (at, struct.pack("<H", 298), "does not hold"),
    ]:
        changed = data[:place] + change + data[place + len(change) :]
        with pytest.raises(HeapError, match=message):
            found(changed, references((0, len(data), 0), *refs, (1, 0, 300)))
    with pytest.raises(HeapError, match="longer than its object"):
        found(data, references((3, 0, 602)))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_changed_bytes_never_lead_out(draw):
    data = bytearray(made((1, b"one"), (2, b"t" * 30)) + made((1, b"u" * 9), free=24))
    for _ in range(draw.draw(st.integers(0, 6))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    entry = st.tuples(
        st.integers(0, 40), st.one_of(st.sampled_from([0, 88]), st.integers(0, 2**64 - 1)), st.integers(0, 3)
    )
    refs = references(*draw.draw(st.lists(entry, min_size=1, max_size=5)))
    try:
        objects = find_objects(
            np.frombuffer(bytes(data), np.uint8), refs, collection_places(refs, 0, len(data))
        )
    except HeapError:
        return
    assert (objects.starts >= 0).all()
    assert (objects.starts + objects.sizes <= len(data)).all()
    assert objects.sizes.tolist() == refs["length"].tolist()


@pytest.mark.parametrize(("libver", "userblock"), [("earliest", 0), ("latest", 512)])
def test_bytes_and_text_that_h5py_wrote(tmp_path, libver, userblock):
    rng, path = np.random.default_rng(0), tmp_path / "a.h5"
    values = [rng.bytes(size) for size in rng.choice([0, 1, 7, 8, 300, 5_000, 70_000], 400)]
    texts = [f"text {number} " * (number % 40) for number in range(400)]
    with h5py.File(path, "w", libver=libver, userblock_size=userblock) as file:
        rows = file.create_dataset("x", (400,), h5py.vlen_dtype("u1"))
        for number, value in enumerate(values):
            rows[number] = np.frombuffer(value, np.uint8)
        file["text"] = texts
        offsets = {name: file[name].id.get_offset() for name in ("x", "text")}
    data = path.read_bytes()
    for name, expected in (("x", values), ("text", [text.encode() for text in texts])):
        # HDF5 counts the user block in the offset of values, and not in the addresses of heaps.
        refs = np.frombuffer(data, REFERENCE, 400, offsets[name])
        assert found(data, refs, userblock) == expected
