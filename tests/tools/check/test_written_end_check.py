"""Files that were half written, which must be found and named; and files that only look alike."""

import h5py
import numpy as np
import pytest
from check_runs import ACCESS, check_run, ignore

from h5lightning.options import Field, Windows
from h5lightning.tools.check import check_files
from h5lightning.tools.check.written_end_check import check_written_ends

pytestmark = pytest.mark.timeout(60)
RNG = np.random.default_rng(0)
GZIP = {"chunks": (16, 3), "compression": "gzip"}


def write(folder, name="a.h5", rows=120, written=50, dtype="f4", row_shape=(3,), values=None, **options):
    """A file whose first rows of `x` were written, and all of `y`."""
    values = RNG.normal(size=(rows, *row_shape)) + 9 if values is None else values
    with h5py.File(folder / name, "w") as file:
        stored = file.create_dataset("x", (rows, *row_shape), dtype, **options)
        stored[:written] = values[:written].astype(dtype)
        if "chunks" in options:
            stored[written:] = stored.fillvalue
        file["y"] = RNG.integers(1, 5, rows)
    return str(folder / "*.h5")


def result_of(pattern, **options):
    with check_run(pattern, **options) as run:
        return check_written_ends(run, ignore)


@pytest.mark.parametrize("written", [1, 50, 119])
@pytest.mark.parametrize(
    "options",
    [{}, {"dtype": ">f8"}, {"dtype": "c8"}, GZIP, {**GZIP, "shuffle": True}, {"fillvalue": np.nan}],
    ids=["plain", "big-endian", "complex", "gzip", "gzip and shuffle", "filled with NaN"],
)
def test_the_file_and_its_first_row_are_named(tmp_path, written, options):
    write(tmp_path, "good.h5", written=120, **options)
    result = result_of(write(tmp_path, "half.h5", written=written, **options))
    assert len(result.failures) == 1
    assert result.failures[0].startswith("half.h5: '/x' holds nothing but the fill value")
    assert (
        f"from row {written} on ({120 - written} of 120 rows), and no row before does" in result.failures[0]
    )
    assert "access.on_missing='fill'" in result.failures[0]
    assert result.note == ""


def test_a_default_fill_value_of_netcdf(tmp_path):
    result = result_of(write(tmp_path, fillvalue=9.969209968386869e36))
    assert "fill value 9.96921e+36 from row 50 on" in result.failures[0]


def test_stored_values_count_where_others_are_delivered(tmp_path):
    pattern = write(tmp_path, "a.nc", fillvalue=9.969209968386869e36)
    with h5py.File(tmp_path / "a.nc", "r+") as file:
        file["x"].attrs["_FillValue"] = np.float32(9.969209968386869e36)
    fields = {"x": Field("x", decode="cf"), "y": Field("y")}
    result = result_of(pattern.replace(".h5", ".nc"), fields=fields)
    assert "'/x' holds nothing but the fill value 9.96921e+36 from row 50 on" in result.failures[0]


def test_a_file_of_more_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr("h5lightning.tools.check.written_end_check._BYTES_AT_ONCE", 7 * 12)
    for written in (1, 49, 50, 56, 57):
        result = result_of(write(tmp_path, written=written))
        assert f"from row {written} on" in result.failures[0]


def test_a_column_of_a_table(tmp_path):
    rows = np.zeros(120, [("t", "f8"), ("name", "S4"), ("charge", "i4")])
    rows["t"][:50] = np.arange(50) + 1
    rows["charge"] = 1
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = rows
    fields = {"x": Field("events", member="t"), "y": Field("events", member="charge")}
    result = result_of(str(tmp_path / "a.h5"), fields=fields)
    assert [failure.partition(" holds")[0] for failure in result.failures] == ["a.h5: '/events' (column 't')"]


def test_windows_that_share_a_dataset_name_it_once(tmp_path):
    fields = {"x": Field("x", steps=(0, 3)), "y": Field("x", steps=(3, 4))}
    result = result_of(write(tmp_path), fields=fields, samples=Windows(4))
    assert len(result.failures) == 1


ELSEWHERE = np.where(np.arange(120)[:, None] % 7 == 3, 0, RNG.normal(size=(120, 3)))
REMARKS = {
    "integers": ({"dtype": "i4"}, "from row 50 on (70 of 120 rows), and no row before does"),
    "rows of zeros before": ({"values": ELSEWHERE}, "from row 50 on (70 of 120 rows), and so do other rows"),
    "zeros everywhere": ({"written": 0, **GZIP}, "'/x' holds nothing but the fill value 0.0"),
}


@pytest.mark.parametrize(("options", "words"), REMARKS.values(), ids=REMARKS)
def test_remarks(tmp_path, options, words):
    result = result_of(write(tmp_path, **options))
    assert result.failures == ()
    assert words in result.note


HONEST = {
    "floats": {"written": 120},
    "a last row that is zero in places": {
        "values": np.concatenate([np.ones((119, 3)), [[0, 0, 1]]]),
        "written": 120,
    },
    "minus zero": {"values": np.concatenate([np.ones((119, 3)), [[-0.0] * 3]]), "written": 120},
    "zeros where the fill value is NaN": {"values": np.zeros((120, 3)), "written": 120, "fillvalue": np.nan},
    "labels that end with zero": {"dtype": "i4", "values": ELSEWHERE, "written": 100},
    "rows of width zero": {"row_shape": (0,)},
}


@pytest.mark.parametrize("options", HONEST.values(), ids=HONEST)
def test_honest_files_pass_without_a_remark(tmp_path, options):
    result = result_of(write(tmp_path, **options))
    assert (result.failures, result.note) == ((), "")


def test_one_row_of_zeros_is_a_remark(tmp_path):
    write(tmp_path, "a.h5", written=120)
    result = result_of(write(tmp_path, "b.h5", rows=1, written=1, values=np.zeros((1, 3))))
    assert result.failures == ()
    assert result.note.startswith("b.h5: '/x' holds nothing but")


def test_many_remarks_are_cut(tmp_path):
    for number in range(5):
        pattern = write(tmp_path, f"{number}.h5", dtype="i4")
    assert result_of(pattern).note.endswith("; and 2 more")


def test_fill_accepts_it(tmp_path):
    pattern, fields = write(tmp_path), {"x": Field("x"), "y": Field("y")}
    names = [result.name for result in check_files([pattern], fields).results]
    assert "files are written to their end" in names
    accepted = check_files([pattern], fields, access=ACCESS.__class__(on_missing="fill"))
    assert accepted.has_passed
    assert "files are written to their end" not in [result.name for result in accepted.results]
