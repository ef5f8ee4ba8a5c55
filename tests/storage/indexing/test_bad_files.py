"""Bad files: an error, or left out and listed, up to a share of all."""

from __future__ import annotations

import pytest

from h5lightning.errors import BadFileError, ChecksumError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.storage.hdf5.file_checks import leave_out_hint
from h5lightning.storage.indexing.bad_files import check_bad

SKIP = Access(on_bad_file="skip", max_bad_fraction=0.1)


def bad(*names: str) -> list[SkippedFile]:
    return [SkippedFile(name, f"/data/runs/{name} is empty; {leave_out_hint(name)}") for name in names]


def check(
    files: list[SkippedFile], number: int, access: Access = SKIP, **options: object
) -> tuple[SkippedFile, ...]:
    return check_bad(files, number, access, root="/data/runs", **options)


def test_no_bad_file_is_nothing_to_say(caplog) -> None:
    assert check([], 10) == ()
    assert caplog.text == ""


def test_lists_say_nothing_of_where_files_lie_nor_how_to_leave_them_out() -> None:
    (listed,) = check(bad("a.h5"), 10)
    assert listed == SkippedFile("a.h5", "a.h5 is empty")


def test_the_limit_is_what_may_be_left_out() -> None:
    assert len(check(bad("a.h5", "b.h5"), 20)) == 2
    with pytest.raises(
        BadFileError, match=r"2 of 19 files are bad, over access\.max_bad_fraction=0\.1: a\.h5: a"
    ):
        check(bad("a.h5", "b.h5"), 19)


def test_files_that_were_left_out_before_count() -> None:
    with pytest.raises(ChecksumError, match="3 of 20 files are bad"):
        check(bad("a.h5"), 20, earlier=2, error=ChecksumError)


def test_an_error_names_the_first_and_counts_the_others() -> None:
    with pytest.raises(BadFileError, match=r"^/data/runs/a\.h5 is empty.*\(2 of 20 files are bad\)$"):
        check(bad("a.h5", "b.h5"), 20, Access())


def test_nothing_but_bad_files_is_an_error_whatever_the_limit() -> None:
    with pytest.raises(BadFileError, match=r"a\.h5 is empty"):
        check(bad("a.h5"), 1, Access(on_bad_file="skip", max_bad_fraction=1))


def test_many_are_counted_and_a_few_named(caplog) -> None:
    check(bad(*(f"{number}.h5" for number in range(10))), 100)
    assert "10 of 100 files are left out: 0.h5: 0.h5 is empty; " in caplog.text
    assert caplog.text.rstrip().endswith("more")
