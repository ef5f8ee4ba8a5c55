"""What was drawn for a sample, found from what was delivered: starts of windows, and rows of whole series."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import comb, log2, prod, sqrt
from typing import Any

import numpy as np

from judging.contract import Contract
from judging.delivery import finished
from judging.disagreement import DisagreementError
from judging.options import SamplesOption
from judging.places import Array, Part, Sample
from judging.starts import drawable_starts
from judging.values import joined_axes, time_axes

__all__ = ["Drawn", "SeenDraws", "find_draw"]


@dataclass(frozen=True)
class Drawn:
    """What was drawn for one sample.

    Args:
        sample: where it really begins.
        taken: rows of its series; None for all.
        choices: logarithm of how many draws were possible, to base 2.
        is_certain: nothing else would have been delivered alike.
    """

    sample: Sample
    taken: tuple[int, ...] | None = None
    choices: float = 0.0
    is_certain: bool = True


@dataclass
class SeenDraws:
    """The draws of many cases, each once, to see whether all that may come comes equally often."""

    starts: set[tuple[Any, ...]] = dataclasses.field(default_factory=set)
    rows: set[tuple[Any, ...]] = dataclasses.field(default_factory=set)

    def add(self, key: tuple[Any, ...], drawn: Drawn, legal: list[list[int]], rows: int) -> None:
        """Add the draw of one sample.

        Args:
            key: seed, epoch and id.
            drawn: the draw.
            legal: what could be drawn along each axis.
            rows: of the series.
        """
        if not drawn.is_certain:
            return
        for axis, (start, places) in enumerate(zip(drawn.sample.start, legal, strict=False)):
            if len(places) > 1:
                self.starts.add((*key, axis, len(places), start - places[0]))
        if drawn.taken is not None and len(drawn.taken) < rows:
            self.rows.add((*key, rows, drawn.taken))

    def unlikely(self) -> Iterator[str]:
        """What comes too often or too rarely, by more than six standard deviations."""
        counts: dict[tuple[Any, ...], Counter[int]] = defaultdict(Counter)
        totals, shares = Counter[tuple[Any, ...]](), {}
        for *_, size, offset in self.starts:
            counts["starts", size][offset] += 1
            totals["starts", size] += 1
            shares["starts", size] = (1 / size, size)
        for *_, rows, taken in self.rows:
            key = ("rows", rows, len(taken))
            counts[key].update(taken)
            totals[key] += 1
            shares[key] = (len(taken) / rows, rows)
        for key, (share, size) in shares.items():
            slack = 6 * sqrt(totals[key] * share * (1 - share)) + 6
            for place in range(size):
                if abs(counts[key][place] - totals[key] * share) > slack:
                    yield f"{key}: {place} came {counts[key][place]} times of {totals[key]}"


def find_draw(
    contract: Contract, samples: SamplesOption, sample: Sample, part: Part, got: Mapping[str, Any]
) -> tuple[Drawn, list[list[int]]]:
    """What must have been drawn for a sample to deliver such values, and what could be drawn along each axis.

    Raises:
        DisagreementError: no draw delivers them.
    """
    if samples.jitter:
        return _find_start(contract, samples, sample, part, got)
    return _find_rows(contract, samples, sample, got), []


def _find_start(
    contract: Contract, samples: SamplesOption, sample: Sample, part: Part, got: Mapping[str, Any]
) -> tuple[Drawn, list[list[int]]]:
    one = contract.series[sample.series]
    legal = drawable_starts(contract, one, samples, part, sample.start)
    told = int(got["told row"]) if "told row" in got else None
    rows = [row for row in legal[0] if told is None or row == told]
    left = [Sample(sample.series, row, others) for row in rows for others in itertools.product(*legal[1:])]
    keys = [key for key, field in contract.fields.items() if field.has_rows or field.padding_of]
    for key in keys:
        left = [
            one
            for one in left
            if np.array_equal(finished(contract, key, contract.value(key, one, samples, part)), got[key])
        ]
    if not left:
        values = {key: np.asarray(got[key]).tolist() for key in keys}
        raise DisagreementError(
            f"a start of {sample}, part {part}, one for all fields", values, f"one of {legal}"
        )
    return Drawn(left[0], None, log2(prod(map(len, legal))), len(left) == 1), legal


def _find_rows(contract: Contract, samples: SamplesOption, sample: Sample, got: Mapping[str, Any]) -> Drawn:
    one, take = contract.series[sample.series], samples.take or 0
    count = min(one.rows, take)
    if count == one.rows:
        return Drawn(sample, tuple(range(count)))
    alike = np.ones((count, one.rows), bool)
    for key, field in contract.fields.items():
        if not field.has_rows:
            continue
        rank = contract.files.get(one.file, field.paths[0], one.text).ndim
        axis = joined_axes(field, time_axes(contract, field, samples, rank))[0]
        every = np.arange(one.rows)
        whole = finished(contract, key, contract.value(key, sample, samples, (0, one.rows), every))
        alike &= _alike(got[key], whole, axis)
    taken, row = list[int](), 0
    for wanted in alike:
        places = np.flatnonzero(wanted[row:])
        if not len(places):
            raise DisagreementError(
                f"rows of {sample}, ascending, the same for all fields", got, f"{count} of them"
            )
        taken.append(row + int(places[0]))
        row = taken[-1] + 1
    return Drawn(sample, tuple(taken), log2(comb(one.rows, count)), bool((alike.sum(1) == 1).all()))


def _alike(found: Array, whole: Array, axis: int) -> Array:
    """Which row that was delivered equals which row of the series."""
    found, whole = np.moveaxis(found, axis, 0), np.moveaxis(whole, axis, 0)
    equal = found[:, None] == whole[None]
    answer: Array = equal.reshape(len(found), len(whole), -1).all(-1)
    return answer
