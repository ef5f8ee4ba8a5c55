"""Datasets that the user says are the same in all files, held against each other by the digests of the scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import more_files
from h5lightning.errors import MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.options.checks import nearest
from h5lightning.planning.catalog.annotations import PACKED
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.conventions.column_labels import DifferenceOf

__all__ = ["check_same", "find_others", "is_same"]

NameList: TypeAlias = Callable[[int], Sequence[str]]


def is_same(path: str, same: Sequence[str]) -> bool:
    """Whether a dataset is one of those, or lies in a group that is."""
    return any(path == one or path.startswith(f"{one}/") for one in same)


def check_same(
    catalog: Catalog,
    same: Sequence[str],
    files: Int64Array,
    *,
    names_in: NameList = lambda _: (),
    difference_of: DifferenceOf = lambda _, __, ___: "",
) -> None:
    """Raise unless all files hold the same.

    Args:
        catalog: what the files hold.
        same: paths of datasets or groups.
        files: the files that must agree, ascending.
        names_in: the datasets of a file, asked only to explain a missing one.
        difference_of: the first difference between two files in a dataset, likewise.

    Raises:
        MissingFieldError: a file lacks it.
        UnsupportedFieldError: its values cannot be compared.
        SchemaError: it differs.
    """
    for path in same:
        having, lacking = _files_by_digest(catalog, path, files)
        if lacking.size:
            known = nearest(path, names_in(int(lacking[0])))
            raise MissingFieldError(
                f"access.same: {catalog.path(int(lacking[0]))} holds no '/{path}'{more_files(lacking)}{known}"
            )
        for digest, some in having.items():
            if digest.startswith("? "):
                raise UnsupportedFieldError(
                    f"access.same: '/{path}' in {catalog.path(int(some[0]))} cannot be compared: it {digest[2:]}. "
                    "Leave it out of access.same"
                )
        if len(having) > 1:
            raise SchemaError(_error_text(catalog, path, having, difference_of))


def find_others(
    catalog: Catalog,
    same: Sequence[str],
    files: Int64Array,
    *,
    difference_of: DifferenceOf = lambda _, __, ___: "",
) -> list[SkippedFile]:
    """The files that lack what others have, or have it otherwise than most; for the arguments see `check_same`."""
    found: dict[int, str] = {}
    for path in same:
        having, lacking = _files_by_digest(catalog, path, files)
        if not having:
            continue  # it is the path that is wrong
        found.update((file, f"holds no '/{path}'") for file in lacking.tolist() if file not in found)
        expected = _most_common(having)
        what = f"'/{path}' is not the same as in most files"
        differs = np.concatenate([some[:0] if one == expected else some for one, some in having.items()])
        if differs.size:
            file = int(differs.min())
            first = difference_of(file, int(having[expected][0]), path)
            found.setdefault(file, f"{what}{f': {first}' if first else ''}")
        found.update((file, what) for file in differs.tolist() if file not in found)
    return [SkippedFile(catalog.names[file], found[file]) for file in sorted(found)]


def _error_text(
    catalog: Catalog, path: str, having: Mapping[str, Int64Array], difference_of: DifferenceOf
) -> str:
    expected = _most_common(having)
    differs = np.sort(np.concatenate([some for digest, some in having.items() if digest != expected]))
    file, reference = int(differs[0]), int(having[expected][0])
    first = difference_of(file, reference, path)
    if not first and any(PACKED in digest for digest in having):
        first = "its numbers are packed otherwise"
    return (
        f"access.same: '/{path}' in {catalog.path(file)} is not the same as in {catalog.path(reference)}"
        f"{f': {first}' if first else ''}{more_files(differs)}. Write the files alike, leave those out that differ "
        "with a '!' pattern or access.on_bad_file='skip', or take it out of access.same"
    )


def _files_by_digest(
    catalog: Catalog, path: str, files: Int64Array
) -> tuple[dict[str, Int64Array], Int64Array]:
    """The files that have each digest, and those that lack the dataset."""
    having = catalog.by_saying(path, files, lambda said: said.digest)
    return having, files[catalog.annotations_of(path)[files] < 0]


def _most_common(having: Mapping[str, Int64Array]) -> str:
    """The digest that most files have; among equals, that of the first file."""
    return max(having, key=lambda digest: (having[digest].size, -int(having[digest][0])))
