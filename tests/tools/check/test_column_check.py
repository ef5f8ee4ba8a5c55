"""Labels of columns that differ between files, as a scan tells of them."""

import dataclasses

import h5py
import numpy as np
import pytest
from cases import case_of

from h5lightning.planning.catalog.annotations import NOTHING, Annotations, AxisLabels
from h5lightning.tools.check.column_check import prove_columns

GENES = AxisLabels(1, "var/_index", "text", 3, "abc", "abc")


@pytest.fixture
def outcome_of(tmp_path):
    """The outcome for three files whose field `x` has these labels."""

    def prove(*labels, stored=()):
        for number in range(3):
            with h5py.File(tmp_path / f"{number}.h5", "w") as file:
                file["x"], file["y"] = np.ones((20, 3), "f4"), np.arange(20)
        said = [NOTHING, *(Annotations(labels=(one,)) for one in dict.fromkeys(labels))]
        with case_of(str(tmp_path / "*.h5")) as case:
            catalog = case.assembly.survey.catalog
            numbers = np.zeros_like(catalog.annotation_of)
            numbers[::2] = [said.index(Annotations(labels=(one,))) for one in labels]
            catalog = dataclasses.replace(catalog, annotations=tuple(said), annotation_of=numbers)
            found = dataclasses.replace(case.assembly.survey, catalog=catalog)
            assembly = dataclasses.replace(case.assembly, survey=found)
            return prove_columns(dataclasses.replace(case, assembly=assembly, stored=frozenset(stored)))

    return prove


def test_equal_labels_pass(outcome_of):
    outcome = outcome_of(GENES, GENES, GENES)
    assert (outcome.failures, outcome.note, outcome.scope) == ((), "", "1 axis with labels")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (dataclasses.replace(GENES, in_order="acb"), "the same labels in another order than in 0.h5"),
        (dataclasses.replace(GENES, in_order="abd", as_set="abd"), "other labels than in 0.h5"),
        (
            dataclasses.replace(GENES, kind="numbers", in_order="acb"),
            "the same labels in another order than in 0.h5",
        ),
    ],
    ids=["order", "names", "order of numbers"],
)
def test_columns_of_other_meaning_are_named(outcome_of, other, words):
    outcome = outcome_of(GENES, GENES, other)
    assert outcome.failures == (f"2.h5: axis 1 of '/x' has in '/var/_index' {words}",)
    accepted = outcome_of(GENES, GENES, other, stored=["x"])
    assert (accepted.failures, words in accepted.note) == ((), True)


def test_tiles_are_a_remark(outcome_of):
    tiles = [AxisLabels(1, "lat", "numbers", 3, name, name) for name in "abc"]
    outcome = outcome_of(*tiles)
    assert outcome.failures == ()
    assert outcome.note.count("other labels than in 0.h5") == 2


def test_files_without_labels(write_files):
    with case_of(write_files()) as case:
        assert prove_columns(case).scope == "no axis with labels"
