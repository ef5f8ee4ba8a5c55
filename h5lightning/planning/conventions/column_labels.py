"""Whether the columns of a field mean the same in all files: names of genes, channels, coordinates of a grid.

Planning only: the scan left digests of the labels in the `Catalog`, and each distinct saying is looked at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import more_files
from h5lightning.errors import SchemaError
from h5lightning.options import Field
from h5lightning.planning.catalog.annotations import AxisLabels
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile

__all__ = [
    "DifferenceOf",
    "LabelDifference",
    "check_labels",
    "find_other_labels",
    "label_differences",
]

DifferenceOf: TypeAlias = Callable[[int, int, str], str]  # file, file with what is expected, source
_Labels: TypeAlias = tuple[AxisLabels, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LabelDifference:
    """Labels of one axis that are not in all files what they are in most.

    Args:
        path: the dataset.
        axis: its axis; -1 where the names of its axes differ.
        source: what holds the labels in those files; empty if nothing does.
        expected_source: what holds them in most; likewise.
        what: ``order``: the same ones in another order; ``names``: other text; ``numbers``: other numbers; ``none``:
            there are labels in some files only.
        files: the files that have them so, ascending.
        expected: a file that has them as most have.
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


def check_labels(
    catalog: Catalog,
    fields: Mapping[str, Field],
    files: Int64Array,
    *,
    difference_of: DifferenceOf = lambda _, __, ___: "",
) -> tuple[str, ...]:
    """Raise if columns of some field mean different things in different files.

    Args:
        catalog: what the files hold.
        fields: sample key → `Field`.
        files: the files that must agree, ascending; those without a field's dataset do not count.
        difference_of: the first difference between two files in what holds labels, asked only for an error.

    Returns:
        What else is to be known about labels, in sentences.

    Raises:
        SchemaError: the same labels in another order, or other text.
    """
    remarks: list[str] = []
    for key, field in fields.items():
        for difference in label_differences(catalog, field, files):
            if difference.is_error:
                raise SchemaError(_error_text(catalog, key, field, difference, difference_of))
            remarks.append(_remark_text(catalog, difference))
    return tuple(dict.fromkeys(remarks))


def find_other_labels(
    catalog: Catalog,
    fields: Mapping[str, Field],
    files: Int64Array,
    *,
    difference_of: DifferenceOf = lambda _, __, ___: "",
) -> list[SkippedFile]:
    """The files whose columns mean something else than in most; see `check_labels`."""
    found: dict[int, str] = {}
    for field in fields.values():
        for difference in label_differences(catalog, field, files):
            if difference.is_error:
                what = f"{_subject(difference)} {_IN_WORDS[difference.what]} most files"
                first = _first_difference(difference, difference_of)
                found.setdefault(int(difference.files[0]), f"{what}{first}")
                found.update((file, what) for file in difference.files.tolist() if file not in found)
    return [SkippedFile(catalog.names[file], found[file]) for file in sorted(found)]


def label_differences(catalog: Catalog, field: Field, files: Int64Array) -> Iterator[LabelDifference]:
    """Where labels of a field's axes differ from those of most files, the worst first; none with ``decode="stored"``.

    Args:
        catalog: what the files hold.
        field: a field; of an attribute, it has no labels.
        files: the files that are compared, ascending; those without the dataset do not count.
    """
    if field.attr is not None or field.decode == "stored":
        return
    variants = _variants(catalog, field, files)
    if len(variants) < 2:
        return
    axes = sorted({one.axis for labels in variants for one in labels})
    differences = [found for axis in axes for found in _along(field.path, axis, variants)]
    yield from sorted(_joined(differences), key=lambda one: (_SEVERITY[one.what], one.axis >= 0, one.axis))


def _variants(catalog: Catalog, field: Field, files: Int64Array) -> dict[_Labels, Int64Array]:
    """Distinct labels → the files that have them."""
    return catalog.by_saying(
        field.path, files, lambda said: tuple(one for one in said.labels if _counts(one, field))
    )


def _counts(labels: AxisLabels, field: Field) -> bool:
    """Whether labels name something that the field delivers, beside its samples."""
    if labels.member is not None and labels.member != field.member:
        return False
    return labels.axis != 0 or field.constant


