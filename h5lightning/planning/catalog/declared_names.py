"""The names that a file declares for stored numbers, by which numbers become categories without reading rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from h5lightning.planning.catalog.annotations import Annotations, Number
from h5lightning.planning.catalog.schema import UNREAD, DatasetSchema

__all__ = ["DeclaredNames", "declared_names", "enumerated_names"]


@dataclass(frozen=True, slots=True)
class DeclaredNames:
    """The names of stored numbers.

    Args:
        numbers: stored numbers that have a name.
        names: the name of each.
        problem: why the numbers have no names here, though the file declares some, as the predicate of a sentence about
            the dataset; empty if they have.
    """

    numbers: tuple[Number, ...] = ()
    names: tuple[str, ...] = ()
    problem: str = ""


def declared_names(
    dataset: DatasetSchema, annotations: Annotations, member: str | None = None
) -> DeclaredNames | None:
    """The names of the stored numbers of a dataset or of a column; None if the file declares none.

    They are those of an enumeration; of the codes of AnnData and pandas; or of ``flag_values`` of netCDF, which the
    scan looks for only where values were requested. Numbers with a long list of names have a problem here: the scan
    reads what such rows mean, see `RowValues`.

    Args:
        dataset: its schema.
        annotations: what the file says about it; the schemas in the layouts of a catalog have none.
        member: the column of a table; None for a dataset that is none.
    """
    value = dataset.value(member)
    if value is None:
        return None
    if member is None and annotations.flags is not None:
        flags = annotations.flags
        return DeclaredNames(flags.values, flags.names, flags.problem)
    if value.vocabulary:
        how = "of which it names" if not value.vocabulary.startswith(UNREAD) else "whose names were"
        return DeclaredNames(problem=f"holds numbers of categories, {how} {value.vocabulary}")
    return None if value.categories is None else enumerated_names(value.categories, value.category_values)


def enumerated_names(categories: Sequence[str], values: Sequence[int]) -> DeclaredNames:
    """The names of an enumeration; arguments as `DatasetSchema` has them."""
    if not values:
        return DeclaredNames(tuple(range(len(categories))), tuple(categories))
    pairs = zip(values, categories, strict=True)
    return DeclaredNames(tuple(values), tuple(name.removesuffix(f"={number}") for number, name in pairs))
