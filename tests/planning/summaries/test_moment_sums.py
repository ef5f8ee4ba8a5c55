"""Moments of blocks against NumPy's over all numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.planning.summaries.moment_sums import MomentSums
from h5lightning.planning.summaries.moments import Moments

DTYPES = ("f4", "f8", "f2", "u1", "i2", "i8", "?")


def drawn(rng, shape, dtype):
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2 if dtype == "?" else 100, shape).astype(dtype)


def expected(values, is_valid, weights):
    """Each channel by itself, from all numbers that count."""
    for channel in range(values.shape[1]):
        own = values[:, channel].astype("f8").repeat(weights, axis=0)
        chosen = is_valid[:, channel].repeat(weights, axis=0)
        yield own[chosen & np.isfinite(own)], int((chosen & ~np.isfinite(own)).sum()), int((~chosen).sum())


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 90), st.integers(1, 9), st.integers(1, 5)),
    dtype=st.sampled_from(DTYPES),
    cuts=st.lists(st.integers(0, 90), max_size=4),
    merge_at=st.integers(0, 5),
    lost=st.sampled_from(("none", "some", "channel")),
    has_mask=st.booleans(),
    has_weights=st.booleans(),
    shift=st.sampled_from((0.0, 1e6, -3e8)),
    seed=st.integers(0, 2**31),
)
def test_blocks_give_what_numpy_gives(shape, dtype, cuts, merge_at, lost, has_mask, has_weights, shift, seed):
    rng = np.random.default_rng(seed)
    values = drawn(rng, shape, dtype)
    if dtype in ("f4", "f8"):
        values = (values + shift).astype(dtype)
    if np.dtype(dtype).kind == "f" and lost != "none":
        where = rng.random(shape) < 0.4 if lost == "some" else np.arange(shape[1])[:, None] == 0
        values[np.broadcast_to(where, shape)] = rng.choice([np.nan, np.inf, -np.inf])
    mask = rng.random(shape) < 0.6 if has_mask else None
    weights = rng.integers(0, 4, shape[0]) if has_weights else None
    borders = [0, *sorted(min(cut, shape[0]) for cut in cuts), shape[0]]
    sums, merged = MomentSums(shape[1]), Moments.none(shape[1])
    for number, (start, stop) in enumerate(pairwise(borders)):
        if number == merge_at:
            merged, sums = merged.merged(sums.moments()), MomentSums(shape[1])
        part = slice(start, stop)
        sums.add(
            values[part], None if mask is None else mask[part], None if weights is None else weights[part]
        )
    found = merged.merged(sums.moments())
    is_valid = np.ones(shape, bool) if mask is None else mask
    times = np.ones(shape[0], int) if weights is None else weights
    for channel, (own, nonfinite, masked) in enumerate(expected(values, is_valid, times)):
        counts = found.count[channel], found.nonfinite[channel], found.masked[channel]
        assert counts == (own.size, nonfinite, masked)
        if own.size:
            assert (found.min[channel], found.max[channel]) == (own.min(), own.max())
            assert found.mean[channel] == pytest.approx(own.mean(), rel=1e-13, abs=1e-13)
            variance = np.square(own - own.mean()).mean()
            assert found.squares[channel] / own.size == pytest.approx(
                variance, rel=1e-9, abs=1e-25 * own[0] ** 2
            )
        else:
            assert (found.mean[channel], found.squares[channel]) == (0, 0)
            assert (found.min[channel], found.max[channel]) == (np.inf, -np.inf)


@pytest.mark.parametrize(("channels", "beside"), [(1, 1), (3, 1), (700, 1), (3, 5000), (70_000, 1)])
def test_many_numbers_with_a_large_mean_keep_their_spread(channels, beside):
    rng = np.random.default_rng(1)
    entries = max(3, 400_000 // (channels * beside))
    values = (rng.normal(size=(entries, channels, beside)) + 1e6).astype("f4")
    sums = MomentSums(channels)
    sums.add(values)
    found, exact = sums.moments(), values.astype("f8")
    assert np.allclose(found.mean, exact.mean(axis=(0, 2)), rtol=1e-13)
    assert np.allclose(np.sqrt(found.squares / found.count), exact.std(axis=(0, 2)), rtol=1e-9)


def test_a_far_first_number_costs_no_digits():
    values = np.random.default_rng(2).normal(size=300_000)
    values[0] = 1e9
    sums = MomentSums(1)
    sums.add(values.reshape(-1, 1, 1))
    found = sums.moments()
    assert np.sqrt(found.squares[0] / found.count[0]) == pytest.approx(values.std(), rel=1e-10)


def test_equal_numbers_have_no_spread():
    sums, other = MomentSums(2), MomentSums(2)
    sums.add(np.full((1000, 2, 3), 0.1, "f4"))
    other.add(np.full((77, 2, 3), 0.1, "f4"))
    assert sums.moments().merged(other.moments()).squares.tolist() == [0, 0]