def _along(path: str, axis: int, variants: Mapping[_Labels, Int64Array]) -> Iterator[LabelDifference]:
    """Where labels of one axis differ. What has labels is held against what most have of those that have some."""
    by_source: dict[str, list[tuple[AxisLabels, Int64Array]]] = {}
    for labels, files in variants.items():
        for one in labels:
            if one.axis == axis:
                by_source.setdefault(one.path, []).append((one, files))
    expected = {source: _most_common(having) for source, having in by_source.items()}
    source, (main, first) = max(
        expected.items(), key=lambda item: sum(files.size for _, files in by_source[item[0]])
    )
    for labels, files in variants.items():
        own = [one for one in labels if one.axis == axis]
        for one in own:
            reference, file = expected[one.path]
            if what := _difference(one, reference):
                yield LabelDifference(path, axis, one.path, reference.path, what, files, file)
        if not own and axis >= 0:
            yield LabelDifference(path, axis, "", source, "none", files, first)
        elif own and source not in [one.path for one in own]:
            # It may have been renamed.
            whats = [_difference(one, main) for one in own]
            if all(whats):
                yield LabelDifference(path, axis, own[0].path, source, whats[0], files, first)


def _most_common(having: Sequence[tuple[AxisLabels, Int64Array]]) -> tuple[AxisLabels, int]:
    """The labels that most files have, with the first of them; among equals, those of the first file."""
    sizes: dict[AxisLabels, tuple[int, int]] = {}
    for labels, files in having:
        size, negated = sizes.get(labels, (0, -int(files[0])))
        sizes[labels] = size + files.size, max(negated, -int(files[0]))
    found = max(sizes, key=lambda labels: sizes[labels])
    return found, -sizes[found][1]


def _difference(found: AxisLabels, expected: AxisLabels) -> str:
    if found.in_order == expected.in_order and found.kind == expected.kind:
        return ""
    if found.as_set == expected.as_set and found.kind == expected.kind:
        return "order"
    if "axes" in (found.kind, expected.kind):
        return ""  # they were renamed
    return "names" if "text" in (found.kind, expected.kind) else "numbers"


def _joined(differences: Iterable[LabelDifference]) -> Iterator[LabelDifference]:
    """Those of the same kind as one: ten thousand tiles have ten thousand coordinates."""
    groups: dict[tuple[object, ...], list[LabelDifference]] = {}
    for one in differences:
        key = (one.axis, one.source, one.expected_source, one.what)
        groups.setdefault(key, []).append(one)
    for group in groups.values():
        first = group[0]
        files = np.unique(np.concatenate([one.files for one in group]))
        yield LabelDifference(
            first.path, first.axis, first.source, first.expected_source, first.what, files, first.expected
        )


# ── words ────────────────────────────────────────────────────────────────────────────────────────────

_SEVERITY = {"order": 0, "names": 1, "numbers": 2, "none": 3}
_IN_WORDS = {"order": "are in another order than in", "names": "are not those in"}


# What else the option for the stored numbers does.
_NOT_DECODED = ", which delivers the stored numbers and not what they stand for: decode those in a transform"


def _subject(difference: LabelDifference) -> str:
    """What the sentence is about."""
    if difference.axis < 0:
        return f"the axes of '/{difference.path}', which '/{difference.source}' names,"
    return f"the labels of axis {difference.axis} of '/{difference.path}', '/{difference.source}',"


def _error_text(
    catalog: Catalog, key: str, field: Field, difference: LabelDifference, difference_of: DifferenceOf
) -> str:
    file, expected = int(difference.files[0]), difference.expected
    first = _first_difference(difference, difference_of)
    more = more_files(difference.files)
    wanted = "the same labels" if difference.what == "names" else "one order"
    is_same_source = difference.source == difference.expected_source
    place = "" if is_same_source else f"'/{difference.expected_source}' of "
    return (
        f"field {key!r}: in {catalog.path(file)} {_subject(difference)} {_IN_WORDS[difference.what]} {place}"
        f"{catalog.path(expected)}{first}{more}. Columns of different meaning would be "
        f"stacked: write the files with {wanted}, or, if it means nothing here, "
        f"{field.text(decode='stored')}{_NOT_DECODED if field.decode else ''}"
    )


def _first_difference(difference: LabelDifference, difference_of: DifferenceOf) -> str:
    """How the first file differs, after a colon; empty if nobody can say."""
    if difference.source != difference.expected_source:
        return ""
    first = difference_of(int(difference.files[0]), difference.expected, difference.source)
    return f": {first}" if first else ""


def _remark_text(catalog: Catalog, difference: LabelDifference) -> str:
    count, expected = difference.files.size, os.path.basename(catalog.path(difference.expected))
    files = f"{count} file{'' if count == 1 else 's'}"
    subject = f"'/{difference.path}', axis {difference.axis}: {files}"
    if difference.what == "numbers":
        return (
            f"{subject} {_have(count)} other numbers in '/{difference.source}' than {expected}, as tiles with "
            "coordinates of their own have: they are stacked by position"
        )
    if difference.source:
        told = f"labels in '/{difference.source}', {expected} has none"
    else:
        told = f"no labels, {expected} has them in '/{difference.expected_source}'"
    return f"{subject} {_have(count)} {told}: they are not compared"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
