"""The catalog of the files: only what is new or changed is opened."""

from __future__ import annotations

import logging
import os

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, ChecksumError
from h5lightning.options import Access
from h5lightning.planning.catalog.catalog import SkippedFile
from h5lightning.storage.discovery import discover
from h5lightning.storage.hdf5.file_checks import leave_out_hint
from h5lightning.storage.indexing.build_catalog import build_catalog, check_bad
from h5lightning.storage.scanning import ScanRequest, scan_file

REQUEST = ScanRequest(("x", "y"), ("@number",))
SKIP = Access(on_bad_file="skip", max_bad_fraction=0.5)


@pytest.fixture
def folder(tmp_path):
    """Twelve files of growing length."""
    directory = tmp_path / "runs"
    directory.mkdir()
    for number in range(12):
        write(directory / f"{number:02}.h5", number)
    return directory


def write(path, number, dtype="f4"):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((number + 1, 2), dtype)
        file["y"] = np.zeros(number + 1)
        file.attrs["number"] = number


def build(folder, access=Access(), request=REQUEST, **options):  # noqa: B008  # frozen
    return build_catalog(discover(str(folder / "*.h5")), request, access=access, progress=False, **options)


def check(build, folder):
    """The catalog says of each file what a fresh scan says."""
    catalog = build.catalog
    assert [*catalog.names] == sorted(set(os.listdir(folder)) - {skipped.name for skipped in catalog.skipped})
    for file, schema in enumerate(catalog.schemas()):
        assert schema == scan_file(catalog.path(file), REQUEST)
        assert catalog.stamps[file, 0] == os.stat(catalog.path(file)).st_size
        extents = [
            catalog.extents[position] for position in range(*catalog.first_fact[file : file + 2].tolist())
        ]
        assert extents == [*scan_file(catalog.path(file), REQUEST).extents]
        assert None not in extents


def test_first_time_all_are_scanned_then_none(folder):
    first, second = build(folder), build(folder)
    assert first.catalog.extents == second.catalog.extents == first.catalog.extents.origin()
    assert (first.scanned, first.reused) == (12, 0)
    assert (second.scanned, second.reused) == (0, 12)
    check(second, folder)


def rewrite(folder):
    write(folder / "03.h5", 40)


def change_type(folder):
    write(folder / "05.h5", 5, "f8")


def touch(folder):
    os.utime(folder / "05.h5")


def rewrite_with_the_same_times(folder):
    path = folder / "03.h5"
    before = os.stat(path)
    with h5py.File(path, "r+") as file:
        file.attrs["number"] = 77
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_size == before.st_size


def add(folder):
    write(folder / "02a.h5", 3)


def remove(folder):
    (folder / "04.h5").unlink()


def rename(folder):
    (folder / "04.h5").rename(folder / "99.h5")


def all_at_once(folder):
    for change in (rewrite, change_type, add, remove):
        change(folder)


CHANGES = {
    "rewritten": (rewrite, 1),
    "other-type": (change_type, 1),
    "touched": (touch, 1),
    "same-size-and-time": (rewrite_with_the_same_times, 1),
    "added": (add, 1),
    "removed": (remove, 0),
    "renamed": (rename, 1),
    "all": (all_at_once, 3),
}


@pytest.mark.parametrize(("change", "scanned"), CHANGES.values(), ids=CHANGES)
def test_only_what_changed_is_scanned(folder, change, scanned):
    build(folder)
    change(folder)
    again = build(folder)
    assert (again.scanned, again.scanned + again.reused) == (scanned, len(os.listdir(folder)))
    check(again, folder)
    assert build(folder).scanned == 0


@pytest.fixture
def linked(folder):
    """Two of the files take ``x`` from others, one of them from the same file as another."""
    sources = folder.parent / "sources"
    sources.mkdir()
    write(sources / "s.h5", 4)
    write(sources / "t.h5", 5)
    for number, source in ((3, "s"), (4, "s"), (5, "t")):
        with h5py.File(folder / f"{number:02}.h5", "r+") as file:
            del file["x"]
            file["x"] = h5py.ExternalLink(f"../sources/{source}.h5", "/x")
    return ScanRequest(("x", "y"), ("@number",), allow_external=str(folder.parent))


