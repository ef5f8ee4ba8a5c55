"""Datasets that must be equal in all files (``Access(same=…)``), compared by the digests that the scan made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.annotations import PACKED
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.conventions.error_parts import (
    DifferenceOf,
    add_reasons,
    after_colon,
    most_common,
    skipped_files,
)

__all__ = ["check_same", "find_others", "is_same"]

NameList: TypeAlias = Callable[[int], Sequence[str]]


def is_same(path: str, same: Sequence[str]) -> bool:
    """Whether a dataset is listed in ``same``, or lies in a group that is."""
    return any(path == one or path.startswith(f"{one}/") for one in same)


def check_same(
    catalog: Catalog,
    same: Sequence[str],
    files: Int64Array,
    *,
    names_in: NameList = lambda _: (),
    difference_of: DifferenceOf,
) -> None:
    """Raise unless each dataset has the same values in all files; ``names_in`` explains a missing one.

    Raises:
        MissingFieldError: a file lacks the dataset.
        UnsupportedFieldError: its values cannot be compared.
        SchemaError: its values differ.
    """
    for path in same:
        files_by_digest, lacking = _files_by_digest(catalog, path, files)
        if lacking.size:
            hint = did_you_mean(path, names_in(int(lacking[0])))
            raise MissingFieldError(
                f"access.same: {catalog.where(int(lacking[0]))} holds no '/{path}'{catalog.more(lacking)}{hint}"
            )
        for digest, having in files_by_digest.items():
            if digest.startswith("? "):
                raise UnsupportedFieldError(
                    f"access.same: '/{path}' in {catalog.where(int(having[0]))} cannot be compared: it {digest[2:]}. "
                    "Remove it from access.same"
                )
        if len(files_by_digest) > 1:
            raise SchemaError(_error_text(catalog, path, files_by_digest, difference_of))


def find_others(
    catalog: Catalog, same: Sequence[str], files: Int64Array, *, difference_of: DifferenceOf
) -> list[SkippedFile]:
    """The files that lack one of the datasets, or have other values than most files."""
    reasons: dict[int, str] = {}
    for path in same:
        files_by_digest, lacking = _files_by_digest(catalog, path, files)
        if not files_by_digest:
            continue  # no file has it: the path is wrong, not the files
        add_reasons(reasons, lacking, f"holds no '/{path}'")
        differing, expected = _differing(files_by_digest)
        if differing.size:
            difference = difference_of(int(differing[0]), expected, path)
            add_reasons(reasons, differing, f"'/{path}' is not the same as in most files", difference)
    return skipped_files(catalog, reasons)


def _error_text(
    catalog: Catalog, path: str, files_by_digest: Mapping[str, Int64Array], difference_of: DifferenceOf
) -> str:
    differing, expected = _differing(files_by_digest)
    file = int(differing[0])
    difference = difference_of(file, expected, path)
    if not difference and any(PACKED in digest for digest in files_by_digest):
        difference = "its numbers are encoded differently"
    return (
        f"access.same: '/{path}' in {catalog.where(file)} is not the same as in {catalog.where(expected)}"
        f"{after_colon(difference)}{catalog.more(differing)}. Write equal values to all files, exclude the files that "
        "differ (with a '!' pattern or access.on_bad_file='skip'), or remove the path from access.same"
    )


def _files_by_digest(
    catalog: Catalog, path: str, files: Int64Array
) -> tuple[dict[str, Int64Array], Int64Array]:
    """The files that have each digest, and those that lack the dataset."""
    having = catalog.files_by_annotation(path, files, lambda annotations: annotations.digest)
    return having, files[catalog.annotations_of(path)[files] < 0]


def _differing(files_by_digest: Mapping[str, Int64Array]) -> tuple[Int64Array, int]:
    """The files that do not have the most common digest, ascending; and the first file that has it."""
    common, expected = most_common(files_by_digest.items())
    others = [files for digest, files in files_by_digest.items() if digest != common]
    return np.sort(np.concatenate(others)) if others else files_by_digest[common][:0], expected
