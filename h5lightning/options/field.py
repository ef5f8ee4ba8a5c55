"""One entry of a sample: the dataset or attribute that it comes from, and the type in which it is delivered."""

from __future__ import annotations

import dataclasses
from typing import Any

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_bool, check_choice, check_text, make_plain

__all__ = ["DTYPES", "FLOAT_DTYPES", "Field"]

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
_INTEGER_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
DTYPES = (*FLOAT_DTYPES, "bool", *_INTEGER_DTYPES, "complex64", "complex128")


@dataclasses.dataclass(frozen=True)
class Field:
    """One entry of a sample.

    Args:
        path: path of the dataset in the file; with ``attr``, of the object that carries the attribute.
        attr: name of an attribute, whose value is the same for each sample of the file.
        steps: ``(start, stop)`` within the rows of the window, so that two fields can share one dataset.
        constant: the dataset has no sample axis (a grid, a mask): each sample gets all of it.
        member: the column of a compound dataset.
        dtype: the delivered type, such as ``"float32"``.
        ragged: what to do with samples of different length; ``"error"`` names the file that differs.
        decode: ``"cf"`` to decode the stored numbers as the attributes of each file say (``scale_factor``,
            ``add_offset``, ``_FillValue``, ``missing_value``, ``valid_range``, ``_Unsigned``; of NWB ``conversion`` and
            ``offset``): computed in float64, rounded once to ``dtype`` (default float32), with NaN for missing values.
            ``"stored"`` to deliver the stored numbers, whatever these attributes say. None for an error if the
            attributes say that the stored numbers are not the values.
    """

    path: str = ""
    attr: str | None = None
    steps: tuple[int, int] | None = None
    constant: bool = False
    member: str | None = None
    dtype: str | None = None
    ragged: str = "error"
    decode: str | None = None

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
        if self.dtype is not None:
            check_choice("field.dtype", self.dtype, DTYPES)
        check_choice("field.ragged", self.ragged, ("error",))
        if self.decode is not None:
            check_choice("field.decode", self.decode, ("stored", "cf"))
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
        if not is_pair or not 0 <= steps[0] < steps[1]:
            raise OptionError(f"field.steps must be (start, stop) with 0 <= start < stop, found {steps!r}")
        object.__setattr__(self, "steps", tuple(steps))

    def _check_combination(self) -> None:
        if self.attr is not None and (self.constant or self.steps or self.member or self.decode):
            raise OptionError(
                f"the field of attribute {self.attr!r} is the same for each sample of a file: "
                "remove constant, steps, member and decode"
            )
        if self.constant and self.steps:
            raise OptionError(f"the constant field {self.path!r} has no sample axis: remove steps")
