"""The fields of unlabelled data, which may lack some of the fields of a training."""

from __future__ import annotations

from collections.abc import Mapping

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.core.visible import visible_logger
from h5lightning.options import Field
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.field_planning import has_rows

__all__ = ["present_fields"]

_logger = visible_logger(__name__)


def present_fields(catalog: Catalog, fields: Mapping[str, Field], files: Int64Array) -> Mapping[str, Field]:
    """The fields of unlabelled data; all fields if none has rows, so that planning names the missing one."""
    present = {key: field for key, field in fields.items() if _is_in_any(catalog, field, files)}
    present = {key: field for key, field in present.items() if (field.derived_from or key) in present}
    if not any(has_rows(field) for field in present.values()):
        return fields
    if lacking := [key for key in fields if key not in present]:
        _logger.info("files.predict lack %s: their batches do not have them", ", ".join(map(repr, lacking)))
    return present


def _is_in_any(catalog: Catalog, field: Field, files: Int64Array) -> bool:
    """Whether any of the files has the field: a field that all of them lack is unlabelled data, not a mistake.

    A list is there if all its datasets are.
    """
    if field.attr is not None:
        attrs, number_of = catalog.distinct_attrs
        used = distinct(number_of[files])[0].tolist()
        return any(f"{field.path}@{field.attr}" in attrs[number] for number in used)
    return all((catalog.facts_of(part.path)[files, 0] > -2).any() for part in field.parts())
