"""What plans say of themselves, and types of delivery."""

import pytest
from planned import message_of, plan

from h5lightning.errors import (
    OptionError,
)
from h5lightning.options import FLOAT_DTYPES, Field
from h5lightning.planning.fields import check_dtype


@pytest.mark.parametrize(
    ("field", "row_bytes", "is_floating"),
    [
        (Field("x"), 64, True),
        (Field("y"), 4, False),
        (Field("wave"), 8, True),
        (Field("table", member="id"), 2, False),
    ],
    ids=["float", "integer", "complex", "column"],
)
def test_sizes_of_a_plan(field, row_bytes, is_floating):
    found = plan(field)
    assert (found.row_bytes, found.is_floating) == (row_bytes, is_floating)


@pytest.mark.parametrize("dtype", [None, *FLOAT_DTYPES], ids=str)
def test_floating_types_are_accepted(dtype):
    check_dtype(dtype)


@pytest.mark.parametrize("dtype", ["int32", "float", "f4", "complex64"])
def test_other_types_are_refused(dtype):
    assert message_of(OptionError, check_dtype, dtype) == (
        f"dtype is for floating fields: expected one of float16, bfloat16, float32, float64, found {dtype!r}. "
        "The type of one field is Field(path, dtype=…)"
    )
