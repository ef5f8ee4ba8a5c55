"""Which files and units are those of ``files.predict``, and which have labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.catalog.catalog import Catalog

__all__ = ["Roles", "predict_and_labelled", "predict_files"]


Roles = Mapping[str, Int64Array] | None


def predict_files(roles: Roles) -> Int64Array:
    """The files of ``files.predict``."""
    return (roles or {}).get("predict", np.zeros(0, dtype=np.int64))


def predict_and_labelled(roles: Roles, catalog: Catalog) -> tuple[Int64Array, Int64Array]:
    """The units of ``files.predict``, which may lack fields, and all others, which must have all fields."""
    predict = catalog.units_of(predict_files(roles))
    is_labelled = np.ones(catalog.unit_count, np.bool_)
    is_labelled[predict] = False
    return predict, np.flatnonzero(is_labelled)
