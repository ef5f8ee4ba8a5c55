"""A copy of an immutable value is the value itself, a pickle is not; arrays are compared by content."""

import copy
import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest

from h5lightning.core.frozen import EqualByValue
from h5lightning.core.string_table import StringTable
from h5lightning.planning.index import SampleRanges
from h5lightning.planning.selection import Selection

VALUES = [
    pytest.param(StringTable.of(["a", "b"]), id="slots"),
    pytest.param(Selection(SampleRanges(np.array([0]), np.array([5]))), id="dict"),
]


@pytest.mark.parametrize("value", VALUES)
def test_a_copy_is_the_value_itself(value):
    assert copy.copy(value) is copy.deepcopy(value) is value
    assert copy.deepcopy([value])[0] is value


@pytest.mark.parametrize("value", VALUES)
def test_a_pickle_is_another_one(value):
    other = pickle.loads(pickle.dumps(value))
    assert other is not value
    assert len(other) == len(value)


@dataclass(frozen=True, slots=True, eq=False)
class Table(EqualByValue):
    numbers: np.ndarray
    name: str = ""
    origin: object = field(default=None, compare=False)


@pytest.mark.parametrize(
    ("other", "is_equal"),
    [
        (Table(np.arange(3), "a", origin=1), True),
        (Table(np.array([0, 1, 9]), "a"), False),
        (Table(np.arange(4), "a"), False),
        (Table(np.arange(3), "b"), False),
        ("a", False),
    ],
    ids=["origin does not count", "numbers", "length", "name", "another type"],
)
def test_arrays_are_compared_by_content(other, is_equal):
    assert (Table(np.arange(3), "a") == other) is is_equal


def test_what_is_compared_by_content_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Table(np.arange(3)))
