"""How the rows of two datasets differ, as text."""

import dataclasses

import pytest
from schemas import FRAMES, SCALAR, SPECIES, TABLE, TEXT

from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.planning.catalog.schema_difference import explain_difference

V, SITE = Member("v", "<f4", (3,)), Member("site", "text of 4 bytes", refusal="holds text of 4 bytes")
KIND = Member("kind", "|u1", (), ("cat", "dog"))
ARRAYS = DatasetSchema("t", "compound", (5, 2), members=(V, SITE, KIND))


def with_members(*members, **changes):
    return dataclasses.replace(ARRAYS, members=members, **changes)


@pytest.mark.parametrize(
    ("other", "member", "message"),
    [
        (with_members(V, KIND), "v", ""),
        (with_members(V, dataclasses.replace(SITE, dtype="text of 9 bytes"), KIND), None, ""),
        (with_members(dataclasses.replace(V, dtype=">f4"), KIND), "v", ""),
        (
            with_members(dataclasses.replace(V, shape=(3, 2)), shape=(9,)),
            "v",
            "has rows of shape (3, 2), expected (2, 3)",
        ),
        (with_members(dataclasses.replace(V, shape=(2, 3)), shape=(9,)), "v", ""),
        (with_members(dataclasses.replace(V, dtype="<f8"), KIND), "v", "has dtype <f8, expected <f4"),
        (with_members(dataclasses.replace(V, dtype="<f8"), KIND), "kind", ""),
        (
            with_members(V, dataclasses.replace(KIND, categories=("dog", "cat"))),
            "kind",
            "has categories [dog, cat], expected [cat, dog]",
        ),
        (
            with_members(V, dataclasses.replace(KIND, categories=("dog", "cat"))),
            None,
            "has a column 'kind' that has categories [dog, cat], expected [cat, dog]",
        ),
        (
            with_members(V, dataclasses.replace(KIND, categories=None, vocabulary="9 names")),
            "kind",
            "has categories 9 names, expected [cat, dog]",
        ),
        (
            with_members(KIND),
            "v",
            "has columns compound {kind: |u1}, expected compound {v: (3,)<f4, site: text of 4 bytes, kind: |u1}",
        ),
    ],
    ids=[
        "other columns",
        "length of text",
        "byte order",
        "longer rows",
        "rows of one shape",
        "type",
        "type of another column",
        "order of categories",
        "order of categories of any column",
        "many categories",
        "no such column",
    ],
)
def test_only_the_column_of_the_field_is_compared(other, member, message):
    assert explain_difference(other, ARRAYS, member) == message


def test_categories_may_differ_where_codes_are_asked_for():
    other = with_members(V, dataclasses.replace(KIND, categories=("dog", "cat")))
    assert explain_difference(other, ARRAYS, "kind", any_categories=True) == ""
    assert explain_difference(other, ARRAYS, "kind", any_type=True) != ""


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (FRAMES, {"path": "b", "chunks": None, "filters": (), "shape": (1, 4, 2)}, ""),
        (FRAMES, {"dtype": "<f8"}, "has dtype <f8, expected <f4"),
        (FRAMES, {"shape": (9, 4)}, "has rows of shape (4,), expected (4, 2)"),
        (FRAMES, {"shape": (9, 2, 4)}, "has rows of shape (2, 4), expected (4, 2)"),
        (FRAMES, {"shape": ()}, "is a scalar, expected rows"),
        (SCALAR, {"shape": (3,)}, "has rows, expected a scalar"),
        (
            TABLE,
            {"members": (Member("t", "<f8"),)},
            "has dtype compound {t: <f8}, expected compound {t: <f8, id: <i2}",
        ),
        (SPECIES, {"categories": ("dog", "cat")}, "has categories [dog, cat], expected [cat, dog]"),
        (SPECIES, {"categories": None}, "has categories none, expected [cat, dog]"),
        (
            SPECIES,
            {"categories": tuple("abcdefgh")},
            "has categories [a, b, c, d, e, f and 2 more], expected [cat, dog]",
        ),
        (FRAMES, {"refusal": "is external"}, "cannot be a field: is external"),
        (TEXT, {"refusal": ""}, "can be a field: variable-length text"),
    ],
    ids=[
        "what a batch does not see",
        "dtype",
        "number of axes",
        "axes",
        "scalar",
        "no scalar",
        "columns",
        "order of categories",
        "no categories",
        "many categories",
        "refused",
        "not refused",
    ],
)
def test_a_difference_names_what_was_found_and_what_is_expected(base, changes, message):
    assert explain_difference(dataclasses.replace(base, **changes), base) == message
