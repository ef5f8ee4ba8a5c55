"""What a reader is asked for to fill a field; files may store it in different types, or encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError, H5LightningError, MissingDataError
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.conventions.encodings import remedy
from h5lightning.planning.fields import FieldPlan
from h5lightning.planning.values.conversions import LostValueError, ValueAtError, delivery_dtype
from h5lightning.planning.values.value_decoder import ValueDecoder
from h5lightning.storage.readers.protocol import DatasetColumn, ReadRequest

__all__ = ["FieldPart", "FieldSource"]


@dataclass(frozen=True, slots=True, eq=False)
class FieldPart:
    """What is taken from files that store a field in one type.

    Args:
        places: the files, by their places in what is wanted.
        forms: the form of each of them.
        slots: where its rows belong.
        take: what a reader is asked for, with a buffer of the stored type.
    """

    places: list[int]
    forms: Int64Array
    slots: Int64Array
    take: ReadRequest


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where a field is read, and in which ways files store it; equal for fields that can share what was read.

    Args:
        sources: what a reader is asked for, for each form.
        encodings: how numbers stand for values, likewise.
        delivered: name of the type that they become; empty for a uniform field, which is read as it is stored.
        is_decoded: whether the values that they stand for are delivered.
        plan: the field, or one of those that are equal.
    """

    sources: tuple[DatasetColumn, ...]
    encodings: tuple[Encoding | None, ...]
    delivered: str
    is_decoded: bool
    plan: FieldPlan = field(compare=False, repr=False)
    _hash: int = field(init=False, repr=False, compare=False, default=0)
    _values: ValueDecoder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Looked up in each batch, and there may be a form for each of ten thousand files.
        parts = (self.sources, self.encodings, self.delivered, self.is_decoded)
        object.__setattr__(self, "_hash", hash(parts))
        values = ValueDecoder(self.encodings, self.delivered, is_decoded=self.is_decoded)
        object.__setattr__(self, "_values", values)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self).of, is_looked_at=not self.is_uniform), (self.plan,)

    @classmethod
    def of(cls, plan: FieldPlan, *, is_looked_at: bool = False) -> FieldSource:
        """The source of a field.

        Args:
            plan: the field.
            is_looked_at: look at each number on the way, also where that can be done afterwards.
        """
        by_type = {
            form.dtype: DatasetColumn(plan.path, plan.member, form.dtype, plan.row_shape)
            for form in plan.forms
        }
        return cls(
            tuple(by_type[form.dtype] for form in plan.forms),
            tuple(form.encoding for form in plan.forms),
            "" if plan.is_uniform and not is_looked_at else plan.spec.dtype,
            plan.is_decoded,
            plan,
        )

    @property
    def is_uniform(self) -> bool:
        """Whether all files store the field alike, as the numbers that are delivered."""
        return not self.delivered

    @property
    def buffer(self) -> np.dtype[Any]:
        """The type of a buffer for its rows."""
        stored = np.dtype(self.sources[0].dtype).newbyteorder("=")
        return stored if self.is_uniform else delivery_dtype(self.delivered)

    def form_in(self, file: int) -> int:
        """The form that a file has."""
        return 0 if self.plan.form_of is None else int(self.plan.form_of[file])

    def parts(self, take: ReadRequest, files: Int64Array) -> Iterator[FieldPart]:
        """What is taken, by stored type; each part with a buffer of that type.

        Args:
            take: what is taken from some files.
            files: their numbers.
        """
        form_of = self.plan.form_of
        forms = np.zeros(len(files), np.int64) if form_of is None else form_of[files].astype(np.int64)
        types: dict[DatasetColumn, list[int]] = {}
        for place, form in enumerate(forms.tolist()):
            types.setdefault(self.sources[form], []).append(place)
        for source, places in types.items():
            some = take.of(places)
            out = np.empty((len(some.rows), *source.row_shape), np.dtype(source.dtype).newbyteorder("="))
            part = ReadRequest(source, some.borders, some.rows, np.arange(len(some.rows)), out)
            yield FieldPart(places, forms[places], some.slots, part)

    def delivered_rows(self, part: FieldPart, paths: Sequence[str]) -> npt.NDArray[Any]:
        """The rows of a part as they are delivered.

        Args:
            part: what was read.
            paths: the files that it was read from.

        Raises:
            MissingDataError: a number that stands for a missing value, where they are not decoded.
            FieldError: a value that the delivered type cannot hold.
        """
        take = part.take
        try:
            return self._values.of(take.out, part.forms.repeat(take.sizes))
        except ValueAtError as error:
            row = error.place[0]
            file = int(take.borders.searchsorted(row, side="right")) - 1
            where = f"row {int(take.rows[row])} of {paths[file]}"
            raise self._explained(error, take.out, int(part.forms[file]), where) from None

    def delivered_whole(self, values: npt.NDArray[Any], form: int, path: str) -> npt.NDArray[Any]:
        """A constant as it is delivered; see `delivered_rows`.

        Args:
            values: what was read.
            form: the form that the file has.
            path: the file.
        """
        one = values[None]
        try:
            delivered: npt.NDArray[Any] = self._values.of(one, np.asarray([form]))[0, ...]
            return delivered
        except ValueAtError as error:
            where = f"{list(error.place[1:])} in {path}" if values.ndim else path
            raise self._explained(error, one, form, where) from None

    def _explained(
        self, error: ValueAtError, stored: npt.NDArray[Any], form: int, where: str
    ) -> H5LightningError:
        plan, value = self.plan, stored[error.place]
        what = f"field {plan.key!r} ('/{plan.path}') holds {value!s} at {where}"
        if isinstance(error, LostValueError):
            decoded = ", decoded," if self.is_decoded else ""
            return FieldError(
                f"{what}, which{decoded} {self.delivered} cannot hold. Choose another Field(dtype=…), or convert in a "
                "transform"
            )
        encoding = self.encodings[form]
        said = ", ".join(encoding.said_by) if encoding is not None else ""
        if encoding is not None and encoding.kind == "codes":
            return MissingDataError(
                f"{what}, which is the number of no category. {plan.as_asked.text(decode='stored')} delivers the "
                "stored numbers; a run that stopped here goes on from its checkpoint with it"
            )
        return MissingDataError(
            f"{what}, which stands for a missing value ({said}). {remedy(plan.as_asked)}. A run that stopped here "
            "goes on from its checkpoint with either"
        )
