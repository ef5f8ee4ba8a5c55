"""The statistics by which a run normalises: those of a checkpoint, else those of its own train split."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5lightning.core.arrays import BoolArray
from h5lightning.core.formatting import listed
from h5lightning.core.frozen import Frozen
from h5lightning.errors import H5LightningError, ResumeError
from h5lightning.options import Normalize
from h5lightning.options.checks import to_plain
from h5lightning.planning.fields import Fields
from h5lightning.planning.normalizing import Affine, normalized_fields
from h5lightning.planning.statistics import FieldStatistics

__all__ = ["RunStatistics", "UsedStatistics"]

_MOST_NAMED = 5
_COUNTS = ("count", "nonfinite", "masked", "classes")


@dataclass(frozen=True, slots=True, eq=False)
class UsedStatistics(Frozen):
    """What normalises one field.

    Args:
        option: how it is normalised.
        statistics: those of the train split.
        shape: in which they broadcast to samples.
    """

    option: Normalize
    statistics: FieldStatistics
    shape: tuple[int, ...]

    def to_plain(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {
            **to_plain(self.option),
            "shape": list(self.shape),
            "statistics": _plain_statistics(self.statistics),
        }

    @classmethod
    def of_plain(cls, key: str, plain: Any) -> UsedStatistics:
        """Read what `to_plain` wrote for a field.

        Raises:
            ResumeError: it is something else.
        """
        try:
            values = dict(plain["statistics"])
            quantiles = {
                float(quantile): np.asarray(value, np.float64)
                for quantile, value in values.pop("quantiles").items()
            }
            arrays: dict[str, Any] = {
                name: np.asarray(value, np.int64 if name in _COUNTS else np.float64)
                for name, value in values.items()
            }
            option = Normalize(plain["kind"], plain["per"], plain["where"])
            return cls(option, FieldStatistics(**arrays, quantiles=quantiles), tuple(plain["shape"]))
        except (KeyError, TypeError, ValueError, AttributeError, H5LightningError) as error:
            raise ResumeError(
                f"the statistics of field {key!r} in the checkpoint are damaged: {error!r}"
            ) from error


class RunStatistics:
    """The statistics of a run, which those of a checkpoint replace until the next fit.

    Args:
        options: key → how a field is normalised.
    """

    def __init__(self, options: Mapping[str, Normalize] | None) -> None:
        self._options = dict(options or {})
        self._own: dict[str, FieldStatistics] = {}
        self._of_checkpoint: dict[str, UsedStatistics] = {}
        self._is_kept = False

    @property
    def known(self) -> dict[str, FieldStatistics]:
        """Key → the statistics that count now, for fields that this run normalises."""
        saved = {key: one.statistics for key, one in self._of_checkpoint.items() if self._is_own(key, one)}
        return self._own | saved

    def lacking(self, keys: Collection[str]) -> dict[str, Normalize]:
        """The options of those among some fields that are normalised, and that have no statistics."""
        known = self.known
        return {key: one for key, one in self._options.items() if key in keys and key not in known}

    def keep(self, own: Mapping[str, FieldStatistics]) -> None:
        """Use the statistics of some fields in the own train split from now on."""
        self._own |= own

    def forget_own(self) -> None:
        """The train split has changed."""
        self._own = {}

    def take_over(self, saved: object, *, is_kept: bool) -> bool:
        """Use the statistics of a checkpoint, for good or until the next fit; whether they are others.

        Args:
            saved: as `to_plain` wrote them; anything else if the checkpoint has none.
            is_kept: whether they stay after the next fit has begun.

        Raises:
            ResumeError: they are damaged.
        """
        if not isinstance(saved, Mapping):
            return False
        before = self.known
        self._of_checkpoint = {
            key: UsedStatistics.of_plain(key, one) for key, one in saved.items() if "statistics" in one
        }
        self._is_kept = is_kept
        return self._are_others(before)

    def begin_fit(self) -> bool:
        """Drop the statistics of a checkpoint that an earlier run loaded; whether others count now."""
        before = self.known
        if not self._is_kept:
            self._of_checkpoint = {}
        return self._are_others(before)

    def _are_others(self, before: Mapping[str, FieldStatistics]) -> bool:
        plain = ({key: _plain_statistics(one) for key, one in each.items()} for each in (before, self.known))
        return next(plain) != next(plain)

    def used(
        self, fields: Fields, more: Mapping[str, FieldStatistics] | None = None
    ) -> dict[str, UsedStatistics]:
        """Key → what normalises it: these fields, and those that a checkpoint knows and these files lack.

        Args:
            fields: the fields of these files.
            more: statistics of fields that have none.
        """
        known = self.known | dict(more or {})
        found = {
            key: UsedStatistics(one.option, known[key], one.spread_shape)
            for key, one in normalized_fields(fields, self._options).items()
            if key in known
        }
        present = {plan.key for plan in fields.plans}
        return {key: one for key, one in self._of_checkpoint.items() if key not in present} | found

    def remarks(self, fields: Fields) -> list[str]:
        """Sentences about numbers that are equal in the whole train split, or of which none is finite there."""
        remarks = []
        for key, one in self.used(fields).items():
            constant = Affine.by(one.statistics, one.option).is_constant
            if constant.any():
                what = "quantiles" if one.option.kind == "quantile" else "numbers"
                remarks.append(
                    f"normalize: the {what} of {key!r} do not differ in the train split{_places(constant)}: scale 1"
                )
            lacking = one.statistics.count == 0
            if lacking.any():
                remarks.append(
                    f"normalize: no number of {key!r} in the train split is finite{_places(lacking)}: they are "
                    "delivered as they are"
                )
        return remarks

    def to_plain(self, fields: Fields) -> Any:
        """What `take_over` reads, of these fields; ``...`` if none is normalised.

        A field whose statistics are not known yet has its option alone.
        """
        used = {key: one.to_plain() for key, one in self.used(fields).items()}
        present = {plan.key for plan in fields.plans}
        unknown = {key: to_plain(one) for key, one in self.lacking(present).items()}
        return unknown | used or ...

    def _is_own(self, key: str, saved: UsedStatistics) -> bool:
        return self._options.get(key) == saved.option


def _places(is_one: BoolArray) -> str:
    """The end of a sentence about some of the statistics: where they are; empty for one of all numbers."""
    places = np.argwhere(is_one).tolist()
    texts = [str(place[0] if len(place) == 1 else tuple(place)) for place in places]
    return f" at {listed(texts, _MOST_NAMED)}" if places[0] else ""


def _plain_statistics(statistics: FieldStatistics) -> dict[str, Any]:
    found = {item.name: getattr(statistics, item.name) for item in dataclasses.fields(FieldStatistics)}
    quantiles = found.pop("quantiles")
    plain = {name: value.tolist() for name, value in found.items() if value is not None}  # no classes
    return {**plain, "quantiles": {repr(quantile): value.tolist() for quantile, value in quantiles.items()}}
