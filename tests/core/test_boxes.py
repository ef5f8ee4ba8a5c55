"""An array is put together from boxes that cover it, whichever way its edges cut them off."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.boxes import box_parts, boxes_along, unpack_boxes, with_larger_elements


def in_boxes(values, box):
    """The array box by box, each padded, ``(*grid, *box)``."""
    grid = boxes_along(values.shape, box)
    boxes = np.full(grid + box, 255, values.dtype)
    for place in product(*map(range, grid)):
        corner = tuple(number * part for number, part in zip(place, box, strict=True))
        found = values[tuple(slice(start, start + part) for start, part in zip(corner, box, strict=True))]
        boxes[place][tuple(map(slice, found.shape))] = found
    return boxes


AXES = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 9)), min_size=1, max_size=4)


@given(axes=AXES, dtype=st.sampled_from(["u1", "<f4", ">i8", "V3"]))
def test_unpack(axes, dtype):
    shape, box = map(tuple, zip(*axes, strict=True))
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    values = np.frombuffer(np.random.default_rng(0).bytes(size), dtype).reshape(shape)
    array = np.empty(shape, dtype)
    unpack_boxes(in_boxes(values, box), array)
    assert array.tobytes() == values.tobytes()


def test_into_a_part_of_another_array():
    values, whole = np.arange(24).reshape(4, 6), np.zeros((6, 8), int)
    unpack_boxes(in_boxes(values, (3, 4)), whole[1:5, 2:])
    assert (whole[1:5, 2:] == values).all()
    assert whole.sum() == values.sum()


@pytest.mark.parametrize(
    ("shape", "box", "grid"), [((3, 50), (1, 16), (3, 4)), ((2,), (9,), (1,)), ((), (), ())]
)
def test_boxes_along(shape, box, grid):
    assert boxes_along(shape, box) == grid


@given(axes=AXES, itemsize=st.sampled_from([1, 4, 6]))
def test_larger_elements_are_the_same_bytes_at_the_same_places(axes, itemsize):
    shape, box = map(tuple, zip(*axes, strict=True))
    size = int(np.prod(shape)) * itemsize
    values = np.frombuffer(np.random.default_rng(0).bytes(size), f"V{itemsize}").reshape(shape)
    larger_shape, larger_box, element = with_larger_elements(shape, box, itemsize)
    assert boxes_along(larger_shape, larger_box) == boxes_along(shape, box)
    array = np.empty(larger_shape, element)
    boxes = in_boxes(values, box).reshape(boxes_along(shape, box) + box)
    unpack_boxes(boxes.reshape(-1).view(element).reshape(boxes_along(shape, box) + larger_box), array)
    assert array.tobytes() == values.tobytes()


@given(axes=AXES)
def test_the_parts_of_boxes_cover_the_array_once(axes):
    shape, box = map(tuple, zip(*axes, strict=True))
    values, array = np.arange(np.prod(shape)).reshape(shape), np.full(shape, -1)
    boxes = in_boxes(values, box).reshape(-1, *box)
    for (part, inside), found in zip(box_parts(shape, box), boxes, strict=True):
        assert (array[part] == -1).all()
        array[part] = found[inside]
    assert (array == values).all()
