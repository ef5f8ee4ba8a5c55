"""One entry of a sample: the dataset or attribute that it comes from, and the type in which it is delivered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from h5lightning.errors import OptionError
from h5lightning.options.checks import (
    LARGEST_INT,
    check_bool,
    check_choice,
    check_int,
    check_text,
    clean_path,
    make_plain,
)
from h5lightning.options.name_lists import as_list, category_values, check_names

__all__ = ["DTYPES", "FLOAT_DTYPES", "JOINS", "Field", "SingleField", "single_fields"]

_RAGGED = ("error", "list", "stack", "pad", "concat")
_DECODINGS = ("stored", "cf", "image", "bytes")
_LAYOUTS = ("HWC", "CHW")
_PADDING, _LENGTH, _TABLE = "pad:", "length:", "table:"
FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
_INTEGER_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
JOINS = ("last", "first", "concat")
DTYPES = (*FLOAT_DTYPES, "bool", *_INTEGER_DTYPES, "complex64", "complex128")


@dataclasses.dataclass(frozen=True)
class Field:
    """One entry of a sample.

    Args:
        path: path of the dataset in the file; with ``attr``, of the object that carries the attribute. A ``*`` makes
            each match a series: ``data/*/actions``. ``pad:KEY`` for the padding of the field ``KEY``, ``length:KEY``
            for the lengths of its ragged samples, ``table:COLUMN`` for a column of the table beside the files. A list
            of paths makes one tensor of several datasets, see ``join``.
        attr: name of an attribute, whose value is the same for each sample of a series.
        steps: ``(start, stop)``, steps of the window relative to its first row, so that two fields can share one
            dataset; they may be negative, or lie beyond its length.
        constant: the dataset has no sample axis (a grid, a mask): each sample gets all of it.
        member: the column of a compound dataset. A list of columns makes one tensor of them; with a list of paths too,
            it has these columns of the first dataset, then those of the second, and so on.
        join: how a list becomes one tensor. ``"last"`` stacks values of one shape along a new last axis, and
            ``"first"`` along a new first axis of a row, after the time of a window, or along a new first axis of the
            sample where windows lie along other axes; a dataset with one axis more brings several entries of that
            axis. ``"concat"`` joins along the last axis of a row. Single numbers are stacked by all three.
        dtype: the delivered type, such as ``"float32"``.
        ragged: what to do with samples of different shapes. ``"error"`` names two that differ. ``"list"`` delivers a
            list of N tensors. ``"stack"`` says that all have one shape after the transform. ``"pad"`` fills with zeros
            along each axis that differs, to the longest sample of the batch: ``(N, longest, …)``. ``"concat"`` puts
            samples that differ along the first axis one after the other: ``(sum of lengths, …)``. ``length:KEY`` gives
            the lengths, ``(N,)`` int64, and ``pad:KEY`` says which entries are padding, ``(N, longest)`` bool.
        decode: ``"cf"`` to decode the stored numbers as the attributes of each file say (``scale_factor``,
            ``add_offset``, ``_FillValue``, ``missing_value``, ``valid_range``, ``_Unsigned``; of NWB ``conversion`` and
            ``offset``): computed in float64, rounded once to ``dtype`` (default float32), with NaN for missing values.
            ``"image"`` to decode the JPEG or PNG of each row, stored as bytes of variable or fixed length, or as uint8
            with zeros at its end: uint8, RGB ``(height, width, 3)`` or gray ``(height, width)``, without alpha; see
            ``layout``. The first image of each file says the size of all; with ``ragged``, sizes may differ.
            ``"bytes"`` for the bytes of each row, a list of N ``bytes``; of a window, a list of lists. ``"stored"`` to
            deliver the stored numbers, whatever these attributes say. None for an error if the attributes say that the
            stored numbers are not the values.
        axis: the axis along which the rows of this field lie, if it is not that of ``samples``; for windows along
            several axes, as many. A field that says ``axis``, ``series_axis`` or ``constant`` inherits neither axis.
        series_axis: the axis of this field whose entries are series, if it is not that of ``series``.
        extra_rows: this field may have so many rows more than the others in each series, such as the last observation
            of an episode.
        index: path of the dataset that divides this one into rows of unequal length: the end of each row (VectorIndex
            of NWB), or n + 1 offsets. A sample is then one of these rows, ``(length, …)``; see ``ragged``.
        categories: deliver the number of the category of each value, int64: True for all values that occur in any file,
            sorted, or a list of values in the order of their numbers. For text, for codes with a list of names beside
            them, for whole numbers; also in attributes, and in columns of tables.
        unknown: the number of values that are no category, and of missing ones, such as -1; None for an error.
        layout: of decoded images in color: ``"HWC"`` or ``"CHW"``, the order of height, width and channels.
    """

    later: ClassVar[tuple[str, ...]] = (
        *("axis", "series_axis", "extra_rows", "join", "index"),
        *("categories", "unknown", "layout"),
    )

    path: str | Sequence[str] = ""
    attr: str | None = None
    steps: tuple[int, int] | None = None
    constant: bool = False
    member: str | Sequence[str] | None = None
    dtype: str | None = None
    ragged: str = "error"
    decode: str | None = None
    axis: int | Sequence[int] | None = None
    series_axis: int | None = None
    extra_rows: int = 0
    join: str = "last"
    index: str | None = None
    categories: bool | Sequence[str | int] | None = None
    unknown: int | None = None
    layout: str = "HWC"

    def __post_init__(self) -> None:
        make_plain(self)
        check_text("field.attr", self.attr)
        check_bool("field.constant", self.constant)
        check_choice("field.join", self.join, JOINS)
        check_names("field.path", self.path)
        check_names("field.member", self.member)
        path: Any = self.path or ""
        path = clean_path(path) if isinstance(path, str) else tuple(map(clean_path, path))
        object.__setattr__(self, "path", path)
        if isinstance(self.member, list):
            object.__setattr__(self, "member", tuple(self.member))
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
        check_choice("field.ragged", self.ragged, _RAGGED)
        if self.decode is not None:
            check_choice("field.decode", self.decode, _DECODINGS)
        check_choice("field.layout", self.layout, _LAYOUTS)
        if self.layout != "HWC" and self.decode != "image":
            raise OptionError(
                f"field.layout={self.layout!r} is for decode='image', found decode={self.decode!r}: remove layout"
            )
        self._check_categories()
        self._check_axes()
        check_text("field.index", self.index)
        if self.index is not None:
            object.__setattr__(self, "index", clean_path(self.index))
        check_int("field.extra_rows", self.extra_rows, at_least=0)
        self._check_steps()
        self._check_combination()

    def text(self, **changes: Any) -> str:
        """The Python code of the field, with some options changed, for users to copy.

        Example:
            >>> Field("x", constant=True).text(decode="cf")
            "Field('x', constant=True, decode='cf')"
        """
        items = dataclasses.fields(Field)
        options = {item.name: as_list(getattr(self, item.name)) for item in items}
        if isinstance(self.categories, tuple):
            options["categories"] = list(self.categories)
        options |= changes
        defaults = {item.name: item.default for item in items}
        path = options.pop("path")
        arguments = [f"{name}={value!r}" for name, value in options.items() if value != defaults[name]]
        return f"Field({', '.join([*([repr(path)] if path else []), *arguments])})"

    @property
    def is_list(self) -> bool:
        """Whether it is made of a list of paths or columns, which are joined."""
        return not (isinstance(self.path, str) and (self.member is None or isinstance(self.member, str)))

    def parts(self) -> tuple[SingleField, ...]:
        """The field of each dataset and column that it is made of; of one alone, where there is no list.

        None for the padding or the lengths of another field, and for columns of the table beside the files, which are
        made of no dataset.
        """
        if self.derived_from is not None or self.table_columns:
            return ()
        paths = (self.path,) if isinstance(self.path, str) else self.path
        members = (self.member,) if self.member is None or isinstance(self.member, str) else self.member
        options = {item.name: getattr(self, item.name) for item in dataclasses.fields(Field)}
        options |= {"join": "last", "whole": self if self.is_list else None}
        return tuple(
            SingleField(**options | {"path": path, "member": member}) for path in paths for member in members
        )

    @property
    def is_encoded(self) -> bool:
        """Whether each of its values is read as the bytes of an image, or of anything else."""
        return self.decode in ("image", "bytes")

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The axes of its windows, or of its rows, if it says them; else None."""
        return self.axis if self.axis is None or isinstance(self.axis, tuple) else (cast("int", self.axis),)

    @property
    def padding_of(self) -> str | None:
        """The key of the field whose padding this is (``pad:KEY``); else None."""
        return self._after(_PADDING)

    @property
    def length_of(self) -> str | None:
        """The key of the field whose lengths these are (``length:KEY``); else None."""
        return self._after(_LENGTH)

    @property
    def table_columns(self) -> tuple[str, ...]:
        """The columns of the table beside the files that it is made of (``table:COLUMN``); none for other fields."""
        paths = (self.path,) if isinstance(self.path, str) else self.path
        is_table = self.attr is None and all(path.startswith(_TABLE) for path in paths)
        return tuple(path.removeprefix(_TABLE) for path in paths) if is_table else ()

    @property
    def derived_from(self) -> str | None:
        """The key of the field whose padding or lengths these are; else None."""
        return self.padding_of if self.length_of is None else self.length_of

    def _after(self, word: str) -> str | None:
        is_word = isinstance(self.path, str) and self.path.startswith(word) and self.attr is None
        return str(self.path).removeprefix(word) if is_word else None

    def _check_categories(self) -> None:
        values: Any = self.categories
        if values is False:
            values = None
            object.__setattr__(self, "categories", None)
        if values is None or values is True:
            if values is None and self.unknown is not None:
                raise OptionError(f"field.unknown={self.unknown!r} is for a field with categories")
        else:
            object.__setattr__(self, "categories", category_values(values))
        if self.unknown is not None:
            check_int("field.unknown", self.unknown, at_least=-LARGEST_INT)
        if values is not None and self.decode is not None:
            raise OptionError(
                f"field.categories and field.decode={self.decode!r}: the categories are of the values as the file "
                "means them: remove decode"
            )

    def _check_axes(self) -> None:
        if self.series_axis is not None:
            check_int("field.series_axis", self.series_axis, at_least=0)
        axes: Any = self.axis
        if axes is None or type(axes) is int:
            return
        if not isinstance(axes, list) or not axes or any(type(axis) is not int for axis in axes):
            raise OptionError(f"field.axis must be an integer, or a list of integers; found {axes!r}")
        if len(set(axes)) < len(axes):
            raise OptionError(f"field.axis names an axis twice: {axes!r}")
        object.__setattr__(self, "axis", tuple(axes) if len(axes) > 1 else axes[0])

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
            raise OptionError(f"the constant field {as_list(self.path)!r} has no sample axis: remove steps")
        self._check_table()
        if self.attr is not None and self.is_list:
            raise OptionError(
                f"the attribute {self.attr!r} can be of one object: found the paths {as_list(self.path)!r}. Make a "
                "field of each, and join them in a transform"
            )
        if self.index is not None and (
            self.attr is not None or self.steps or self.extra_rows or self.axis is not None
        ):
            raise OptionError(
                f"field {as_list(self.path)!r}: index={self.index!r} divides the rows of the dataset: remove attr, "
                "steps, axis and extra_rows"
            )
        if self.index is not None and self.constant and self.ragged != "list":
            raise OptionError(
                f"the constant field {as_list(self.path)!r} with index={self.index!r} is a list of tensors for each "
                f"sample: {Field.text(self, ragged='list')}"
            )
        if self.join != "last" and not self.is_list:
            raise OptionError(
                f"field.join={self.join!r} is for a list of paths or members: found path={self.path!r}, "
                f"member={self.member!r}"
            )

    def _check_table(self) -> None:
        """Raise `OptionError` for columns of a table with options of datasets, or in one list with datasets."""
        if not self.table_columns:
            paths = () if isinstance(self.path, str) or self.attr is not None else self.path
            if any(path.startswith(_TABLE) for path in paths):
                raise OptionError(
                    f"field {as_list(self.path)!r}: a list holds datasets, or columns of the table. Make a field of "
                    "each, and join them in a transform"
                )
            return
        for name in ("constant", "member", "axis", "series_axis", "extra_rows", "index", "decode"):
            if getattr(self, name) not in (None, False, 0):
                raise OptionError(
                    f"field {as_list(self.path)!r} is a column of the table, which has no {name}: remove it"
                )


@dataclasses.dataclass(frozen=True)
class SingleField(Field):
    """A field of one dataset or one of its columns: what planning looks at; see `Field.parts`.

    Args:
        whole: the field with the list that it is a part of, for messages; None where there is no list.
    """

    path: str = ""
    member: str | None = None
    whole: Field | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def may_differ(self) -> bool:
        """Whether its rows may have different shapes in different files."""
        return self.ragged != "error" and self.whole is None

    def text(self, **changes: Any) -> str:
        """The Python code of the field as the user wrote it, with some options changed; see `Field.text`."""
        return Field.text(self, **changes) if self.whole is None else self.whole.text(**changes)


def single_fields(fields: Mapping[str, Field]) -> Iterator[tuple[str, SingleField]]:
    """The parts of all fields, each with the key of its field."""
    return ((key, part) for key, field in fields.items() for part in field.parts())
