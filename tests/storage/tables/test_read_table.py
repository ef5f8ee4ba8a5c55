"""Tables are read as they are written, and what is wrong with one is said with its line."""

import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from h5lightning.errors import DiscoveryError, MissingExtraError, OptionError, TableError
from h5lightning.options import Table
from h5lightning.storage.tables.read_table import read_table


def read(path, *columns):
    return read_table(Table(str(path)), dict.fromkeys(columns, "a test"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.csv", 'name,note,n\nx,"one, two",1\n\n"y\nz",,2.5\n', id="csv"),
        pytest.param("a.CSV", '\ufeffname,note,n\r\nx,"one, two",1\r\n\r\n"y\nz",,2.5', id="bom and crlf"),
        pytest.param("a.tsv", 'name\tnote\tn\nx\tone, two\t1\n\n"y\nz"\t\t2.5\n', id="tsv"),
    ],
)
def test_text_tables_are_read_column_by_column(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    lines = read(tmp_path / name, "n", "note", "name")
    assert lines.columns["name"].texts == ["x", "y\nz"]
    assert lines.columns["note"].texts == ["one, two", None]
    assert lines.columns["n"].numbers.values.tolist() == [1.0, 2.5]
    assert lines.numbers.tolist() == [2, 4]  # as an editor counts them
    assert lines.where(1) == f"line 4 of {tmp_path / name}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a,b\n1,2\n3\n", "line 3 of .* has 1 cells, expected 2", id="few cells"),
        pytest.param(b"a,b\n1,2,3\n", "line 2 of .* has 3 cells, expected 2", id="many cells"),
        pytest.param(
            b"a,b\n\xff,2\n", "cannot be read as text: it is not UTF-8 .*; save it as UTF-8", id="latin"
        ),
        pytest.param(b'a,b\n"x,2\n', "cannot be read after line", id="open quote"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"a;b\n1;2\n", "must be divided by commas", id="semicolons"),
        pytest.param(b"a,b,a\n1,2,3\n", "has 2 columns 'a'", id="one name twice"),
        pytest.param(b"aa,b\n1,2\n", "no column 'a', which a test names; did you mean 'aa'", id="no column"),
    ],
)
def test_what_is_wrong_with_a_text_table_is_said(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError, match=message):
        read(tmp_path / "t.csv", "a")


def test_a_parquet_table_keeps_its_types(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["x", None, ""]),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            "whole": pa.array([1, None, 3], pa.int16()),
            "large": pa.array([2**63, 1, 2], pa.uint64()),
            "real": pa.array([0.5, float("nan"), None], pa.float32()),
            "flag": pa.array([True, False, True]),
            "day": pa.array([0, 1, 2], pa.date32()),
            "list": pa.array([[1], [2], [3]]),
        }
    )
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    names = [name for name in table.column_names if name != "list"]
    columns = read(tmp_path / "t.parquet", *names).columns
    assert columns["text"].texts == ["x", None, None]
    assert columns["kind"].texts == ["a", "b", "a"]
    assert columns["whole"].texts == ["1", None, "3"]
    assert columns["whole"].numbers.is_number.tolist() == [True, False, True]
    assert columns["large"].numbers.values.tolist() == [2**63, 1, 2]
    np.testing.assert_array_equal(columns["real"].numbers.values[:2], [0.5, np.nan])
    assert columns["real"].is_empty.tolist() == [False, False, True]
    assert columns["flag"].numbers.values.tolist() == [1, 0, 1]
    assert columns["flag"].numbers.are_whole
    assert columns["day"].texts == ["1970-01-01", "1970-01-02", "1970-01-03"]
    with pytest.raises(TableError, match=r"column 'list' of .* holds list"):
        read(tmp_path / "t.parquet", "list")


def test_files_that_are_no_table(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        read(tmp_path / "t.parquet", "a")
    with pytest.raises(TableError, match="No such file"):
        read(tmp_path / "none.csv", "a")
    with pytest.raises(OptionError, match=r"must end with \.csv, \.tsv or \.parquet"):
        read(tmp_path / "t.xlsx", "a")
    with pytest.raises(DiscoveryError, match="URL"):
        read("https://example.org/t.csv", "a")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"h5lightning\[parquet\]"):
        read(tmp_path / "t.parquet", "a")


@pytest.mark.parametrize(
    ("texts", "kind", "numbers"),
    [
        pytest.param(["1", " 2", "+3", "-4"], "i", [1, 2, 3, -4], id="whole"),
        pytest.param(["1", "2.0"], "f", [1, 2], id="a point makes it real"),
        pytest.param(["1e3", "-.5"], "f", [1000, -0.5], id="real"),
        pytest.param([str(2**53 + 1)], "i", [2**53 + 1], id="long"),
        pytest.param([str(2**70)], "f", [2.0**70], id="longer than any integer"),
        pytest.param(["7", "", "n/a", "1_000", "٣"], "i", [7, None, None, None, None], id="no numbers"),
    ],
)
def test_text_that_says_numbers(tmp_path, texts, kind, numbers):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f'"{text}",x\n' for text in texts), encoding="utf-8")
    found = read(tmp_path / "t.csv", "a").columns["a"].numbers
    assert found.values.dtype.kind == kind
    values = [
        value if is_number else None
        for value, is_number in zip(found.values.tolist(), found.is_number, strict=True)
    ]
    assert values == numbers
