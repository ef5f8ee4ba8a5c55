"""Names in a sorted table: each is found under its number, and others are not found."""

from hypothesis import example, given
from hypothesis import strategies as st

from h5lightning.core.sorted_names import SortedNames
from h5lightning.core.string_table import StringTable

# Bytes that are not valid Unicode come as surrogates, which are sorted before some other characters.
LETTERS = st.sampled_from("ab/\u00e9\udcff\ue000\U0001f600")
NAMES = st.lists(st.text(LETTERS, max_size=6), unique=True, max_size=150)


@given(NAMES, st.text(LETTERS, max_size=7))
@example(["a" * number for number in range(100)], "a" * 100)
@example([], "a")
@example(["", "b"], "a")
def test_each_name_has_its_number(names, other):
    names = sorted(names)
    found = SortedNames(StringTable.of(names))
    assert [found.find(name) for name in names] == [*range(len(names))]
    if other not in names:
        assert found.find(other) is None
