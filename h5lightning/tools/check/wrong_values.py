"""What is wrong with the delivered values of a field, compared with the stored numbers; and checks that count it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import h5py
import numpy as np
import numpy.typing as npt

from h5lightning.core.formatting import counted
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.fields import StoredField
from h5lightning.tools.check.expected_values import decoded_values, first_wrong, missing_values
from h5lightning.tools.check.run import CheckResult, layout_in

__all__ = ["CUT", "ValueCheck", "encoding_of_missing", "wrong_values"]

Array = npt.NDArray[np.generic]

CUT = "of boxes, ragged or padded samples"


@dataclasses.dataclass(slots=True)
class ValueCheck:
    """One check of the fields of a kind while it is made.

    Args:
        name: a short sentence that is true if it passes.
        kind: which fields it looks at.
        keys: those that were checked.
        samples: how many samples were.
        left_out: how many samples could not be.
        failures: one sentence for each failure.
        last: the field and unit that were counted last.
    """

    name: str
    kind: str
    keys: set[str] = dataclasses.field(default_factory=set)
    samples: int = 0
    left_out: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    last: tuple[str, int] | None = None

    def add(self, key: str, unit: int, samples: int) -> None:
        """Count the samples of a field in a unit, once for all parts of the field."""
        if self.last != (key, unit):
            self.last = key, unit
            self.keys.add(key)
            self.samples += samples

    def result(self) -> CheckResult:
        """The result, once all files were looked at."""
        scope = f"no field {self.kind}"
        if self.keys:
            scope = f"{counted(len(self.keys), 'field')} {self.kind}, {counted(self.samples, 'sample')}"
        note = ""
        if self.left_out:
            note = f"not compared: {counted(self.left_out, 'window')} with rows of two files"
        return CheckResult(self.name, scope, tuple(self.failures), note)


def encoding_of_missing(plan: StoredField, unit: int) -> Encoding | None:
    """The encoding whose numbers stand for missing values; None where no number does."""
    encoding, classes = layout_in(plan, unit).encoding, plan.spec.classes
    # An enumeration with gaps has its numbers in the names of its classes; the gaps are not known here.
    if encoding is None and classes and not all(re.search(r"=-?\d+$", name) for name in classes):
        return Encoding("codes", low=0, high=len(classes) - 1)
    return encoding


def wrong_values(
    kind: str, dataset: h5py.Dataset, delivered: Array, stored: Array, plan: StoredField, unit: int
) -> Iterator[tuple[str, int]]:
    """The problem with the delivered samples of one unit, and the index of the first wrong sample."""
    if kind == "decoded":
        expected = decoded_values(dataset, stored, layout_in(plan, unit).encoding)
        i = first_wrong(delivered, expected, plan.spec.dtype, is_exact=False)
        if i is not None:
            yield "differs from the stored numbers decoded by its attributes", i
    elif kind == CUT:
        i = first_wrong(delivered, stored, plan.spec.dtype, is_exact=True)
        if i is not None:
            yield "differs from the slices of h5py", i
    elif kind == "converted":
        i = first_wrong(delivered, stored, plan.spec.dtype, is_exact=stored.dtype.kind in "iub")
        if i is not None:
            yield f"differs from the stored values by more than the rounding of {plan.spec.dtype}", i
    elif (encoding := encoding_of_missing(plan, unit)) is not None:
        missing = missing_values(dataset, stored, encoding).reshape(len(stored), -1).any(axis=1)
        if missing.any():
            yield "contains a number that stands for a missing value", int(missing.argmax())
