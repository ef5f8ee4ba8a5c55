"""Windows that reach past the end of a file, and windows over the borders of series."""

import dataclasses

import h5py
import numpy as np
import pytest
from check_runs import check_run, ignore

from h5lightning.options import Split, Windows
from h5lightning.planning.catalog.annotations import Annotations, SeriesTable
from h5lightning.tools.check.border_check import check_borders

pytestmark = pytest.mark.timeout(60)
WINDOWS = Windows(4, dilation=2)
ALL = Split(None, None)


def check(run, samples=WINDOWS):
    return check_borders(run, samples, ignore)


def test_windows_that_fit_pass(write_files):
    with check_run(write_files(), samples=WINDOWS) as run:
        result = check(run)
    assert (result.failures, result.note) == ((), "")
    assert result.scope.startswith("8 files, ")


def test_windows_past_the_end_are_named(write_files):
    with check_run(write_files((40, 25)), samples=WINDOWS, split=ALL, samples_per_file=100) as run:
        result = check(run, Windows(4, dilation=3))
    assert len(result.failures) == 4
    assert result.failures[0] == "the window at run-000.h5 row 31 reaches past the 40 rows of '/x'"
    assert {failure.split()[3] for failure in result.failures} == {"run-000.h5", "run-001.h5"}


TABLES = {
    "ends": [10, 40],
    "offsets": [0, 10, 40],
    "starts": [0, 10],
    "lengths": [10, 30],
    "flags": np.arange(40) == 9,
    "runs": np.arange(40) // 10 * (np.arange(40) < 20),
}


@pytest.mark.parametrize("kind", TABLES)
def test_windows_over_accepted_borders_are_noted(tmp_path, kind):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"], file["table"] = np.ones((40, 3), "f4"), np.arange(40), TABLES[kind]

    with check_run(str(tmp_path / "a.h5"), samples=Windows(4), samples_per_file=100, split=ALL) as run:
        divided = Annotations(series=(SeriesTable(("table",), kind),))
        catalog = run.data.survey.catalog
        catalog = dataclasses.replace(
            catalog, annotations=(divided,), annotation_of=np.zeros_like(catalog.annotation_of)
        )
        found = dataclasses.replace(run.data.survey, catalog=catalog)
        result = check(dataclasses.replace(run, data=dataclasses.replace(run.data, survey=found)), Windows(4))
    assert result.failures == ()
    borders = 2 if kind == "runs" else 1
    assert result.note.startswith(f"{3 * borders} windows with rows of two series, divided by '/table'")
