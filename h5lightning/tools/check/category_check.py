"""Check that the delivered numbers of categories are those of the values that h5py finds in the files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.formatting import counted
from h5lightning.core.progress import Advance
from h5lightning.errors import H5LightningError
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.planning.fields import (
    ConstantField,
    FieldPlan,
    JoinedField,
    RowField,
    SeriesField,
    StoredField,
)
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.tools.check.run import CheckResult, CheckRun, DrawnUnit, describe_id
from h5lightning.tools.check.slice_check import as_numpy
from h5lightning.tools.check.sliced_samples import is_sliced
from h5lightning.tools.check.stored_categories import stored_values

__all__ = ["check_categories", "has_categories"]

Array = npt.NDArray[Any]


def has_categories(run: CheckRun) -> bool:
    """Whether a field delivers numbers of categories that can be compared."""
    return any(isinstance(plan, StoredField) for plan in _coded(run.data.survey.fields.plans))


def check_categories(run: CheckRun, advance: Advance) -> CheckResult:
    """Samples of each file have the numbers of the categories that its values have."""
    failures: list[str] = []
    keys: set[str] = set()
    samples = 0
    with run.open_files() as pool:
        for file in run.files(advance):
            fields = run.fields_of(file)
            reader = BatchReader(run.index, fields, run.reader, run.access)
            for plan in _coded(fields.plans):
                if not isinstance(plan, StoredField) or is_sliced(run, plan, plan):
                    continue
                for drawn in run.drawn_units(file):
                    found = _wrong(run, pool, reader, plan, drawn)
                    if found is None:
                        continue
                    keys.add(plan.key)
                    samples += len(drawn.ids)
                    failures.extend(found)
    scope = f"{counted(len(keys), 'field')}, {counted(samples, 'sample')}"
    return CheckResult("numbers of categories are those of the values", scope, tuple(failures))


def _coded(plans: tuple[FieldPlan, ...]) -> Iterator[FieldPlan]:
    return (plan for plan in plans if plan.categories is not None and not isinstance(plan, JoinedField))


def _wrong(
    run: CheckRun, pool: HandlePool, reader: BatchReader, plan: StoredField, drawn: DrawnUnit
) -> list[str] | None:
    """What is wrong with the samples of one unit; None if nothing is known of its values."""
    path = run.index.path(int(run.index.unit_files[drawn.unit]))
    values = stored_values(pool, path, run.path_in(plan, drawn.unit), plan.member)
    if values is None:
        return None
    try:
        delivered = as_numpy(reader.read(drawn.ids, [plan.key])[plan.key])
    except H5LightningError as error:
        return [f"{run.name_of(drawn.unit)}: {error}"]
    expected = _rows(run, plan, drawn, values)
    if expected.size != delivered.size:
        return None  # letters, of which the values are words
    expected = expected.reshape(delivered.shape)
    categories = plan.categories
    number_of = {} if categories is None else _number_of(categories.names, is_text=categories.is_text)
    none = None if categories is None else categories.unknown
    for sample, own in enumerate(expected):
        numbers = [number_of.get(value, none) for value in np.ravel(own).tolist()]
        if np.ravel(delivered[sample]).tolist() != numbers:
            where = describe_id(run.index, int(drawn.ids[sample]))
            texts = ", ".join(map(repr, np.ravel(own).tolist()[:3]))
            return [f"{plan.title} holds {texts}, and other numbers are delivered for it, first in {where}"]
    return []


def _rows(run: CheckRun, plan: StoredField, drawn: DrawnUnit, values: Array) -> Array:
    """The values of each sample, of all that a dataset has."""
    if isinstance(plan, ConstantField) or not isinstance(plan, (RowField, SeriesField)):
        return np.broadcast_to(values, (len(drawn.ids), *values.shape))
    leading = plan.leading if isinstance(plan, RowField) else 1
    rows = values.reshape(-1, *values.shape[leading:])
    offsets = plan.offsets if isinstance(plan, RowField) else np.zeros(1, np.int64)
    found: Array = rows[run.first_rows(plan, drawn)[:, None] + offsets]
    return found


def _number_of(names: tuple[str, ...], *, is_text: bool) -> dict[Any, int]:
    return {(name if is_text else float(name)): number for number, name in enumerate(names)}
