"""Attributes with categories: each sample of a file gets the number of the category of its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, distinct
from h5lightning.errors import H5LightningError, OptionError, UnsupportedFieldError
from h5lightning.options import SingleField
from h5lightning.planning.attribute_values import check_shapes, described_attribute, distinct_values
from h5lightning.planning.categories import category_spec
from h5lightning.planning.category_errors import unknown_value
from h5lightning.planning.compared_files import ComparedFiles
from h5lightning.planning.fields import FieldPlan, StoredForm
from h5lightning.planning.values.categories import NO_CATEGORY, Categories, Value
from h5lightning.planning.values.conversions import delivery_dtype

__all__ = ["CategoryAttributeField", "plan_category_attribute"]
