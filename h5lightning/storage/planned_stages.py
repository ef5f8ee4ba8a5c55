"""The fields of each stage, planned from the catalog; files are looked at again only for errors and first images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.options import Access, Field
from h5lightning.options.coerce import SeriesOption
from h5lightning.options.samples import Samples, StageSamples
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import ChecksumTable
from h5lightning.planning.catalog.roles import Roles, predict_and_labelled
from h5lightning.planning.conventions.column_labels import check_labels
from h5lightning.planning.conventions.same_values import check_same
from h5lightning.planning.field_planning import plan_fields
from h5lightning.planning.fields import Fields
from h5lightning.planning.predicted_fields import present_fields
from h5lightning.planning.sections import fields_of_stages
from h5lightning.planning.series.axes import with_axes
from h5lightning.planning.series.row_index import with_known_ends
from h5lightning.planning.values.categories import Categories
from h5lightning.storage.first_bytes import first_bytes_in
from h5lightning.storage.scanning.looking_again import (
    attrs_in,
    differences_between,
    names_in,
)

__all__ = ["PlanOptions", "as_planned", "plan_stages"]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user said, beside the fields.

    Args:
        access: how files are opened and trusted.
        dtype: the type in which floating fields are delivered.
        series: what a series is.
        checksums: verify what is read for planning; None without them.
        checks_rows: whether a row without a category is an error now; conditions may still leave it out.
    """

    access: Access
    dtype: str | None
    series: SeriesOption
    checksums: ChecksumTable | None
    checks_rows: bool


def plan_stages(
    catalog: Catalog,
    fields: Mapping[str, Field] | None,
    samples: StageSamples,
    roles: Roles,
    options: PlanOptions,
) -> tuple[dict[str, Fields], Fields | None]:
    """The fields of each stage, and the fields of ``files.predict``, if there are such files.

    Raises:
        H5LightningError: a field that cannot be planned, or files that disagree in one.
    """
    access, series = options.access, options.series
    predict, labelled = predict_and_labelled(roles, catalog)
    difference_of = differences_between(catalog, locking=access.locking)

    def plan(
        files: Int64Array,
        fields: Mapping[str, Field] | None,
        layout: Samples,
        known: Mapping[str, Categories] | None = None,
    ) -> Fields:
        return plan_fields(
            catalog,
            fields,
            layout,
            dtype=options.dtype,
            series=series,
            on_missing=access.on_missing,
            same=tuple(access.same),
            allow_empty=access.on_bad_file == "skip",
            files=files,
            names_in=lambda unit: names_in(catalog.unit_path(unit)),
            attrs_in=lambda unit, owner: attrs_in(catalog, unit, owner),
            difference_of=difference_of,
            categories=known,
            checks_rows=options.checks_rows,
            first_bytes=first_bytes_in(catalog, options.checksums, access),
        )

    only_predict = bool(predict.size) and not labelled.size
    chosen = fields and present_fields(catalog, fields, predict) if only_predict else fields
    units = predict if only_predict else labelled
    planned = fields_of_stages(samples, lambda layout: plan(units, chosen, layout))
    catalog = with_known_ends(catalog, chosen or {}, planned["train"].rows, units)
    predicted = planned["predict"] if only_predict else None
    if predict.size and not only_predict:
        chosen = fields or with_axes(as_planned(planned["train"]), samples.train, series)
        present, known = present_fields(catalog, chosen, predict), planned["train"].categories()
        predicted = plan(predict, present, samples.of("predict"), known)
        # A model that was trained on one order of columns predicts nonsense on another.
        everything = np.arange(catalog.unit_count)
        check_same(catalog, tuple(access.same), everything, difference_of=difference_of)
        remarks = check_labels(catalog, chosen, everything, difference_of=difference_of)
        trained, told = planned["train"], replace(planned["train"], remarks=remarks)
        planned = {stage: told if one is trained else one for stage, one in planned.items()}
        planned["predict"] = predicted
    return planned, predicted


def as_planned(planned: Fields) -> dict[str, Field]:
    """The fields that planning chose for a user who named none."""
    return {plan.key: Field(plan.path) for plan in planned.plans}
