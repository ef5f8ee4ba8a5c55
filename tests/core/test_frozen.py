"""A copy of an immutable value is the value itself; a pickle is not."""

import copy
import pickle

import numpy as np
import pytest

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
