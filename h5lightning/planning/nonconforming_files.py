"""Files that differ from most others in what is wanted of them. Planning only: everything comes from the `Catalog`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.options import Field
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.planning.conventions.encodings import is_type_said

__all__ = ["NEVER_WRITTEN", "find_misfits"]

NEVER_WRITTEN = "never written"

_Wanted: TypeAlias = Mapping[str, Field]


def find_misfits(
    catalog: Catalog, fields: _Wanted, files: Int64Array, *, on_missing: str, dtype: str | None = None
) -> list[SkippedFile]:
    """The files that lack a field, hold it in another type or shape than most, or in different lengths.

    Where no layout has all fields, or every file has something wrong, it is the fields that do not fit: then there
    are none, and planning says what is wrong and what to do.

    Args:
        catalog: what the files hold.
        fields: sample key → `Field`.
        files: the files that must agree, ascending.
        on_missing: ``raise``, or ``fill`` to accept data that were never written.
        dtype: the type that floating fields are delivered in.
    """
    compare = _Comparison(fields, dtype)
    paths = compare.paths
    reference = _most_common(catalog, compare, files)
    if reference is None:
        return []
    by_layout = [compare.difference(layout, reference) for layout in catalog.layouts]
    lengths = [field.path for field in fields.values() if field.attr is None and not field.constant]
    facts = {path: catalog.facts_of(path) for path in paths}
    found = []
    for file in files.tolist():
        what = by_layout[int(catalog.layout_of[file])]
        what = what or _unequal({path: int(facts[path][file, 0]) for path in lengths})
        if not what and on_missing == "raise":
            what = _unwritten({path: int(facts[path][file, 2]) for path in paths})
        if what := what or _lacking(catalog, fields, file):
            found.append(SkippedFile(catalog.names[file], what))
    return found if len(found) < len(files) else []


class _Comparison:
    """What must be the same in the wanted datasets.

    Args:
        fields: sample key → `Field`.
        dtype: the type that floating fields are delivered in.
    """

    def __init__(self, fields: _Wanted, dtype: str | None) -> None:
        self._fields = [field for field in fields.values() if field.attr is None]
        self._dtype = dtype
        self.paths = list(dict.fromkeys(field.path for field in self._fields))

    def has_all(self, here: Mapping[str, DatasetSchema]) -> bool:
        """Whether each field can be made of these datasets."""
        return all(_is_there(here.get(field.path), field.member) for field in self._fields)

    def difference(self, layout: tuple[DatasetSchema, ...], reference: Mapping[str, DatasetSchema]) -> str:
        """What is different in the wanted datasets of a layout, in words; empty if nothing is."""
        here = {dataset.path: dataset for dataset in layout}
        for field in self._fields:
            found, expected = here.get(field.path), reference[field.path]
            if found is None:
                return f"holds no dataset '/{field.path}'"
            any_type = is_type_said(field, self._dtype, found, expected)
            any_categories = field.decode == "stored"
            if what := explain_difference(
                found, expected, field.member, any_type=any_type, any_categories=any_categories
            ):
                return f"'/{field.path}' {what} as in most files"
        return ""


def _most_common(
    catalog: Catalog, compare: _Comparison, files: Int64Array
) -> dict[str, DatasetSchema] | None:
    """The wanted datasets as most files have them that have all; None if no file has."""
    numbers = np.bincount(catalog.layout_of[files], minlength=len(catalog.layouts)).tolist()
    groups: list[tuple[int, dict[str, DatasetSchema]]] = []
    for layout, number in zip(catalog.layouts, numbers, strict=True):
        found = {dataset.path: dataset for dataset in layout}
        if not number or not compare.has_all(found):
            continue
        same = (place for place, (_, other) in enumerate(groups) if not compare.difference(layout, other))
        if (place := next(same, None)) is None:
            groups.append((number, found))
        else:
            groups[place] = (groups[place][0] + number, groups[place][1])
    return max(groups, key=lambda group: group[0])[1] if groups else None


def _is_there(dataset: DatasetSchema | None, member: str | None) -> bool:
    """Whether a field can be made of a dataset, or of that column."""
    found = None if dataset is None or dataset.refusal else dataset.value(member)
    return found is not None and not found.refusal


def _unequal(lengths: Mapping[str, int]) -> str:
    if len(set(lengths.values())) < 2:
        return ""
    return "holds different numbers of rows: " + ", ".join(
        f"'/{path}' {rows}" for path, rows in lengths.items()
    )


def _unwritten(chunks: Mapping[str, int]) -> str:
    found = [f"{counted(number, 'chunk')} of '/{path}'" for path, number in chunks.items() if number > 0]
    return f"lacks values that were {NEVER_WRITTEN}: {', '.join(found)}" if found else ""


def _lacking(catalog: Catalog, fields: _Wanted, file: int) -> str:
    """Which attribute a file lacks, in words; empty if none."""
    wanted = [field for field in fields.values() if field.attr is not None]
    if not wanted:
        return ""
    attrs = catalog.typed_attrs(file)
    lacking = [field for field in wanted if f"{field.path}@{field.attr}" not in attrs]
    return f"lacks the attribute {lacking[0].attr!r}" if lacking else ""
