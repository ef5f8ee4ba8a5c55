"""The fields of samples if the user names none: all datasets that can be fields."""

from __future__ import annotations

from collections.abc import Sequence

from h5lightning.core.arrays import Int64Array
from h5lightning.core.families import families_text, fold
from h5lightning.core.formatting import listed
from h5lightning.errors import FieldError
from h5lightning.options import Field, Samples
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.conventions.same_values import is_same

__all__ = ["all_eligible"]

_MOST_LISTED = 12


def all_eligible(
    catalog: Catalog, files: Int64Array, same: Sequence[str], samples: Samples
) -> dict[str, Field]:
    """All datasets that can be fields, by their paths.

    Args:
        catalog: what the files store.
        files: the files that must agree; the first one says which datasets there are.
        same: paths of datasets that must be the same in all files, which are no fields.
        samples: how samples lie in a series.

    Raises:
        FieldError: there is none, or they have different lengths along the axis of rows.
    """
    schema = catalog.schema(int(files[0]))
    eligible = [
        dataset
        for dataset in schema.datasets
        if not dataset.refusal and dataset.shape and not is_same(dataset.path, same)
    ]
    where = catalog.where(int(files[0]))
    if not eligible:
        refused = "; ".join(
            f"'/{dataset.path}' {dataset.refusal or 'is a scalar'}" for dataset in schema.datasets[:8]
        )
        raise FieldError(f"{where} holds no dataset that can be a field. {refused or 'It holds none at all'}")
    axis = samples.axes[0]
    # Those without that axis count as having no length: they are named, too.
    shapes = [dataset.shape for dataset in eligible]
    lengths = {shape[axis] if -len(shape) <= axis < len(shape) else None for shape in shapes}
    if len(lengths) > 1:
        raise FieldError(
            f"{where} holds datasets of different lengths, so fields must say which to use. {_candidates(eligible)}"
        )
    return {dataset.path: Field(dataset.path) for dataset in eligible}


def _candidates(eligible: Sequence[DatasetSchema]) -> str:
    """The datasets that can be fields, those of numbered siblings as one, and an example."""
    families, others = fold(dataset.path for dataset in eligible)
    shapes = {dataset.path: dataset.shape for dataset in eligible}
    texts = [f"'{path}' {shapes[path]}" for path in others]
    told = f"Candidates: {listed(texts, _MOST_LISTED)}. " if texts else ""
    if families:
        return f"{told}{families_text(families)}: a '*' makes each one a series"
    return f"{told}For example fields={{'x': '{others[0]}'}}"
