"""Categories: the number of each value, errors about others, and the types that hold the numbers."""

import pytest

from h5lightning.errors import OptionError
from h5lightning.planning.values.categories import Categories, number_in


@pytest.mark.parametrize(
    ("categories", "values", "expected"),
    [
        (Categories.of(["b", "a"]), ["a", "b", "c", ""], [1, 0, -1, -1]),
        (Categories.of([5, 0, 4]), [0, 4.0, True, 5, 5.5], [1, 2, -1, 0, -1]),
        (Categories.of([1, 0]), ["0", "1.0", "one"], [1, 0, -1]),  # names of codes are text
        (Categories.of(["1", "0"]), [1, "1"], [-1, 0]),
        (Categories.of([2**63, 2**63 + 1]), [2**63 + 1, float(2**63)], [1, 0]),
        (Categories(("0.5", "1.0"), is_text=False), [1, 0.5], [1, 0]),
    ],
)
def test_each_value_has_the_number_of_its_place(categories, values, expected):
    assert categories.numbers(values).tolist() == expected


def test_the_nearest_category_is_named():
    assert Categories.of(["T cell", "B cell"]).nearest("t-cell") == "the nearest known category is 'T cell'"
    assert Categories.of([0, 4, 5]).nearest(7) == "the nearest known category is '5'"
    assert Categories.of(["left", "right"]).nearest("4") == "known categories are left, right"


@pytest.mark.parametrize(
    ("count", "unknown", "dtype", "is_held"),
    [
        (2, None, "bool", True),
        (3, None, "bool", False),
        (128, -1, "int8", True),
        (129, None, "int8", False),
        (3, -1, "uint8", False),
        (256, 255, "uint8", True),
        (2049, None, "float16", True),
        (2050, None, "float16", False),
    ],
)
def test_a_type_must_hold_all_numbers(count, unknown, dtype, is_held):
    categories = Categories.of(list(range(count)), unknown)
    if is_held:
        categories.check_dtype("y", dtype)
    else:
        with pytest.raises(OptionError, match="cannot hold"):
            categories.check_dtype("y", dtype)


def test_a_number_is_read_from_text():
    assert [number_in(text) for text in ("4", "-1", "0.5", "4.0", "four", "")] == [
        4,
        -1,
        0.5,
        4.0,
        None,
        None,
    ]
