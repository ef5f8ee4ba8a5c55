"""Whether the columns of a field mean the same in all files: names of genes, channels, coordinates of a grid.

Planning only: the scan left digests of the labels in the `Catalog`, and each distinct annotation is looked at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted
from h5lightning.errors import SchemaError
from h5lightning.options import Field, SingleField, single_fields
from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.conventions.error_parts import (
    DifferenceOf,
    add_reasons,
    after_colon,
    most_common,
    skipped_files,
)
from h5lightning.planning.series.axes import row_numbers_of

__all__ = ["LabelDifference", "check_labels", "find_other_labels", "label_differences"]

_CLAUSES = {"order": "are in another order than in", "names": "are not those in"}
_NOT_DECODED = ", which also delivers the stored numbers without decoding them: decode those in a transform"
_SEVERITY = {"order": 0, "names": 1, "numbers": 2, "none": 3}


@dataclass(frozen=True, slots=True, eq=False)
class LabelDifference:
    """Labels of one axis that differ in some files from those in most files.

    Args:
        path: the dataset.
        axis: its axis; -1 if the names of its axes differ.
        source: the dataset that holds the labels in the differing files; empty if they have none.
        expected_source: the dataset that holds the labels in most files.
        what: ``order``: the same labels in another order; ``names``: other text; ``numbers``: other numbers;
            ``none``: only some files have labels.
        files: the files that differ, ascending.
        expected: a file with the labels of most files.
    """

    path: str
    axis: int
    source: str
    expected_source: str
    what: str
    files: Int64Array
    expected: int

    @property
    def is_error(self) -> bool:
        """Whether columns of different meaning would be stacked."""
        return self.what in ("order", "names")

    @property
    def reason(self) -> str:
        """Why the files are left out, for a difference that is an error."""
        return f"{self._subject} {_CLAUSES[self.what]} most files"

    def explain(self, difference_of: DifferenceOf) -> str:
        """The first difference between the first file and the expected one; empty if it is not known."""
        if self.source != self.expected_source:
            return ""
        return difference_of(int(self.files[0]), self.expected, self.source)

    def error_text(self, catalog: Catalog, key: str, field: SingleField, difference_of: DifferenceOf) -> str:
        """An error that names the field, both files, the first difference and what to do."""
        same = "labels" if self.what == "names" else "order of labels"
        other_source = "" if self.source == self.expected_source else f"'/{self.expected_source}' of "
        not_decoded = "" if field.decode is None else _NOT_DECODED
        return (
            f"field {key!r}: in {catalog.where(int(self.files[0]))} {self._subject} {_CLAUSES[self.what]} "
            f"{other_source}{catalog.where(self.expected)}{after_colon(self.explain(difference_of))}"
            f"{catalog.more(self.files)}. Columns of different meaning would be stacked. Write all files with the same "
            f"{same}; or, if the labels mean nothing here, use {field.text(decode='stored')}{not_decoded}"
        )

    def remark_text(self, catalog: Catalog) -> str:
        """A sentence about a difference that is no error."""
        expected = os.path.basename(catalog.unit_path(self.expected))
        subject = f"'/{self.path}', axis {self.axis}: {counted(self.files.size, catalog.noun)}"
        has = "has" if self.files.size == 1 else "have"
        if self.what == "numbers":
            return (
                f"{subject} {has} other numbers in '/{self.source}' than {expected}, as tiles with different "
                "coordinates do: they are stacked by position"
            )
        if self.source:
            labels = f"labels in '/{self.source}', {expected} has none"
        else:
            labels = f"no labels, {expected} has them in '/{self.expected_source}'"
        return f"{subject} {has} {labels}: the labels are not compared"

    @property
    def _subject(self) -> str:
        if self.axis < 0:
            return f"the axes of '/{self.path}', named by '/{self.source}',"
        return f"the labels of axis {self.axis} of '/{self.path}', '/{self.source}',"


def check_labels(
    catalog: Catalog, fields: Mapping[str, Field], files: Int64Array, *, difference_of: DifferenceOf
) -> tuple[str, ...]:
    """Raise if columns of a field mean different things in different files.

    Files without a field's dataset do not count.

    Returns:
        Remarks about labels that are no error, one sentence each.

    Raises:
        SchemaError: the same labels in another order, or other text.
    """
    remarks: list[str] = []
    for key, field in single_fields(fields):
        for difference in label_differences(catalog, field, files):
            if difference.is_error:
                raise SchemaError(difference.error_text(catalog, key, field, difference_of))
            remarks.append(difference.remark_text(catalog))
    return tuple(dict.fromkeys(remarks))


def find_other_labels(
    catalog: Catalog, fields: Mapping[str, Field], files: Int64Array, *, difference_of: DifferenceOf
) -> list[SkippedFile]:
    """The files whose columns mean something else than in most files."""
    reasons: dict[int, str] = {}
    for _, field in single_fields(fields):
        for difference in label_differences(catalog, field, files):
            if difference.is_error:
                add_reasons(reasons, difference.files, difference.reason, difference.explain(difference_of))
    return skipped_files(catalog, reasons)


def label_differences(catalog: Catalog, field: SingleField, files: Int64Array) -> Iterator[LabelDifference]:
    """Where labels of a field's axes differ from those in most files, the worst first; none with ``decode="stored"``.

    The field of an attribute has no labels; files without the dataset do not count.
    """
    if field.attr is not None or field.decode == "stored":
        return
    variants = catalog.files_by_annotation(
        field.path, files, lambda annotations: tuple(one for one in annotations.labels if _counts(one, field))
    )
    if len(variants) < 2:
        return
    axes = sorted({one.axis for labels in variants for one in labels})
    differences = [difference for axis in axes for difference in _along(field.path, axis, variants)]
    yield from sorted(_joined(differences), key=lambda one: (_SEVERITY[one.what], one.axis >= 0, one.axis))


def _counts(labels: AxisLabels, field: SingleField) -> bool:
    """Whether labels name something that the field delivers, beside its samples."""
    if labels.member is not None and labels.member != field.member:
        return False
    if field.constant:
        return labels.axis != 0 or field.series_axis is None
    return labels.axis < 0 or labels.axis not in row_numbers_of(field).free_axes


def _along(
    path: str, axis: int, variants: Mapping[tuple[AxisLabels, ...], Int64Array]
) -> Iterator[LabelDifference]:
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
