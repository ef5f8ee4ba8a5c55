"""Quantiles of summaries against the ranks of all numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.planning.summaries.quantile_blocks import QuantileBlocks
from h5lightning.planning.summaries.quantile_summary import QuantileSummary, SummaryTree

SHARES = (0.0, 0.01, 0.25, 0.5, 0.99, 1.0)


def rank_error(values, found, share):
    """How far the rank of a number is from that of a quantile, as a share of all numbers."""
    ordered = np.sort(values)
    low, high = np.searchsorted(ordered, found, "left"), np.searchsorted(ordered, found, "right")
    rank = share * (len(values) - 1)
    return max(low - rank - 1, rank - high, 0) / len(values)


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(0, 60), max_size=12), seed=st.integers(0, 2**31))
def test_few_values_give_the_quantiles_of_numpy(sizes, seed):
    rng, kept = np.random.default_rng(seed), 1024
    parts = [rng.integers(0, 30, size).astype("f8") for size in sizes]
    tree = SummaryTree(kept)
    for part in parts:
        tree.add(QuantileSummary.of_sorted(np.sort(part), kept))
    everything = np.concatenate([*parts, []])
    found = tree.total().quantiles(SHARES)
    expected = np.quantile(everything, SHARES) if everything.size else np.full(len(SHARES), np.nan)
    assert np.allclose(found, expected, equal_nan=True)


@pytest.mark.parametrize("order", ["random", "ascending", "waves", "few values"])
def test_ranks_are_right_to_a_thousandth(order):
    rng = np.random.default_rng(3)
    values = rng.lognormal(size=3_000_000).astype("f4")
    if order == "ascending":
        values.sort()
    elif order == "waves":
        values = np.sort(values.reshape(300, -1), axis=1).reshape(-1)
    elif order == "few values":
        values = rng.integers(0, 5, len(values)).astype("f4")
    blocks = QuantileBlocks(1)
    for part in np.array_split(values, 97):
        blocks.add(part.reshape(-1, 1, 1))
    (summary,) = blocks.summaries()
    assert summary.count == len(values)
    for share, found in zip(SHARES, summary.quantiles(SHARES), strict=True):
        assert rank_error(values, found, share) < 1e-3


def test_parts_of_very_different_sizes_count_by_their_values():
    rng, kept = np.random.default_rng(4), 2048
    parts = [rng.normal(size=size) + number for number, size in enumerate((10, 500_000, 3, 90_000, 7000))]
    tree = SummaryTree(kept)
    for part in parts:
        tree.add(QuantileSummary.of_sorted(np.sort(part), kept))
    values = np.concatenate(parts)
    for share, found in zip(SHARES[1:-1], tree.total().quantiles(SHARES[1:-1]), strict=True):
        assert rank_error(values, found, share) < 1e-3


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 40), has_mask=st.booleans(), has_weights=st.booleans(), seed=st.integers(0, 2**31)
)
def test_numbers_that_do_not_count_are_left_out(count, has_mask, has_weights, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 3, 2))
    values[rng.random(values.shape) < 0.2] = np.nan
    mask = rng.random(values.shape) < 0.7 if has_mask else None
    weights = rng.integers(0, 4, count) if has_weights else None
    blocks = QuantileBlocks(3)
    blocks.add(values, mask, weights)
    times = np.ones(count, int) if weights is None else weights
    for channel, summary in enumerate(blocks.summaries()):
        own = values[:, channel].repeat(times, axis=0)
        chosen = np.isfinite(own) & (True if mask is None else mask[:, channel].repeat(times, axis=0))
        assert summary.count == chosen.sum()
        if summary.count:
            assert np.allclose(summary.quantiles(SHARES), np.quantile(own[chosen], SHARES))
