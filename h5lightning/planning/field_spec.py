"""What is delivered of a field, and how files store it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from h5lightning.errors import FieldError, MissingFieldError
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.planning.values.categories import CodeNames

__all__ = ["FieldSpec", "StoredForm", "class_count"]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What a model sees of a field.

    Args:
        shape: shape of one sample, without the batch axis; None along an axis whose length varies.
        dtype: name of the tensor's type, such as ``float32``.
        classes: names of the values, where the field has categories.
        columns: names of what a list joins, one for each entry of the joined axis: paths; of columns, their names,
            after the path if there are several paths. A dataset of several entries numbers them: ``u[0]``, ``u[1]``.
            None for a field that is no list.
    """

    shape: tuple[int | None, ...]
    dtype: str
    classes: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None

    @property
    def varies(self) -> bool:
        """Whether samples have different shapes."""
        return None in self.shape

    @property
    def fixed_shape(self) -> tuple[int, ...]:
        """The shape of all samples.

        Raises:
            ValueError: a length varies.
        """
        lengths = tuple(length for length in self.shape if length is not None)
        if len(lengths) < len(self.shape):
            raise ValueError(f"the samples have different shapes: {self.shape}")
        return lengths


def class_count(spec: Mapping[str, FieldSpec], key: str) -> int:
    """The number of categories of a field.

    Raises:
        MissingFieldError: there is no such field.
        FieldError: it has no categories.
    """
    if key not in spec:
        raise MissingFieldError(f"there is no field {key!r}{did_you_mean(key, spec)}")
    classes = spec[key].classes
    if classes is None:
        raise FieldError(
            f"field {key!r} has no categories: Field(…, categories=True) finds the values that occur, and a list of "
            "values chooses them"
        )
    return len(classes)


@dataclass(frozen=True, slots=True)
class StoredForm:
    """One of the ways in which files store a field.

    Args:
        dtype: NumPy type string of the stored elements.
        encoding: how stored numbers represent values, where they must be checked or decoded; else None.
        names: what stored numbers stand for, where the numbers of categories are delivered; None where they are the
            values.
    """

    dtype: str
    encoding: Encoding | None = None
    names: CodeNames | None = None
