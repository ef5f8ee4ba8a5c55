"""Files that differ from most others in the datasets that fields need; everything comes from the `Catalog`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from h5lightning.core.arrays import BoolArray, Int64Array
from h5lightning.core.formatting import counted
from h5lightning.options import Field, Series, SingleField, single_fields
from h5lightning.options.coerce import SeriesOption
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.planning.categories import as_classes, row_values_of
from h5lightning.planning.conventions.encoding_checks import is_type_said
from h5lightning.planning.conventions.error_parts import of_series
from h5lightning.planning.series.axes import row_numbers_of, rows_seen
from h5lightning.planning.series.check_bounds import problem_of
from h5lightning.planning.series.row_index import OtherRows, deciding_field, index_problems, rows_by_index

__all__ = ["NEVER_WRITTEN", "find_nonconforming"]

NEVER_WRITTEN = "never written"


def find_nonconforming(
    catalog: Catalog,
    fields: Mapping[str, Field],
    files: Int64Array,
    *,
    on_missing: str,
    dtype: str | None = None,
    series: SeriesOption = None,
) -> list[SkippedFile]:
    """The files that lack a field, store it in another type or shape than most, or in different lengths.

    If no layout has all fields, or every file has something wrong, the fields are wrong and not the files: the list is
    empty, and planning raises the error. The arguments are those of `plan_fields`.
    """
    comparison = _Comparison(catalog, fields, dtype)
    reference = _most_common(catalog, comparison, files)
    if reference is None:
        return []
    by_layout = [comparison.difference(layout, reference) for layout in catalog.layouts]
    with_rows = _with_rows(catalog, fields)
    extra = {field.path: field.extra_rows for _, field in single_fields(fields)}
    facts = {path: catalog.facts_of(path) for path in comparison.paths}
    lacking = _lacking(catalog, fields)
    is_bad = (
        _are_any(by_layout)[catalog.layout_of[files]] | _are_any(lacking)[catalog.distinct_attrs[1][files]]
    )
    for rows in list(with_rows.values())[1:]:
        is_bad |= rows[files] != next(iter(with_rows.values()))[files]
    path = min(with_rows, key=lambda path: extra.get(path, 0))
    of_index = _index_problems(catalog, fields, files, OtherRows(path, with_rows[path]))
    is_bad |= np.isin(files, list(of_index))
    unread = _unread(catalog, fields)
    is_bad |= np.isin(files, list(unread))
    for numbers in facts.values() if on_missing == "raise" else ():
        is_bad |= numbers[files, 2] > 0
    bounds = catalog.bounds if isinstance(series, Series) else None
    reasons: dict[int, str] = {}
    for file in (files if bounds is not None else files[is_bad]).tolist():
        if int(catalog.unit_files[file]) in reasons:
            continue
        reason = by_layout[int(catalog.layout_of[file])]
        reason = reason or _unequal({path: int(rows[file]) for path, rows in with_rows.items()}, extra)
        if not reason and on_missing == "raise":
            reason = _unwritten({path: int(numbers[file, 2]) for path, numbers in facts.items()})
        reason = reason or of_index.get(file, "") or unread.get(file, "")
        if not reason and bounds is not None and isinstance(series, Series):
            reason = problem_of(bounds, series, file, int(with_rows[path][file]), path)
        if reason := reason or lacking[int(catalog.distinct_attrs[1][file])]:
            reasons[int(catalog.unit_files[file])] = of_series(catalog, file, reason)
    found = [SkippedFile(catalog.names[file], reason) for file, reason in reasons.items()]
    return found if len(found) < len(np.unique(catalog.unit_files[files])) else []


def _with_rows(catalog: Catalog, fields: Mapping[str, Field]) -> dict[str, Int64Array]:
    """Dataset → its rows in each unit, for the fields with rows; if all of them have an index, of one index."""
    named = [one for one in single_fields(fields) if one[1].attr is None]
    plain = (field for _, field in named if field.index is None and row_numbers_of(field).is_in_unit)
    rows = {field.path: catalog.rows_of(field.path, row_numbers_of(field).row_axes) for field in plain}
    indexed = [one for one in named if one[1].index is not None and not one[1].constant]
    if rows or not indexed:
        return rows
    _, first = deciding_field(catalog, indexed)
    return {first.index or "": rows_by_index(catalog, first)}


def _index_problems(
    catalog: Catalog, fields: Mapping[str, Field], units: Int64Array, others: OtherRows
) -> dict[int, str]:
    """Unit → why an index in it divides no rows."""
    problems: dict[int, str] = {}
    for _, field in single_fields(fields):
        if field.index is not None:
            found = index_problems(catalog, units, field, None if field.constant else others)
            problems = dict(found) | problems
    return problems


def _unread(catalog: Catalog, fields: Mapping[str, Field]) -> dict[int, str]:
    """Unit → why the values of a field with categories could not be read."""
    problems: dict[int, str] = {}
    for _, field in single_fields(fields):
        values = row_values_of(catalog, field) if field.categories is not None else None
        if values is not None:
            for unit in np.flatnonzero(~values.is_usable).tolist():
                problems.setdefault(unit, values.problem(unit))
    return problems


def _are_any(reasons: list[str]) -> BoolArray:
    return np.asarray([bool(reason) for reason in reasons], np.bool_)


class _Comparison:
    """Compares layouts in the datasets that fields need."""

    def __init__(self, catalog: Catalog, fields: Mapping[str, Field], dtype: str | None) -> None:
        self._catalog = catalog
        self._fields = [field for _, field in single_fields(fields) if field.attr is None]
        self._dtype = dtype
        self.paths = list(dict.fromkeys(field.path for field in self._fields))

    def has_all(self, datasets: Mapping[str, DatasetSchema]) -> bool:
        """Whether each field can be made of these datasets."""
        return all(_is_usable(self._seen(datasets.get(field.path), field), field) for field in self._fields)

    def difference(self, layout: tuple[DatasetSchema, ...], reference: Mapping[str, DatasetSchema]) -> str:
        """The first difference between a layout and the reference, as text; empty if there is none."""
        datasets = {dataset.path: dataset for dataset in layout}
        for field in self._fields:
            dataset = self._seen(datasets.get(field.path), field)
            expected = self._seen(reference[field.path], field)
            if dataset is None or expected is None:
                return f"holds no dataset '/{field.path}'"
            dataset, expected = (one.seen_as(encoded=field.is_encoded) for one in (dataset, expected))
            any_type = is_type_said(field, self._dtype, dataset, expected)
            any_categories = field.decode == "stored"
            numbers = row_numbers_of(field)
            if len(dataset.shape) < numbers.leading > 1:
                return f"'/{field.path}' has the shape {dataset.shape}"
            if difference := explain_difference(
                rows_seen(dataset, numbers),
                rows_seen(expected, numbers),
                field.member,
                any_type=any_type,
                any_categories=any_categories,
                any_shape=field.may_differ or field.is_encoded,
            ):
                return f"'/{field.path}' {difference} as in most files"
        return ""

    def _seen(self, dataset: DatasetSchema | None, field: SingleField) -> DatasetSchema | None:
        """The dataset as a field sees it: with categories, as whole numbers."""
        if dataset is None or field.categories is None:
            return dataset
        values = row_values_of(self._catalog, field)
        sizes = [] if values is None else values.unit_row_sizes[values.has_rows].tolist()
        return as_classes(dataset, field, sizes[0] if sizes else None)


def _most_common(
    catalog: Catalog, comparison: _Comparison, files: Int64Array
) -> dict[str, DatasetSchema] | None:
    """The datasets of the most common layout that has all fields; None if no layout has."""
    sizes = np.bincount(catalog.layout_of[files], minlength=len(catalog.layouts)).tolist()
    groups: list[tuple[int, dict[str, DatasetSchema]]] = []
    for layout, size in zip(catalog.layouts, sizes, strict=True):
        datasets = {dataset.path: dataset for dataset in layout}
        if not size or not comparison.has_all(datasets):
            continue
        for number, (count, other) in enumerate(groups):
            if not comparison.difference(layout, other):
                groups[number] = (count + size, other)
                break
        else:
            groups.append((size, datasets))
    return max(groups, key=lambda group: group[0])[1] if groups else None


def _is_usable(dataset: DatasetSchema | None, field: SingleField) -> bool:
    """Whether a field can be made of a dataset, or of its column."""
    seen = None if dataset is None else dataset.seen_as(encoded=field.is_encoded)
    value = None if seen is None or seen.refusal else seen.value(field.member)
    return value is not None and not value.refusal


def _unequal(lengths: Mapping[str, int], extra: Mapping[str, int]) -> str:
    least = min((rows for path, rows in lengths.items() if not extra.get(path)), default=None)
    if least is None or all(least <= rows <= least + extra.get(path, 0) for path, rows in lengths.items()):
        return ""
    return "holds different numbers of rows: " + ", ".join(
        f"'/{path}' {rows}" for path, rows in lengths.items()
    )


def _unwritten(chunks: Mapping[str, int]) -> str:
    unwritten = [f"{counted(number, 'chunk')} of '/{path}'" for path, number in chunks.items() if number > 0]
    return f"lacks values that were {NEVER_WRITTEN}: {', '.join(unwritten)}" if unwritten else ""


def _lacking(catalog: Catalog, fields: Mapping[str, Field]) -> list[str]:
    """Which attribute is lacking in each of the distinct attributes of units, as text; empty if none."""
    attributes = [field for field in fields.values() if field.attr is not None]
    texts = []
    for attrs in catalog.distinct_attrs[0]:
        missing = (field.attr for field in attributes if f"{field.path}@{field.attr}" not in attrs)
        texts.append(next((f"lacks the attribute {attr!r}" for attr in missing), ""))
    return texts
