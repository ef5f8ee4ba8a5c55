"""Whether the columns of a field mean the same in all files: names of genes, channels, coordinates of a grid.

Planning only: the scan left digests of the labels in the `Catalog`, and each distinct annotation is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import SchemaError
from h5lightning.options import Field
from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.conventions.error_parts import (
    DifferenceOf,
    add_reasons,
    most_common,
    no_difference,
    skipped_files,
)
from h5lightning.planning.conventions.label_difference import LabelDifference

__all__ = ["check_labels", "find_other_labels", "label_differences"]

_Labels: TypeAlias = tuple[AxisLabels, ...]

_SEVERITY = {"order": 0, "names": 1, "numbers": 2, "none": 3}


def check_labels(
    catalog: Catalog,
    fields: Mapping[str, Field],
    files: Int64Array,
    *,
    difference_of: DifferenceOf = no_difference,
) -> tuple[str, ...]:
    """Raise if columns of a field mean different things in different files.

    Files without a field's dataset do not count.

    Returns:
        Remarks about labels that are no error, one sentence each.

    Raises:
        SchemaError: the same labels in another order, or other text.
    """
    remarks: list[str] = []
    for key, field in fields.items():
        for difference in label_differences(catalog, field, files):
            if difference.is_error:
                raise SchemaError(difference.error_text(catalog, key, field, difference_of))
            remarks.append(difference.remark_text(catalog))
    return tuple(dict.fromkeys(remarks))


def find_other_labels(
    catalog: Catalog,
    fields: Mapping[str, Field],
    files: Int64Array,
    *,
    difference_of: DifferenceOf = no_difference,
) -> list[SkippedFile]:
    """The files whose columns mean something else than in most files."""
    reasons: dict[int, str] = {}
    for field in fields.values():
        for difference in label_differences(catalog, field, files):
            if difference.is_error:
                add_reasons(reasons, difference.files, difference.reason, difference.explain(difference_of))
    return skipped_files(catalog, reasons)


def label_differences(catalog: Catalog, field: Field, files: Int64Array) -> Iterator[LabelDifference]:
    """Where labels of a field's axes differ from those in most files, the worst first; none with ``decode="stored"``.

    The field of an attribute has no labels; files without the dataset do not count.
    """
    if field.attr is not None or field.decode == "stored":
        return
    variants = _variants(catalog, field, files)
    if len(variants) < 2:
        return
    axes = sorted({one.axis for labels in variants for one in labels})
    differences = [difference for axis in axes for difference in _along(field.path, axis, variants)]
    yield from sorted(_joined(differences), key=lambda one: (_SEVERITY[one.what], one.axis >= 0, one.axis))


def _variants(catalog: Catalog, field: Field, files: Int64Array) -> dict[_Labels, Int64Array]:
    """Distinct labels → the files that have them."""
    return catalog.files_by_annotation(
        field.path, files, lambda annotations: tuple(one for one in annotations.labels if _counts(one, field))
    )


def _counts(labels: AxisLabels, field: Field) -> bool:
    """Whether labels name something that the field delivers, beside its samples."""
    if labels.member is not None and labels.member != field.member:
        return False
    return labels.axis != 0 or field.constant


def _along(path: str, axis: int, variants: Mapping[_Labels, Int64Array]) -> Iterator[LabelDifference]:
    """Where labels of one axis differ from the most common labels of the same source."""
    by_source: dict[str, list[tuple[AxisLabels, Int64Array]]] = {}
    for labels, files in variants.items():
        for one in labels:
            if one.axis == axis:
                by_source.setdefault(one.path, []).append((one, files))
    expected = {source: most_common(having) for source, having in by_source.items()}
    main_source = max(by_source, key=lambda source: sum(files.size for _, files in by_source[source]))
    main_labels, main_file = expected[main_source]
    for labels, files in variants.items():
        own = [one for one in labels if one.axis == axis]
        for one in own:
            reference, file = expected[one.path]
            if what := _difference(one, reference):
                yield LabelDifference(path, axis, one.path, one.path, what, files, file)
        if not own and axis >= 0:
            yield LabelDifference(path, axis, "", main_source, "none", files, main_file)
        elif own and main_source not in [one.path for one in own]:
            # The main source may have another name here: its labels are compared by value.
            whats = [_difference(one, main_labels) for one in own]
            if all(whats):
                yield LabelDifference(path, axis, own[0].path, main_source, whats[0], files, main_file)


def _difference(labels: AxisLabels, expected: AxisLabels) -> str:
    if labels.in_order == expected.in_order and labels.kind == expected.kind:
        return ""
    if labels.as_set == expected.as_set and labels.kind == expected.kind:
        return "order"
    if "axes" in (labels.kind, expected.kind):
        return ""  # the axes were renamed
    return "names" if "text" in (labels.kind, expected.kind) else "numbers"


def _joined(differences: Iterable[LabelDifference]) -> Iterator[LabelDifference]:
    """Differences of the same kind as one: ten thousand tiles have ten thousand sets of coordinates."""
    groups: dict[tuple[object, ...], list[LabelDifference]] = {}
    for one in differences:
        key = (one.axis, one.source, one.expected_source, one.what)
        groups.setdefault(key, []).append(one)
    for group in groups.values():
        yield replace(group[0], files=np.unique(np.concatenate([one.files for one in group])))
