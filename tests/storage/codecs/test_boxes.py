from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.storage.codecs import CodecError
from h5lightning.storage.codecs.boxes import Boxes


def in_boxes(values, box):
    """The array box by box, each padded."""
    grid = [range(0, length, part) for length, part in zip(values.shape, box, strict=True)]
    parts = []
    for place in product(*grid):
        found = values[tuple(slice(start, start + part) for start, part in zip(place, box, strict=True))]
        padded = np.full(box, 255, values.dtype)
        padded[tuple(slice(0, length) for length in found.shape)] = found
        parts.append(padded.ravel())
    return np.concatenate(parts).view(np.uint8)


@given(data=st.data())
def test_unpack(data):
    axes = data.draw(
        st.lists(
            st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
            min_size=1,
            max_size=4,
        )
    )
    shape, box = map(tuple, zip(*axes, strict=True))
    values = (
        np.random.default_rng(0)
        .integers(0, 99, shape)
        .astype(data.draw(st.sampled_from(["u1", "<f4", "S3"])))
    )
    boxes, stored = Boxes.of(shape, box, values.nbytes), in_boxes(values, box)
    assert boxes.padded_bytes == len(stored)
    out = np.zeros(values.nbytes, np.uint8)
    boxes.unpack(stored, out)
    assert out.tobytes() == values.tobytes()
    if boxes.are_in_order:
        assert stored.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("shape", "box", "in_order"),
    [
        ((8, 6), (8, 6), True),
        ((8, 6), (2, 6), True),
        ((8, 6), (1, 3), True),
        ((8, 6), (2, 3), False),
        ((8, 6), (3, 6), False),
    ],
    ids=["one", "rows", "within-rows", "both", "padded"],
)
def test_boxes_in_order(shape, box, in_order):
    assert Boxes.of(shape, box, 48).are_in_order is in_order


@pytest.mark.parametrize(
    ("shape", "box", "size", "problem"),
    [
        ((8, 6), (9, 6), 48, r"boxes \(9, 6\) of an array \(8, 6\)"),
        ((8, 6), (0, 6), 48, r"boxes \(0, 6\) of an array \(8, 6\)"),
        ((8, 0), (8, 0), 48, r"boxes \(8, 0\) of an array \(8, 0\)"),
        ((8, 6), (8, 6), 49, r"an array \(8, 6\) of 49 bytes"),
        ((8, 6), (8, 6), 0, r"an array \(8, 6\) of 0 bytes"),
        ((99,) * 4, (98,) * 4, 99**4, r"boxes \(98, 98, 98, 98\) of an array .*: mostly padding"),
    ],
    ids=["too-large", "none", "nothing", "odd", "no-bytes", "mostly-padding"],
)
def test_what_are_no_boxes(shape, box, size, problem):
    with pytest.raises(CodecError, match=problem):
        Boxes.of(shape, box, size)
