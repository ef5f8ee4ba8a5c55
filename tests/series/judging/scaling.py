"""Statistics of the rows of the train split, in float64, and what is done with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from judging.divisions import RefusedError
from judging.places import Array, Sample
from judging.values import row_value

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["NormalizeOption", "Statistics", "statistics_of"]


@dataclass(frozen=True)
class NormalizeOption:
    """How a field is normalised."""

    kind: str = "standard"
    per: str = "last"
    where: str | None = None

    @classmethod
    def of(cls, value: Any) -> NormalizeOption:
        """The option of a word or a mapping."""
        return cls(value) if isinstance(value, str) else cls(**value)


@dataclass(frozen=True)
class Statistics:
    """Statistics of one field; each array has as many axes as a row.

    Args:
        option: how the field is normalised.
        values: name → numbers.
        data: the values that count, else NaN; one column for each number of a statistic.
        quantiles: the 1 % and the 99 % quantile, if asked for, as the package found them.
    """

    option: NormalizeOption
    values: dict[str, Array]
    data: Array
    quantiles: tuple[Array, Array] | None = None

    @property
    def shift(self) -> Array:
        """What is subtracted; 0 where no number counts."""
        low, high = self._ends
        found = self.values["mean"] if self.option.kind == "standard" else (low + high) / 2
        return np.where(self.values["count"] > 0, found, 0.0)

    @property
    def scale(self) -> Array:
        """What is divided by; 1 where it would be 0, and where no number counts."""
        values, (low, high) = self.values, self._ends
        found = values["std"] if self.option.kind == "standard" else (high - low) / 2
        is_constant = (values["min"] == values["max"]) | (low == high) | (values["count"] == 0)
        return np.where(is_constant, 1.0, found)

    @property
    def _ends(self) -> tuple[Array, Array]:
        return self.quantiles or (self.values["min"], self.values["max"])

    def columns(self, place: tuple[int, ...]) -> int:
        """The column of `data` whose statistics stand at a place."""
        return int(np.ravel_multi_index(place, self.values["mean"].shape)) if place else 0

    def apply(self, value: Array, time: tuple[int, ...]) -> Array:
        """Normalised values, in the type that is delivered.

        Args:
            value: of a sample.
            time: its axes that are no axes of a row.
        """
        shift, scale = (np.expand_dims(one, time) for one in (self.shift, self.scale))
        dtype = value.dtype if value.dtype.kind == "f" else np.dtype(np.float32)
        return ((value.astype(np.float64) - shift) / scale).astype(dtype)


def statistics_of(contract: Contract, key: str, rows: Iterable[tuple[int, int]]) -> Statistics:
    """Statistics of a field over rows, given as series and row.

    Raises:
        RefusedError: no value counts.
    """
    option = NormalizeOption.of((contract.case.normalize or {})[key])
    every, counts, value = list[Array](), list[Array](), np.zeros(())
    for number, row in rows:
        sample = Sample(number, row)
        value = np.asarray(row_value(contract, contract.fields[key], sample), np.float64)
        mask = np.ones(value.shape, bool)
        if option.where is not None:
            chosen = np.asarray(row_value(contract, contract.fields[option.where], sample)) != 0
            mask = np.broadcast_to(
                chosen.reshape(chosen.shape + (1,) * (value.ndim - chosen.ndim)), value.shape
            )
        every.append(_arranged(value, option.per))
        counts.append(_arranged(mask, option.per))
    rank = value.ndim
    if not every:
        raise RefusedError("no row to take statistics of")
    joined, counted = np.concatenate(every), np.concatenate(counts)
    finite = np.isfinite(joined)
    chosen = np.where(finite & counted, joined, np.nan)
    count = (finite & counted).sum(0)
    if not count.any():
        raise RefusedError("nothing to take statistics of")
    known = chosen[:, count > 0]
    found = {name: np.full(count.shape, np.nan) for name in ("mean", "std", "min", "max")}
    for name, function in (("mean", np.nanmean), ("std", np.nanstd), ("min", np.nanmin), ("max", np.nanmax)):
        found[name][count > 0] = function(known, 0)
    found |= {"count": count, "nonfinite": (~finite & counted).sum(0), "masked": (~counted).sum(0)}
    shaped = {name: _as_row(one, option.per, rank, value.shape) for name, one in found.items()}
    return Statistics(option, shaped, chosen)


def _arranged(value: Array, per: str) -> Array:
    """The values of a row that have one statistic, along the first axis."""
    if per == "all" or (value.ndim == 0 and per != "element"):
        return value.reshape(-1, 1)
    if per == "element":
        return value.reshape(1, -1)
    return value.reshape(-1, value.shape[-1]) if per == "last" else value.reshape(value.shape[0], -1).T


def _as_row(value: Array, per: str, rank: int, shape: tuple[int, ...]) -> Array:
    """With the axes of a row, of length 1 where values are alike."""
    if per == "element":
        return value.reshape(shape)
    sizes = [1] * rank
    if per != "all" and rank:
        sizes[-1 if per == "last" else 0] = -1
    return value.reshape(sizes)
