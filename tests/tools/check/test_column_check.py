"""Labels of columns that differ between files, as a scan tells of them."""

import dataclasses

import h5py
import numpy as np
import pytest
from check_runs import check_run

from h5lightning.planning.catalog.annotations import NOTHING, Annotations, AxisLabels
from h5lightning.tools.check.column_check import check_columns

GENES = AxisLabels(1, "var/_index", "text", 3, "abc", "abc")


@pytest.fixture
def result_of(tmp_path):
    """The result for three files whose field `x` has these labels."""

    def check(*labels, stored=()):
        for number in range(3):
            with h5py.File(tmp_path / f"{number}.h5", "w") as file:
                file["x"], file["y"] = np.ones((20, 3), "f4"), np.arange(20)
        said = [NOTHING, *(Annotations(labels=(one,)) for one in dict.fromkeys(labels))]
        with check_run(str(tmp_path / "*.h5")) as run:
            catalog = run.data.survey.catalog
            numbers = np.zeros_like(catalog.annotation_of)
            numbers[::2] = [said.index(Annotations(labels=(one,))) for one in labels]
            catalog = dataclasses.replace(catalog, annotations=tuple(said), annotation_of=numbers)
            found = dataclasses.replace(run.data.survey, catalog=catalog)
            data = dataclasses.replace(run.data, survey=found)
            return check_columns(dataclasses.replace(run, data=data, stored=frozenset(stored)))

    return check


def test_equal_labels_pass(result_of):
    result = result_of(GENES, GENES, GENES)
    assert (result.failures, result.note, result.scope) == ((), "", "1 axis with labels")


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
def test_columns_of_other_meaning_are_named(result_of, other, words):
    result = result_of(GENES, GENES, other)
    assert result.failures == (f"2.h5: axis 1 of '/x' has in '/var/_index' {words}",)
    accepted = result_of(GENES, GENES, other, stored=["x"])
    assert (accepted.failures, words in accepted.note) == ((), True)


def test_tiles_are_a_remark(result_of):
    tiles = [AxisLabels(1, "lat", "numbers", 3, name, name) for name in "abc"]
    result = result_of(*tiles)
    assert result.failures == ()
    assert result.note.count("other labels than in 0.h5") == 2


def test_files_without_labels(write_files):
    with check_run(write_files()) as run:
        assert check_columns(run).scope == "no axis with labels"
