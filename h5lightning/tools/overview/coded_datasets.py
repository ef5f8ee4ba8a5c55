"""Datasets of numbers for which their files have names: columns of AnnData, enumerations, flags of netCDF."""

from __future__ import annotations

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.schema_difference import explain_difference
from h5lightning.tools.overview.dataset_paths import words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary

__all__ = ["files_alike_but_names", "has_several_lists", "is_cell_type", "names_numbers", "path_of_names"]

_CODES = "/codes"
_CELL_TYPE = frozenset(["cell", "type"])


def names_numbers(dataset: DatasetSummary) -> bool:
    """Whether the files have names for its numbers."""
    said = (notes.encoding for notes, _ in dataset.annotations)
    is_flag = any(encoding is not None and encoding.kind == "codes" for encoding in said)
    return is_flag or bool(dataset.schema.categories or dataset.schema.vocabulary)


def has_several_lists(dataset: DatasetSummary) -> bool:
    """Whether files differ in the names, so that one number stands for several."""
    lists = {(variant.schema.categories, variant.schema.vocabulary) for variant in dataset.variants}
    return names_numbers(dataset) and len(lists) > 1


def is_cell_type(dataset: DatasetSummary) -> bool:
    """Whether it is a column of AnnData with the types of cells."""
    path = path_of_names(dataset)
    return path != dataset.path and words_of(path.rpartition("/")[2]) >= _CELL_TYPE and names_numbers(dataset)


def path_of_names(dataset: DatasetSummary) -> str:
    """The path that a field with categories names: that of the column, of which AnnData makes a group."""
    is_group = dataset.path.endswith(_CODES) and names_numbers(dataset)
    return dataset.path.removesuffix(_CODES) if is_group else dataset.path


def files_alike_but_names(dataset: DatasetSummary) -> Int64Array:
    """The files whose rows fit into one batch with those of the most frequent layout, whatever the names."""
    alike = [
        variant.files
        for variant in dataset.variants
        if not explain_difference(variant.schema, dataset.schema, any_categories=True)
    ]
    return np.unique(np.concatenate(alike))
