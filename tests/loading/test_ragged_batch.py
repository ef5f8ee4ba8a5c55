"""Samples of different shapes are padded with zeros along each axis that differs, wherever they lie."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.ragged_batch import RaggedValues


def allocated(numbers, dtype):
    return torch.full((numbers,), 7, dtype=dtype)  # whatever is not written shows


@settings(max_examples=200, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.bool, torch.complex64]))
def test_padded(data, dtype):
    axes = data.draw(st.integers(1, 3), "axes")
    rest = data.draw(st.none() | st.tuples(*[st.integers(0, 3)] * (axes - 1)), "one shape of rows")
    rows = st.tuples(*[st.integers(0, 4)] * (axes if rest is None else 1)).map(lambda one: one + (rest or ()))
    shapes = np.asarray(data.draw(st.lists(rows, min_size=1, max_size=6), "shapes"), np.int64)
    groups = data.draw(st.none() | st.just(np.arange(len(shapes)) % 2), "groups")
    layout = RaggedLayout.of(shapes, groups)
    flat = (torch.arange(layout.total) % 5 + 1).to(dtype)
    found = RaggedValues(flat, layout).padded(allocated, 1 << 20, str)
    expected = torch.zeros((len(shapes), *shapes.max(axis=0).tolist()), dtype=dtype)
    for slot, shape, start in zip(expected, shapes.tolist(), layout.starts.tolist(), strict=True):
        size = int(np.prod(shape))
        slot[tuple(map(slice, shape))] = flat[start : start + size].view(shape)
    assert found.dtype == dtype
    assert torch.equal(found, expected)


@pytest.mark.parametrize("samples", [256, 2])
def test_long_samples_are_padded(samples):
    lengths = np.arange(1, samples + 1) * 10
    layout = RaggedLayout.of_rows(lengths, (3,))
    flat = torch.arange(layout.total, dtype=torch.float32) + 1
    found = RaggedValues(flat, layout).padded(allocated, 1 << 30, str)
    mask = torch.arange(int(lengths[-1])) < torch.from_numpy(lengths)[:, None]
    assert torch.equal(found[mask].reshape(-1), flat)
    assert not found[~mask].any()
