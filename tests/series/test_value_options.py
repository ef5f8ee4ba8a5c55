"""Categories, tables, conditions, groups of rows and normalisation: the contract by hand, and tests of the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judging import conditions, scaling
from judging.contract import Contract, Sample
from judging.disagreement import DisagreementError
from judging.divisions import RefusedError
from judging.judge import judge
from judging.labels import FORMS, Labels
from judging.options import Case
from judging.scaling import Statistics, statistics_of
from judging.trees import FileTree, Storage, Stored, Tree
from judging.vocabularies import UNKNOWN, Vocabularies

NAN = float("nan")
VALUES = (1.0, 2.0, NAN, 4.0, 6.0, 5.0)
KINDS = ("left", "right", "left", "up", "up", "left")


def labels(path: str, form: str, values: tuple, names: tuple | None = None) -> Labels:
    return Labels(
        path, form, values, names or tuple(dict.fromkeys(v for v in values if v is not None)), (6,), Storage()
    )


TREE = Tree(
    tuple(
        (
            f"data{number}.h5",
            FileTree(
                (
                    Stored("x", (6, 2), "<i2", 10 * number),
                    Stored("energy", (6,), "<f8", values=VALUES),
                    Stored("valid", (6,), "|u1", values=(1, 1, 0, 1, 1, 0)),
                    labels("kind", "text", KINDS),
                    labels("donor", "numbers:<i4", (4, 4, 7, 7, 9 + number, 9 + number)),
                )
            ),
        )
        for number in range(2)
    ),
    ((("labels.csv"), ("slide", "grade", "case"), (("data0", "low", "a"), ("data1", "high", "b"))),),
)
CASE = Case(
    TREE,
    {
        "x": "x",
        "kind": {"path": "kind", "categories": True},
        "grade": {"path": "table:grade", "categories": True},
    },
    where={"energy": "finite"},
    normalize={"x": "standard"},
    table={"path": "labels.csv", "file": "slide"},
    split={"by": "block", "val": 0.3, "test": None},
    options={"batch_size": 3, "seed": 0},
)
GROUPED = replace(CASE, split={"keep_together": "field:donor", "val": 0.3, "test": None}, where=None)


@pytest.fixture(name="contract")
def _contract(tmp_path) -> Contract:
    return Contract(CASE, TREE.write(str(tmp_path)))


# ── the contract, by hand ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", [form for forms in FORMS.values() for form in forms])
def test_values_mean_what_was_written(tmp_path, form):
    names = (
        ("b", "a", "c") if form in FORMS["text"] else (False, True) if form in FORMS["bool"] else (7, 0, 300)
    )
    values = (names[1], names[0], names[0], names[-1], names[1], names[1])
    written = labels("kind", form, values, names)
    tree = Tree((("a.h5", FileTree((Stored("x", (6,), "<f4"), written))),))
    options = {"path": "kind", "member": written.member} if written.member else {"path": "kind"}
    case = Case(tree, {"x": "x", "kind": {**options, "categories": True}})
    found = Contract(case, tree.write(str(tmp_path)))
    field, wanted = found.fields["kind"], sorted(names)
    assert found.vocabularies.of(field) == wanted
    samples = case.stage_samples["train"]
    numbers = [found.value("kind", Sample(0, row), samples, (0, 6)).item() for row in range(6)]
    assert [wanted[number] for number in numbers] == list(values)


def test_categories_of_the_contract(contract):
    assert contract.vocabularies.of(contract.fields["kind"]) == ["left", "right", "up"]
    assert contract.vocabularies.of(contract.fields["grade"]) == ["high", "low"]
    some = replace(contract.fields["kind"], categories=("up", "left"))
    assert contract.vocabularies.numbers(some, np.array(["left", "right"], object)).tolist() == [1, UNKNOWN]
    known = replace(some, unknown=7)
    assert contract.vocabularies.numbers(known, np.array(["left", None], object)).tolist() == [1, 7]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"energy": "finite"}, [0, 1, 3, 4, 5]),
        ({"energy": (2.0, 6.0)}, [1, 3, 5]),
        ({"energy": (None, 2.0)}, [0]),
        ({"valid": True}, [0, 1, 3, 4]),
        ({"kind": ["left", "up"]}, [0, 2, 3, 4, 5]),
        ({"kind": ["left"], "energy": "finite"}, [0, 5]),
        ({"x": (None, 6)}, [0, 1, 2]),
    ],
)
def test_conditions_of_the_contract(tmp_path, where, rows):
    case = replace(CASE, where=where, normalize=None)
    found = Contract(case, TREE.write(str(tmp_path)))
    assert np.flatnonzero(found.counting(0)).tolist() == rows
    assert list(found.ids_of("train", {0: [(0, 6)]})) == rows


def test_windows_with_a_row_that_fails_are_left_out(tmp_path):
    case = replace(CASE, samples={"length": 2, "dilation": 2}, normalize=None)
    found = Contract(case, TREE.write(str(tmp_path)))
    assert list(found.ids_of("train", {0: [(0, 6)]})) == [1, 3]  # of 0, 1, 2, 3: row 2 fails


@pytest.mark.parametrize(
    ("way", "mean", "count"),
    [
        ("standard", [2.0, 3.0], [3, 3]),
        ({"per": "all"}, [2.5], [6]),
        ({"where": "valid"}, [1.0, 2.0], [2, 2]),
    ],
)
def test_statistics_of_the_contract(tmp_path, way, mean, count):
    fields = {"x": "x", "valid": "valid"}
    case = replace(CASE, fields=fields, normalize={"x": way})
    found = statistics_of(Contract(case, TREE.write(str(tmp_path))), "x", [(0, 0), (0, 1), (0, 2)])
    np.testing.assert_array_equal(found.values["mean"], mean)
    np.testing.assert_array_equal(found.values["count"], count)


@pytest.mark.parametrize(
    "lines",
    [
        (("data0", "low", "a"),),
        (("data0", "low", "a"), ("data1", "low", "a"), ("data1", "high", "b")),
        (("data0", "low", "a"), ("data7", "high", "b")),
    ],
)
def test_tables_of_the_contract_that_do_not_fit(tmp_path, lines):
    tree = replace(TREE, tables=(("labels.csv", ("slide", "grade", "case"), lines),))
    with pytest.raises(RefusedError):
        Contract(replace(CASE, tree=tree), tree.write(str(tmp_path)))


# ── the judge finds what is wrong ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", [CASE, GROUPED], ids=["block", "groups"])
def test_cases_of_these_options_are_right(case):
    assert judge(case) == "right"


@pytest.mark.parametrize(
    ("of", "name", "change"),
    [
        (Vocabularies, "of", lambda found: found[::-1]),
        (conditions, "_holds", lambda found: True),
        (scaling, "_arranged", lambda found: found * 1.001 if found.dtype.kind == "f" else found),
        (Statistics, "apply", lambda found: found + 1e-3),
    ],
    ids=["categories", "conditions", "statistics", "numbers"],
)
def test_what_differs_is_found(monkeypatch, of, name, change):
    original = getattr(of, name)
    monkeypatch.setattr(of, name, lambda *args, **options: change(original(*args, **options)))
    with pytest.raises(DisagreementError):
        judge(CASE)


def test_groups_in_two_splits_are_found(monkeypatch):
    original = Contract.group_of
    monkeypatch.setattr(Contract, "group_of", lambda self, *place: original(self, *place) in (4, 7))
    with pytest.raises(DisagreementError, match="group"):
        judge(GROUPED)
