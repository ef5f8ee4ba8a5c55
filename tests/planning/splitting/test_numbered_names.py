"""NumberedNames: names as numbers, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.planning.splitting.numbered_names import NumberedNames


@pytest.mark.parametrize(
    ("names", "name", "digits", "numbers"),
    [
        pytest.param(["demo_0", "demo_9", "demo_10"], "demo_*", 1, [0, 9, 10], id="natural numbers"),
        pytest.param(["7"], "*", 1, [7], id="one number"),
        pytest.param(["007", "012"], "*", 3, [7, 12], id="filled with zeros"),
        pytest.param(["v2_1_obs", "v2_13_obs"], "v2_*_obs", 1, [1, 13], id="another number before"),
        pytest.param(["12_3", "12_4"], "12_*", 1, [3, 4], id="a number first"),
        pytest.param(["é3", "é4"], "é*", 1, [3, 4], id="other letters"),
        pytest.param([f"a{10**17}", "a0"], "a*", 1, [10**17, 0], id="18 digits"),
    ],
)
def test_names_become_numbers(names, name, digits, numbers):
    found = NumberedNames.of(StringTable.of(names))
    assert found is not None
    assert (found.name, found.digits, found.numbers.tolist()) == (name, digits, numbers)
    assert list(found.names()) == names


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([], id="none"),
        pytest.param(["demo"], id="no number"),
        pytest.param(["demo_1", "test_2"], id="two texts"),
        pytest.param(["demo_1", "demo_02"], id="zeros of some"),
        pytest.param(["demo_1", "demo_"], id="a number is missing"),
        pytest.param(["demo_1", "demo_x"], id="no digit"),
        pytest.param(["a*1"], id="a star"),
        pytest.param(["a" + "1" * 19], id="too many digits"),
        pytest.param(["a1", "b1"], id="another text of the same length"),
    ],
)
def test_other_names_stay_texts(names):
    assert NumberedNames.of(StringTable.of(names)) is None


@given(st.lists(st.text("a0123-é*", max_size=6), max_size=5))
def test_names_come_back(names):
    table = StringTable.of(names)
    found = NumberedNames.of(table)
    assert found is None or found.names() == table


@given(st.lists(st.integers(0, 10**17)), st.text("ab_", max_size=3), st.integers(1, 4))
def test_numbers_come_back(numbers, text, digits):
    names = NumberedNames(f"{text}*{text}", digits, np.asarray(numbers, dtype=np.int64)).names()
    assert list(names) == [f"{text}{number:0{digits}}{text}" for number in numbers]