def test_files_whose_sources_changed_are_scanned_again(folder, linked):
    def start():
        found = build(folder, request=linked)
        return found.scanned, found.catalog.facts_of("x")[3:6, 0].tolist()

    assert start() == (12, [5, 5, 6])
    assert start() == (0, [5, 5, 6])
    write(folder.parent / "sources" / "s.h5", 7)
    assert start() == (2, [8, 8, 6])
    assert start() == (0, [8, 8, 6])
    os.rename(folder.parent / "sources" / "t.h5", folder.parent / "sources" / "away")
    assert start()[0] == 1
    assert start()[0] == 0
    os.rename(folder.parent / "sources" / "away", folder.parent / "sources" / "t.h5")
    assert start() == (1, [8, 8, 6])
    remove(folder)
    assert build(folder, request=linked).scanned == 0


def test_unused_layouts_are_forgotten(folder):
    change_type(folder)
    assert len(build(folder).catalog.layouts) == 2
    (folder / "05.h5").unlink()
    assert len(build(folder).catalog.layouts) == 1


def test_another_request_is_another_catalog(folder):
    build(folder)
    other = build(folder, request=ScanRequest(("x",)))
    assert (other.scanned, other.reused) == (12, 0)
    assert build(folder).scanned == 0


def test_index_directory(folder, tmp_path):
    build(folder, index_dir=tmp_path / "index")
    assert len(os.listdir(tmp_path / "index")) == 1
    assert build(folder, index_dir=tmp_path / "index").scanned == 0
    assert build(folder, index_dir=tmp_path / "other").scanned == 12


def test_index_that_cannot_be_kept(folder, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        built = build(folder, index_dir=tmp_path / "file")
        assert (built.scanned, built.catalog.extents.known, built.catalog.extents.origin) == (12, 24, None)
    assert "each start will scan the files again" in caplog.text


def cut_off(path):
    os.truncate(path, 200)


def flip_last_byte(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 0x40]))


@pytest.mark.parametrize("damage", [cut_off, flip_last_byte])
def test_damaged_index_is_made_anew(folder, tmp_path, damage):
    build(folder, index_dir=tmp_path / "index")
    (name,) = os.listdir(tmp_path / "index")
    damage(tmp_path / "index" / name)
    assert build(folder, index_dir=tmp_path / "index").scanned == 12
    assert build(folder, index_dir=tmp_path / "index").scanned == 0


# ── bad files ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def two_bad(folder):
    """The folder, with one empty and one truncated file."""
    os.truncate(folder / "01.h5", 0)
    os.truncate(folder / "08.h5", 1000)
    return folder


def test_bad_files_are_an_error_that_counts_them(two_bad):
    with pytest.raises(BadFileError, match=r"01\.h5.*is empty.*\(2 of 12 files are bad\)"):
        build(two_bad)


def test_after_an_error_only_bad_files_are_scanned_again(two_bad):
    with pytest.raises(BadFileError):
        build(two_bad)
    write(two_bad / "01.h5", 1)
    write(two_bad / "08.h5", 8)
    again = build(two_bad)
    assert (again.scanned, again.reused) == (2, 10)
    check(again, two_bad)


def test_skipped_files_are_listed_with_their_reasons(two_bad, caplog):
    with caplog.at_level(logging.WARNING):
        found = build(two_bad, SKIP)
    assert (len(found.catalog), found.scanned) == (10, 12)
    assert [skipped.name for skipped in found.catalog.skipped] == ["01.h5", "08.h5"]
    assert "is empty" in found.catalog.skipped[0].reason
    assert "2 of 12 files are left out" in caplog.text
    check(found, two_bad)


def test_skipped_files_are_tried_again(two_bad):
    build(two_bad, SKIP)
    again = build(two_bad, SKIP)
    assert (again.scanned, again.reused, len(again.catalog.skipped)) == (2, 10, 2)
    write(two_bad / "01.h5", 1)
    mended = build(two_bad, SKIP)
    assert (len(mended.catalog), [skipped.name for skipped in mended.catalog.skipped]) == (11, ["08.h5"])
    check(mended, two_bad)


def test_skipped_files_that_are_gone_are_forgotten(two_bad):
    build(two_bad, SKIP)
    (two_bad / "01.h5").unlink()
    (two_bad / "08.h5").unlink()
    found = build(two_bad)
    assert (found.scanned, found.reused, found.catalog.skipped) == (0, 10, ())


