"""Holds batches against the contract, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from judging.contract import Contract, Part
from judging.delivery import finished, told, unpack
from judging.disagreement import DisagreementError, expect
from judging.draws import Drawn, SeenDraws, find_draw
from judging.options import SamplesOption

__all__ = ["BatchJudge"]

_SLACK = {2: 2e-3, 4: 1e-6, 8: 1e-9}  # of normalised values, by the size of their type

_LIKELY = (
    40  # bits: draws that are the same in two epochs by chance are less likely than 2 to the power of -40
)


class BatchJudge:
    """Compares batches with what the contract says, and draws with those of other batches.

    Args:
        contract: what the case means.
        seen: collects draws.
    """

    def __init__(self, contract: Contract, seen: SeenDraws) -> None:
        self.contract, self._seen = contract, seen
        self._known: dict[tuple[str, int | None, int], Drawn] = {}

    def check(
        self, batch: dict[str, Any], stage: str, epoch: int | None, numbers: list[int], ids: dict[int, Part]
    ) -> None:
        """Compare all values of a batch.

        Args:
            batch: the batch.
            stage: whose loader made it.
            epoch: which one; None for stages that know none.
            numbers: the ids of its samples.
            ids: id → the part of its series.

        Raises:
            DisagreementError: a value differs, or a draw that may not.
        """
        contract, samples = self.contract, self.contract.case.stage_samples[stage]
        samples = _drawn_in(stage, samples)
        where, parts = (
            [contract.everything[number] for number in numbers],
            [ids[number] for number in numbers],
        )
        expected = self._values(samples, where, parts, [None] * len(numbers))
        got = {key: unpack(contract, key, batch[key], expected[key], stage) for key in contract.fields}
        drawn = [Drawn(one) for one in where]
        if samples.jitter or samples.take is not None:
            for slot, number in enumerate(numbers):
                own = {key: values[slot] for key, values in got.items()}
                if "told row" in batch:
                    own["told row"] = batch["told row"][slot]
                drawn[slot], legal = find_draw(contract, samples, where[slot], parts[slot], own)
                self._remember(stage, epoch, number, drawn[slot], legal)
            taken = [None if one.taken is None else np.array(one.taken, int) for one in drawn]
            expected = self._values(samples, [one.sample for one in drawn], parts, taken)
        if "told row" in batch:
            told_rows = batch["told row"].tolist()
            expect(f"info.row in {stage}", told_rows, [one.sample.row for one in drawn])
        for key, values in got.items():
            self._compare(key, stage, numbers, parts, drawn, values, expected[key])

    def check_epochs(self, stage: str, one: int, other: int) -> None:
        """Draws of two epochs differ, as far as the values show what was drawn."""
        pairs = [
            (drawn, self._known[stage, other, number])
            for (name, epoch, number), drawn in self._known.items()
            if (name, epoch) == (stage, one) and (stage, other, number) in self._known
        ]
        both = [pair for pair in pairs if all(drawn.is_certain for drawn in pair)]
        is_same = all((a.sample, a.taken) == (b.sample, b.taken) for a, b in both)
        if is_same and sum(a.choices for a, _ in both) > _LIKELY:
            raise DisagreementError(
                f"draws of epochs {one} and {other}", [a for a, _ in both], "not all the same"
            )

    def _values(
        self, samples: SamplesOption, where: Sequence[Any], parts: Sequence[Part], taken: Sequence[Any]
    ) -> dict[str, list[Any]]:
        contract, found = self.contract, dict[str, list[Any]]()
        later = [key for key, field in contract.fields.items() if self._tells_lengths(key)]
        for key in contract.fields:
            if key not in later:
                each = zip(where, parts, taken, strict=True)
                values = (contract.value(key, one, samples, part, rows) for one, part, rows in each)
                found[key] = [finished(contract, key, value) for value in values]
        for key in later:
            found[key] = told(contract, key, found[contract.fields[key].derived_from or ""])
        return found

    def _tells_lengths(self, key: str) -> bool:
        """Whether it tells lengths or padding of ragged samples."""
        of = self.contract.fields[key].derived_from
        return of is not None and self.contract.fields[of].ragged != "error"

    def _remember(
        self, stage: str, epoch: int | None, number: int, drawn: Drawn, legal: list[list[int]]
    ) -> None:
        known = self._known.setdefault((stage, epoch, number), drawn)
        if known.is_certain and drawn.is_certain:
            expect(f"draw for sample {number} of {stage}, again", drawn, known)
        rows = self.contract.series[drawn.sample.series].rows
        seed = self.contract.case.options.get("seed", 0)
        self._seen.add((seed, stage == "train", epoch, number), drawn, legal, rows)

    def _compare(
        self,
        key: str,
        stage: str,
        numbers: list[int],
        parts: list[Part],
        drawn: list[Drawn],
        found: list[Any],
        expected: list[Any],
    ) -> None:
        for slot, (one, right) in enumerate(zip(found, expected, strict=True)):
            if not _is_equal(one, right, is_close=key in self.contract.statistics):
                sample = drawn[slot].sample
                series = self.contract.series[sample.series]
                what = f"{key!r} of sample {numbers[slot]} in {stage}, {series} start {sample.start}"
                raise DisagreementError(f"{what}, part {parts[slot]}", _plain(one), _plain(right))


def _drawn_in(stage: str, samples: SamplesOption) -> SamplesOption:
    """Starts are drawn in training alone."""
    if stage == "train" or not samples.jitter:
        return samples
    return SamplesOption(**{**vars(samples), "jitter": False})


def _is_equal(found: Any, expected: Any, *, is_close: bool) -> bool:
    if isinstance(expected, list):
        pairs = zip(found, expected, strict=True)
        return all(_is_equal(one, right, is_close=is_close) for one, right in pairs)
    if is_close:
        slack = _SLACK[expected.dtype.itemsize]
        return np.allclose(found, expected, rtol=slack, atol=slack, equal_nan=True)
    return np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list) else value.tolist()
