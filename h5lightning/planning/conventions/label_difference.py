"""A difference between the axis labels of files, and the error or remark about it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from h5lightning.core.arrays import Int64Array
from h5lightning.core.formatting import counted, more_files
from h5lightning.options import Field
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.conventions.error_parts import DifferenceOf, after_colon

__all__ = ["LabelDifference"]

_CLAUSES = {"order": "are in another order than in", "names": "are not those in"}
_NOT_DECODED = ", which also delivers the stored numbers without decoding them: decode those in a transform"


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

    def error_text(self, catalog: Catalog, key: str, field: Field, difference_of: DifferenceOf) -> str:
        """An error that names the field, both files, the first difference and what to do."""
        same = "labels" if self.what == "names" else "order of labels"
        other_source = "" if self.source == self.expected_source else f"'/{self.expected_source}' of "
        not_decoded = "" if field.decode is None else _NOT_DECODED
        return (
            f"field {key!r}: in {catalog.path(int(self.files[0]))} {self._subject} {_CLAUSES[self.what]} "
            f"{other_source}{catalog.path(self.expected)}{after_colon(self.explain(difference_of))}"
            f"{more_files(self.files)}. Columns of different meaning would be stacked. Write all files with the same "
            f"{same}; or, if the labels mean nothing here, use {field.text(decode='stored')}{not_decoded}"
        )

    def remark_text(self, catalog: Catalog) -> str:
        """A sentence about a difference that is no error."""
        expected = os.path.basename(catalog.path(self.expected))
        subject = f"'/{self.path}', axis {self.axis}: {counted(self.files.size, 'file')}"
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
