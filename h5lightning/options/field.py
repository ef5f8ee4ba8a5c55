"""One entry of a sample: the dataset or attribute that it comes from, and the type in which it is delivered."""

from __future__ import annotations

import dataclasses
from typing import Any

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_bool, check_choice, check_int, check_text, make_plain

__all__ = ["DTYPES", "FLOAT_DTYPES", "Field"]

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
_INTEGER_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
DTYPES = (*FLOAT_DTYPES, "bool", *_INTEGER_DTYPES, "complex64", "complex128")


@dataclasses.dataclass(frozen=True)
class Field:
    """One entry of a sample.

    Args:
        path: path of the dataset in the file; with ``attr``, of the object that carries the attribute. A ``*`` makes
            each match a series: ``data/*/actions``. ``pad:KEY`` for the padding of the field ``KEY``.
        attr: name of an attribute, whose value is the same for each sample of a series.
        steps: ``(start, stop)``, steps of the window relative to its first row, so that two fields can share one
            dataset; they may be negative, or lie beyond its length.
        constant: the dataset has no sample axis (a grid, a mask): each sample gets all of it.
        member: the column of a compound dataset.
        dtype: the delivered type, such as ``"float32"``.
        ragged: what to do with samples of different length; ``"error"`` names the file that differs.
        decode: ``"cf"`` to decode the stored numbers as the attributes of each file say (``scale_factor``,
            ``add_offset``, ``_FillValue``, ``missing_value``, ``valid_range``, ``_Unsigned``; of NWB ``conversion`` and
            ``offset``): computed in float64, rounded once to ``dtype`` (default float32), with NaN for missing values.
            ``"stored"`` to deliver the stored numbers, whatever these attributes say. None for an error if the
            attributes say that the stored numbers are not the values.
        axis: the axis along which the rows of this field lie, if it is not that of ``samples``. A field that says
            ``axis``, ``series_axis`` or ``constant`` inherits neither axis.
        series_axis: the axis of this field whose entries are series, if it is not that of ``series``.
        extra_rows: this field may have so many rows more than the others in each series, such as the last observation
            of an episode.
    """

    path: str = ""
    attr: str | None = None
    steps: tuple[int, int] | None = None
    constant: bool = False
    member: str | None = None
    dtype: str | None = None
    ragged: str = "error"
    decode: str | None = None
    axis: int | None = None
    series_axis: int | None = None
    extra_rows: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("path", "attr", "member"):
            check_text(f"field.{name}", getattr(self, name))
        check_bool("field.constant", self.constant)
        parts = (self.path or "").split("/")
        object.__setattr__(self, "path", "/".join(part for part in parts if part))
        if not (self.path if self.attr is None else self.attr):
            raise OptionError(
                f"a field needs a path, or attr= for an attribute; found path={self.path!r}, attr={self.attr!r}"
            )
        if self.path.count("*") > 1:
            raise OptionError(
                f"field.path may hold one '*', which makes each match a series; found {self.path!r}"
            )
        if self.dtype is not None:
            check_choice("field.dtype", self.dtype, DTYPES)
        check_choice("field.ragged", self.ragged, ("error",))
        if self.decode is not None:
            check_choice("field.decode", self.decode, ("stored", "cf"))
        for name in ("axis", "series_axis"):
            if getattr(self, name) is not None:
                check_int(f"field.{name}", getattr(self, name), at_least=0)
        check_int("field.extra_rows", self.extra_rows, at_least=0)
        self._check_steps()
        self._check_combination()

    def text(self, **changes: Any) -> str:
        """The Python code of the field, with some options changed, for users to copy.

        Example:
            >>> Field("x", constant=True).text(decode="cf")
            "Field('x', constant=True, decode='cf')"
        """
        options = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)} | changes
        defaults = {item.name: item.default for item in dataclasses.fields(self)}
        path = options.pop("path")
        arguments = [f"{name}={value!r}" for name, value in options.items() if value != defaults[name]]
        return f"Field({', '.join([*([repr(path)] if path else []), *arguments])})"

    def _check_steps(self) -> None:
        steps: Any = self.steps
        if steps is None:
            return
        is_pair = isinstance(steps, list) and [type(step) for step in steps] == [int, int]
        if not is_pair or not steps[0] < steps[1]:
            raise OptionError(f"field.steps must be (start, stop) with start < stop, found {steps!r}")
        object.__setattr__(self, "steps", tuple(steps))

    def _check_combination(self) -> None:
        if self.attr is not None and (self.constant or self.steps or self.member or self.decode):
            raise OptionError(
                f"the field of attribute {self.attr!r} is the same for each sample of a file: "
                "remove constant, steps, member and decode"
            )
        if self.constant and self.steps:
            raise OptionError(f"the constant field {self.path!r} has no sample axis: remove steps")
