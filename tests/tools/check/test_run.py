"""CheckRun: ids to check, and the layout of a field in each file."""

import h5py
import numpy as np
from check_runs import check_run

from h5lightning.options import Field
from h5lightning.tools.check.run import layout_in


def test_the_type_of_each_file(tmp_path):
    for number, dtype in enumerate(("<f4", ">f8", "<f4")):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["y"] = np.ones((20, 3), dtype), np.arange(20)
    fields = {"x": Field("x", dtype="float32"), "y": Field("y")}
    with check_run(str(tmp_path / "*.h5"), fields=fields) as run:
        x, y = run.fields_of(0).plans
        columns = [run.column_in(x, file) for file in range(3)]
    assert [column.dtype for column in columns] == ["<f4", ">f8", "<f4"]
    assert (columns[1].path, columns[1].row_shape) == ("x", (3,))
    assert layout_in(y, 2).encoding is None


def test_drawn_samples_are_spread_over_each_file(write_files):
    with check_run(write_files((1, 5, 300)), split=None, samples_per_file=8) as run:
        drawn = [run.drawn_ids(file).tolist() for file in range(3)]
        again = [run.drawn_ids(file).tolist() for file in range(3)]
    assert drawn == again
    assert drawn[:2] == [[0], [1, 2, 3, 4, 5]]
    rows = np.asarray(drawn[2]) - 6
    assert (rows[0], rows[-1]) == (0, 299)
    assert len(rows) == len(set(rows.tolist())) <= 9
    assert np.diff(rows).max() < 2 * 300 / 7