def test_nothing_but_bad_files_is_an_error_in_any_case(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.h5").write_bytes(b"")
    with pytest.raises(BadFileError, match="3 of 3 files are bad"):
        build_catalog(discover([str(tmp_path / f"{number}.h5") for number in range(3)]), REQUEST, access=SKIP)


# ── folders that cannot be listed ────────────────────────────────────────────────────────────────────


def build_below(folder, access):
    return build_catalog(discover(str(folder / "**" / "*.h5")), REQUEST, access=access, progress=False)


@pytest.fixture
def shut_below(folder, shut):
    (folder / "below").mkdir()
    write(folder / "below" / "a.h5", 3)
    shut(folder / "below")
    return folder


@pytest.mark.parametrize("times", [1, 2], ids=["first start", "from the index"])
def test_a_folder_that_cannot_be_listed_is_an_error_as_a_file_is(shut_below, times):
    if times == 2:
        build_below(shut_below, SKIP)
    with pytest.raises(BadFileError, match=r"below' cannot be listed: Permission denied\..*on_bad_file=skip"):
        build_below(shut_below, Access())
    with pytest.raises(
        BadFileError, match=r"1 of 13 files are bad, over access\.max_bad_fraction=0\.01: below"
    ):
        build_below(shut_below, Access(on_bad_file="skip"))


def test_or_it_is_left_out_and_listed(shut_below, caplog):
    for scanned in (12, 0):
        found = build_below(shut_below, SKIP)
        ((name, reason),) = ((one.name, one.reason) for one in found.catalog.skipped)
        assert (len(found.catalog), found.scanned, name) == (12, scanned, "below")
        assert reason.startswith("the directory 'below' cannot be listed: Permission denied. ")
        assert "on_bad_file" not in reason
    assert "1 of 13 files are left out: below" in caplog.text
    os.truncate(shut_below / "01.h5", 0)
    found = build_below(shut_below, SKIP)
    assert [one.name for one in found.catalog.skipped] == ["below", "01.h5"]
    limit = Access(on_bad_file="skip", max_bad_fraction=1 / 13)
    with pytest.raises(BadFileError, match="2 of 13 files are bad"):
        build_below(shut_below, limit)


SKIP_TENTH = Access(on_bad_file="skip", max_bad_fraction=0.1)


def bad(*names: str) -> list[SkippedFile]:
    return [SkippedFile(name, f"/data/runs/{name} is empty; {leave_out_hint(name)}") for name in names]


def check_listed(
    files: list[SkippedFile], number: int, access: Access = SKIP_TENTH, **options: object
) -> tuple[SkippedFile, ...]:
    return check_bad(files, number, access, root="/data/runs", **options)


def test_no_bad_file_is_nothing_to_say(caplog) -> None:
    assert check_listed([], 10) == ()
    assert caplog.text == ""


def test_lists_say_nothing_of_where_files_lie_nor_how_to_leave_them_out() -> None:
    (listed,) = check_listed(bad("a.h5"), 10)
    assert listed == SkippedFile("a.h5", "a.h5 is empty")


def test_the_limit_is_what_may_be_left_out() -> None:
    assert len(check_listed(bad("a.h5", "b.h5"), 20)) == 2
    with pytest.raises(
        BadFileError, match=r"2 of 19 files are bad, over access\.max_bad_fraction=0\.1: a\.h5: a"
    ):
        check_listed(bad("a.h5", "b.h5"), 19)


def test_files_that_were_left_out_before_count() -> None:
    with pytest.raises(ChecksumError, match="3 of 20 files are bad"):
        check_listed(bad("a.h5"), 20, earlier=2, error=ChecksumError)


def test_an_error_names_the_first_and_counts_the_others() -> None:
    with pytest.raises(BadFileError, match=r"^/data/runs/a\.h5 is empty.*\(2 of 20 files are bad\)$"):
        check_listed(bad("a.h5", "b.h5"), 20, Access())


def test_nothing_but_bad_files_is_an_error_whatever_the_limit() -> None:
    with pytest.raises(BadFileError, match=r"a\.h5 is empty"):
        check_listed(bad("a.h5"), 1, Access(on_bad_file="skip", max_bad_fraction=1))


def test_many_are_counted_and_a_few_named(caplog) -> None:
    check_listed(bad(*(f"{number}.h5" for number in range(10))), 100)
    assert "10 of 100 files are left out: 0.h5: 0.h5 is empty; " in caplog.text
    assert caplog.text.rstrip().endswith("more")
