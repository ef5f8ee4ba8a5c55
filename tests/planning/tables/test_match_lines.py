"""Lines find the files and series that they speak of, as a search line by line does."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.string_table import StringTable
from h5lightning.errors import OptionError, TableError
from h5lightning.options import Rows, Table
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.tables.match_files import match_files
from h5lightning.planning.tables.match_series import match_series, pair_lines
from h5lightning.planning.tables.table_lines import Column, TableLines


def lines_of(**columns):
    made = {name: Column.of_texts(name, texts) for name, texts in columns.items()}
    count = len(next(iter(columns.values())))
    return TableLines("t.csv", made, np.arange(2, count + 2))


def index_of(files):
    """An index of files, each with named series of one row; of one series without a name, if there is no name."""
    names, series = list(files), list(files.values())
    file_of = np.arange(len(names)).repeat([max(1, len(one)) for one in series])
    texts = [name for one in series for name in one]
    return SampleIndex(
        "/data",
        StringTable.of(names),
        file_of,
        np.ones(len(file_of), np.int64),
        Rows(),
        series_names=StringTable.of(texts) if texts else None,
        series_start=np.arange(len(file_of)) if texts else None,
    )


NAMES = ("a/x.h5", "a/y.h5", "b/z.h5", "c/w.tar.h5")
LEVELS = (str, os.path.basename, lambda name: os.path.splitext(os.path.basename(name))[0])


@given(
    st.sampled_from(LEVELS),
    st.lists(st.sampled_from([*NAMES, "other.h5", ""]), min_size=1, unique=True),
    st.integers(1, len(NAMES)),
)
def test_files_are_found_by_one_of_their_names(level, lines, count):
    known = NAMES[:count]
    found = match_files(
        lines_of(f=[level(line) for line in lines]), Table("t.csv", file="f"), StringTable.of(known)
    )
    assert found.file_of.tolist() == [known.index(line) if line in known else -1 for line in lines]
    assert found.files_without(np.arange(count)).tolist() == [
        i for i in range(count) if known[i] not in lines
    ]


def test_the_name_that_fits_most_files_counts():
    lines = lines_of(f=["a/x.h5", "y", "z"])
    found = match_files(lines, Table("t.csv", file="f"), StringTable.of(NAMES))
    assert (found.level, found.file_of.tolist()) == ("name without suffix", [-1, 1, 2])


def test_a_name_of_two_files_is_an_error():
    names = StringTable.of(["a/x.h5", "b/x.h5"])
    with pytest.raises(TableError, match=r"line 2 of t.csv names 'x'.*a/x.h5, b/x.h5\. Write their paths"):
        match_files(lines_of(f=["x"]), Table("t.csv", file="f"), names)
    assert match_files(lines_of(f=["./b/x.h5"]), Table("t.csv", file="f"), names).file_of.tolist() == [1]
    with pytest.raises(OptionError, match=r"table.file must name the column"):
        match_files(lines_of(f=["x"]), Table("t.csv"), names)


series_names = st.lists(
    st.sampled_from("pqrs"), min_size=1, max_size=4
)  # one value may come back, as in runs
cells = st.tuples(st.sampled_from(["a", "b", "c", "nofile"]), st.sampled_from("pqrst"))


@given(st.lists(series_names, min_size=1, max_size=3), st.lists(cells, unique=True, min_size=1, max_size=12))
def test_series_are_found_by_file_and_name(series, lines):
    files = dict(zip(("a.h5", "b.h5", "c.h5"), series, strict=False))
    index, table = index_of(files), Table("t.csv", file="f", series="s", on_missing="skip")
    every = lines_of(f=[file for file, _ in lines], s=[name for _, name in lines])
    matched = match_files(every, table, index.names)
    owners = [(file[:-3], name) for file, names in files.items() for name in names]
    expected = [lines.index(owner) if owner in lines else -1 for owner in owners]
    pairs = pair_lines(matched, table, index)
    assert sorted(zip(pairs.line.tolist(), pairs.series.tolist(), strict=True)) == sorted(
        (line, number) for number, line in enumerate(expected) if line >= 0
    )
    needed = np.ones(len(owners), np.bool_)
    if max(expected) >= 0:
        assert match_series(matched, table, index, needed).line_of.tolist() == expected
    if min(expected) < 0:
        with pytest.raises(TableError, match="no line: series"):
            match_series(matched, Table("t.csv", file="f", series="s"), index, needed)


def test_a_line_without_a_file_finds_a_series_that_one_file_has():
    index, table = index_of({"a.h5": ["p", "q"], "b.h5": ["q", "r"]}), Table("t.csv", series="s")
    matched = match_files(lines_of(s=["r", "p"]), table, index.names)
    assert pair_lines(matched, table, index).series.tolist() == [3, 0]
    matched = match_files(lines_of(s=["q"]), table, index.names)
    with pytest.raises(TableError, match=r"names the series 'q', which 2 files have: a.h5, b.h5"):
        pair_lines(matched, table, index)


def test_two_lines_of_one_file_are_an_error():
    index, table = index_of({"a.h5": [], "b.h5": []}), Table("t.csv", file="f")
    matched = match_files(lines_of(f=["a", "b", "a"]), table, index.names)
    with pytest.raises(TableError, match=r"lines 2 and 4 of t.csv speak of a.h5: one line may"):
        match_series(matched, table, index, np.ones(2, np.bool_))


def test_an_error_lists_what_is_left_on_both_sides():
    index, table = (
        index_of({f"{letter}.h5": [] for letter in "abcde"}),
        Table("t.csv", file="f"),
    )
    matched = match_files(lines_of(f=["a", "k", "l", "m", "n"]), table, index.names)
    with pytest.raises(TableError) as caught:
        match_series(matched, table, index, np.ones(5, np.bool_))
    assert str(caught.value) == (
        "the table t.csv: 4 files have no line: b.h5, c.h5, d.h5 and 1 more; 4 lines speak of no file: line 3 ('k'), "
        "line 4 ('l'), line 5 ('m') and 1 more. Add lines, correct the names in column 'f', which are matched by name "
        "without suffix, or leave out what has no line with table.on_missing='skip'"
    )
