"""Values that mean something: text, and numbers that stand for names, in all forms in which files hold them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from judging.trees import Storage

__all__ = ["FORMS", "MEMBER", "SOURCE", "Labels", "meanings", "plain"]

Array = npt.NDArray[Any]

MEMBER = "label"  # the column of records that holds the values
# Text; codes with names beside them; numbers.
FORMS = {
    "text": (
        "text",
        "fixed",
        "anndata",
        "reference",
        "enum",
        "flags",
        "column:text",
        "column:fixed",
        "column:enum",
    ),
    "numbers": ("numbers:<i4", "numbers:<u2", "numbers:>i8", "numbers:<f4", "masked", "column:numbers"),
    "bool": ("numbers:|b1",),
}


def write_labels(
    file: Any, path: str, form: str, values: Any, names: Any, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    """Write values in one of the forms; None is a missing one."""
    kind, _, what = form.partition(":")
    own = [int(name) if isinstance(name, bool) else 3 * place + 1 for place, name in enumerate(names)]
    of_enum = h5py.enum_dtype(dict(zip(map(str, names), own, strict=True)), "i1")
    fixed = h5py.string_dtype("utf-8", 16)

    def array(data: Any, dtype: Any) -> Any:
        return np.array(list(data), dtype).reshape(shape)

    texts = [name if isinstance(name, str) else str(name) for name in values]
    codes = [-1 if one is None else list(names).index(one) for one in values]
    if kind == "text":
        file.create_dataset(path, data=array(texts, object), dtype=h5py.string_dtype(), **options)
    elif kind == "fixed":
        file.create_dataset(path, data=array([one.encode() for one in texts], fixed), **options)
    elif kind == "anndata":
        group = file.create_group(path)
        group.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        group.create_dataset("codes", data=array(codes, "i1"), **options)
        group.create_dataset("categories", data=list(names), dtype=h5py.string_dtype())
    elif kind == "reference":
        where, _, name = path.rpartition("/")
        beside = file.create_dataset(
            f"{where}/__categories/{name}", data=list(names), dtype=h5py.string_dtype()
        )
        file.create_dataset(path, data=array(codes, "i1"), **options).attrs["categories"] = beside.ref
    elif kind == "enum":
        numbers = [own[code] for code in codes]
        file.create_dataset(path, data=array(numbers, "i1"), dtype=of_enum, **options)
    elif kind == "flags":
        made = file.create_dataset(path, data=array([own[code] for code in codes], "i1"), **options)
        made.attrs["flag_values"] = np.array(own, "i1")
        made.attrs["flag_meanings"] = " ".join(names)
    elif kind == "numbers":
        file.create_dataset(
            path, data=array([np.nan if one is None else one for one in values], what), **options
        )
    elif kind == "masked":
        group = file.create_group(path)
        group.attrs.update({"encoding-type": "nullable-integer", "encoding-version": "0.1.0"})
        group.create_dataset("values", data=array([one or 0 for one in values], "<i4"), **options)
        group.create_dataset("mask", data=array([one is None for one in values], "|b1"), **options)
    else:
        types = {"text": h5py.string_dtype(), "fixed": fixed, "enum": of_enum, "numbers": np.dtype("<i2")}
        records = np.zeros(shape, [("n", "<f4"), ("label", types[what])])
        numbers = [own[code] for code in codes] if what == "enum" else values
        records["label"] = (
            array(texts, object)
            if what == "text"
            else (array([one.encode() for one in texts], fixed) if what == "fixed" else array(numbers, "<i4"))
        )
        file.create_dataset(path, data=records, **options)


# For printed programs.
SOURCE = "from typing import Any\n" + inspect.getsource(write_labels)


@dataclass(frozen=True)
class Labels:
    """A dataset, or a group, of such values.

    Args:
        path: where it lies.
        form: one of `FORMS`.
        values: text or numbers, in the order of the dataset; None for a missing one.
        names: the list beside codes, in its order.
        shape: of the dataset.
        storage: how it is stored.
    """

    path: str
    form: str
    values: tuple[Any, ...]
    names: tuple[Any, ...]
    shape: tuple[int, ...]
    storage: Storage

    @property
    def member(self) -> str | None:
        """The column of records that holds the values."""
        return MEMBER if self.form.startswith("column") else None

    def write(self, file: h5py.File) -> None:
        """Write it."""
        options = self.storage.options(self.shape)
        write_labels(file, self.path, self.form, self.values, self.names, self.shape, options)

    def code(self) -> str:
        """The statement that writes it."""
        options = self.storage.options(self.shape)
        arguments = (self.path, self.form, self.values, self.names, self.shape, options)
        return f"write_labels(file, {', '.join(map(repr, arguments))})"


# ── what they mean ───────────────────────────────────────────────────────────────────────────────────


def plain(value: Any) -> Any:
    """Text or a number of Python; None for a missing value."""
    value = value.item() if isinstance(value, np.generic) else value
    value = value.decode() if isinstance(value, bytes) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def meanings(name: str, item: h5py.Dataset | h5py.Group) -> Iterator[tuple[str, Array]]:
    """Names and values of what an object holds; of records, the name of each column is in brackets."""
    if isinstance(item, h5py.Group):
        if {"codes", "categories"} <= set(item):
            yield name, _named(item["codes"][()], list(item["categories"].asstr()[()]))
        elif {"values", "mask"} <= set(item):
            yield name, _each(item["values"][()], lambda value: value, item["mask"][()])
        return
    if item.dtype.names:
        for member in item.dtype.names:
            values = item.fields(member)[()] if item.size else np.zeros(item.shape, item.dtype[member])
            yield f"{name}[{member}]", _meant(values, item.dtype[member])
    elif isinstance(categories := item.attrs.get("categories"), h5py.Reference):
        yield name, _named(item[()], list(item.file[categories].asstr()[()]))
    elif "flag_meanings" in item.attrs:
        numbers = list(map(int, item.attrs["flag_values"]))
        names = dict(zip(numbers, item.attrs["flag_meanings"].split(), strict=True))
        yield name, _each(item[()], names.get)
    else:
        yield name, _meant(item[()], item.dtype)


def _meant(values: Any, dtype: Any) -> Array:
    numbers = h5py.check_enum_dtype(dtype)
    if numbers is not None:
        names = {number: name for name, number in numbers.items()}
        return _each(values, names.get)
    return _each(values, lambda value: value)


def _named(codes: Array, names: list[str]) -> Array:
    return _each(codes, lambda code: names[code] if code >= 0 else None)


def _each(values: Any, meaning: Any, missing: Array | None = None) -> Array:
    values = np.asarray(values)
    found = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        one = plain(values[place])
        found[place] = None if one is None or (missing is not None and missing[place]) else meaning(one)
    return found
