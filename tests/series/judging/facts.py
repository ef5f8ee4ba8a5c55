"""Whether statistics and categories that a module tells are those of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from h5lightning import H5DataModule
from h5lightning.errors import H5LightningError
from judging.contract import Contract, Sample
from judging.disagreement import DisagreementError, expect
from judging.divisions import RefusedError
from judging.places import Array
from judging.scaling import Statistics, statistics_of
from judging.values import row_value

__all__ = ["check_classes", "check_statistics", "may_lack_numbers"]

_RANK_ERROR = 0.001


def check_classes(dm: H5DataModule, contract: Contract, rows: list[tuple[int, int]]) -> None:
    """Names, numbers and weights of all fields with categories.

    Args:
        dm: the module.
        contract: what the case means.
        rows: series and row of all that is trained with.

    Raises:
        DisagreementError: they differ.
    """
    for key, field in contract.fields.items():
        if field.categories is None:
            continue
        classes = contract.vocabularies.of(field)
        expect(f"dm.num_classes({key!r})", dm.num_classes(key), len(classes))
        found = dm.sample_spec[key].classes
        if all(type(one) in (str, int) for one in classes):
            expect(f"classes of {key!r}", found, tuple(map(str, classes)))
        if field.has_rows:
            _check_weights(dm, contract, key, rows)


def _check_weights(dm: H5DataModule, contract: Contract, key: str, rows: list[tuple[int, int]]) -> None:
    field = contract.fields[key]
    classes = len(contract.vocabularies.of(field))
    values = [np.ravel(row_value(contract, field, Sample(*row))) for row in rows]
    numbers = np.concatenate([one.astype(np.int64) for one in values])
    counts = np.array([(numbers == number).sum() for number in range(classes)])
    try:
        found = dm.class_weights(key).numpy()
    except H5LightningError as error:
        if counts.all():
            raise DisagreementError(f"dm.class_weights({key!r})", repr(error), counts) from error
        return
    if not counts.all():
        raise DisagreementError(f"dm.class_weights({key!r})", found, f"an error: the counts are {counts}")
    expected = (counts.sum() / (classes * counts)).astype(np.float32)
    if found.dtype != np.float32 or not np.allclose(found, expected, rtol=1e-6):
        raise DisagreementError(f"dm.class_weights({key!r})", found, expected)


def check_statistics(
    dm: H5DataModule, contract: Contract, rows: Iterable[tuple[int, int]]
) -> dict[str, Statistics]:
    """Statistics of all fields that are normalised; those of the contract.

    Args:
        dm: the module.
        contract: what the case means.
        rows: series and row of all that is trained with.

    Raises:
        DisagreementError: they differ.
        RefusedError: there are none.
    """
    known, found = list(rows), dict[str, Statistics]()
    for key in contract.case.normalize or {}:
        expected = statistics_of(contract, key, known)
        told = dm.statistics[key]
        counts = expected.values["count"] > 0
        for name, value in expected.values.items():
            right = value if value.dtype.kind == "i" else np.where(counts, value, 0.0)
            value_told = np.asarray(getattr(told, name))
            if value.dtype.kind != "i" and value_told.size == counts.size:
                value_told = np.where(counts, value_told.reshape(counts.shape), 0.0)
            _compare(f"dm.statistics[{key!r}].{name}", value_told, right)
        if expected.option.kind == "quantile":
            expected = _with_quantiles(key, told, expected)
        found[key] = expected
    return found


def may_lack_numbers(contract: Contract) -> bool:
    """Whether some rows have no number that counts, so that a train split of them is an error."""
    rows = [(number, row) for number, one in enumerate(contract.series) for row in range(one.rows)]
    return any(_lacks_numbers(contract, key, row) for key in contract.case.normalize or {} for row in rows)


def _lacks_numbers(contract: Contract, key: str, row: tuple[int, int]) -> bool:
    try:
        statistics_of(contract, key, [row])
    except RefusedError:
        return True
    return False


def _compare(what: str, found: Array, expected: Array) -> None:
    squeezed = expected.reshape([size for size in expected.shape if size != 1])
    if found.size != expected.size:
        raise DisagreementError(f"shape of {what}", found.shape, squeezed.shape)
    same = np.allclose(
        found.reshape(expected.shape), expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(initial=1)
    )
    if not same:
        raise DisagreementError(what, found, expected)


def _with_quantiles(key: str, told: Any, expected: Statistics) -> Statistics:
    """The quantiles that the package found, if their ranks are right."""
    found = []
    for share in (0.01, 0.99):
        value = np.asarray(told.quantiles[share]).reshape(expected.values["mean"].shape)
        for place in np.ndindex(value.shape):
            data = expected.data[:, expected.columns(place)]
            data = np.sort(data[np.isfinite(data)])
            if not len(data):
                continue
            slack = 1 + _RANK_ERROR * len(data)
            first = np.searchsorted(data, value[place], "left") - slack
            last = np.searchsorted(data, value[place], "right") + slack
            if not first <= share * len(data) <= last:
                raise DisagreementError(f"quantile {share} of {key!r}", value[place], data)
        found.append(value.astype(np.float64))
    return replace(expected, quantiles=(found[0], found[1]))
