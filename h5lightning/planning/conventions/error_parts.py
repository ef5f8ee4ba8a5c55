"""Parts of errors that all conventions share: where, which files, how the first one differs, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

from h5lightning.core.arrays import Int64Array
from h5lightning.options import SingleField
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile

__all__ = [
    "DifferenceOf",
    "add_reasons",
    "after_colon",
    "most_common",
    "of_series",
    "skipped_files",
    "stored_remedy",
    "where",
]

T = TypeVar("T")
DifferenceOf: TypeAlias = Callable[[int, int, str], str]  # file, file to compare with, dataset → text


def where(catalog: Catalog, file: int, key: str, field: SingleField) -> str:
    """The field, its dataset and the file, for the beginning of an error."""
    return f"field {key!r}: '/{field.path}' in {catalog.where(file)}"


def stored_remedy(field: SingleField) -> str:
    """The option that delivers the stored numbers."""
    return f"{field.text(decode='stored')} delivers the stored numbers"


def after_colon(difference: str) -> str:
    """The difference after a colon; empty if it is not known."""
    return f": {difference}" if difference else ""


def most_common(files_by_value: Iterable[tuple[T, Int64Array]]) -> tuple[T, int]:
    """The value that most files have, and the first file that has it.

    If several values are equally common, the one of the first file.

    Args:
        files_by_value: values, each with the files that have it, ascending; a value may come more than once.
    """
    counts: dict[T, tuple[int, int]] = {}
    for value, files in files_by_value:
        count, negated = counts.get(value, (0, -int(files[0])))
        counts[value] = count + files.size, max(negated, -int(files[0]))
    value = max(counts, key=lambda each: counts[each])
    return value, -counts[value][1]


def add_reasons(reasons: dict[int, str], files: Int64Array, reason: str, difference: str = "") -> None:
    """Give each file a reason, unless it has one; that of the first file also says how it differs."""
    for number, file in enumerate(files.tolist()):
        reasons.setdefault(file, reason if number else reason + after_colon(difference))


def skipped_files(catalog: Catalog, reasons: Mapping[int, str]) -> list[SkippedFile]:
    """The files with the reasons of their first bad units, in the order of the files."""
    first: dict[int, str] = {}
    for unit in sorted(reasons):
        file = int(catalog.unit_files[unit])
        if file not in first:
            first[file] = of_series(catalog, unit, reasons[unit])
    return [SkippedFile(catalog.names[file], reason) for file, reason in first.items()]


def of_series(catalog: Catalog, unit: int, reason: str) -> str:
    """The reason why a file is left out, after the name of the series that has it, if a ``*`` matched that."""
    return reason if catalog.matches is None else f"series {catalog.matches.name(unit)!r}: {reason}"
