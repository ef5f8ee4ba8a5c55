"""Samples of different shapes: views, parts, padded and stacked tensors, against NumPy sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.errors import FieldError, ResourceError
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.ragged_batch import RaggedValues, ragged_part

DTYPES = (torch.float32, torch.int16, torch.bfloat16, torch.bool)


@st.composite
def samples_of(draw, *, most=6):
    """Tensors with as many axes, of one type; the first is made of the lengths of the others where ``first`` is set."""
    axes, count = draw(st.integers(0, 3)), draw(st.integers(1, most))
    shapes = [tuple(draw(st.integers(0, 4)) for _ in range(axes)) for _ in range(count)]
    dtype = draw(st.sampled_from(DTYPES))
    return [torch.randint(0, 2, shape).to(dtype) + 0 for shape in shapes]


@st.composite
def grouped(draw):
    """Samples in a flat tensor, group after group, and the samples themselves."""
    samples = draw(samples_of())
    groups = np.asarray([draw(st.integers(0, 2)) for _ in samples])
    shapes = np.asarray([tuple(sample.shape) for sample in samples], np.int64).reshape(len(samples), -1)
    layout = RaggedLayout.of(shapes, groups)
    flat = torch.zeros(layout.total, dtype=samples[0].dtype)
    for sample, start in zip(samples, layout.starts.tolist(), strict=True):
        flat[start : start + sample.numel()] = sample.reshape(-1)
    return RaggedValues(flat, layout), samples


def allocate(numbers, dtype):
    return torch.ones(numbers, dtype=dtype)


def same(found, expected) -> bool:
    return len(found) == len(expected) and all(
        one.shape == two.shape and torch.equal(one, two) for one, two in zip(found, expected, strict=True)
    )


@settings(deadline=None)
@given(grouped())
def test_views_are_the_samples_in_any_order_of_groups(case):
    values, samples = case
    assert same(values.views(), samples)
    assert same(values.in_order().views(), samples)
    assert values.in_order().layout.is_in_order


@settings(deadline=None)
@given(grouped(), st.data())
def test_parts_are_neighbouring_samples_with_a_storage_of_their_own(case, data):
    values, samples = case
    start = data.draw(st.integers(0, len(samples)))
    part = slice(start, data.draw(st.integers(start, len(samples))))
    assert same(values.part(part).views(), samples[part])
    if values.flat.dtype is not torch.bfloat16:
        own = ragged_part(values.flat.numpy(), values.layout, part)
        assert same(own.views(), samples[part])
        assert not own.nbytes or own.flat.untyped_storage().nbytes() == own.nbytes


@settings(deadline=None)
@given(samples_of())
def test_packed_samples_are_copies(samples):
    values, before = RaggedValues.of(samples), [sample.clone() for sample in samples]
    assert same(values.views(), samples)
    values.flat.fill_(1)
    assert same(samples, before)


@settings(deadline=None)
@given(grouped())
def test_padded_samples_have_zeros_behind_them_along_each_axis(case):
    values, samples = case
    longest = tuple(max(sample.shape[axis] for sample in samples) for axis in range(samples[0].ndim))
    padded = values.padded(allocate, 1 << 30, str)
    assert padded.shape == (len(samples), *longest)
    for slot, sample in zip(padded, samples, strict=True):
        expected = torch.zeros(longest, dtype=sample.dtype)
        expected[tuple(map(slice, sample.shape))] = sample
        assert torch.equal(slot, expected)
    for axis in range(samples[0].ndim):
        lengths = [sample.shape[axis] for sample in samples]
        assert values.lengths(axis).tolist() == lengths
        expected = [[entry >= length for entry in range(max(lengths))] for length in lengths]
        assert values.padding(axis).tolist() == expected


@settings(deadline=None)
@given(samples_of(), st.integers(0, 3))
def test_samples_that_differ_along_the_first_axis_are_concatenated(samples, length):
    rows = [torch.arange(float(sample.numel() * length)).view(sample.numel(), length) for sample in samples]
    values = RaggedValues.of(rows)
    assert torch.equal(values.concatenated(), torch.cat(rows))
    assert values.concatenated().data_ptr() == values.flat.data_ptr()


def test_equal_samples_are_stacked_without_a_copy_and_others_are_an_error():
    values = RaggedValues.of([torch.ones(2, 3), torch.zeros(2, 3)])
    assert values.stacked("x", str).data_ptr() == values.flat.data_ptr()
    assert values.stacked("x", str).shape == (2, 2, 3)
    other = RaggedValues.of([torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(3, 2)])
    with pytest.raises(
        FieldError, match=r"x has ragged='stack', but 0 has the shape \(2, 3\), and 2 \(3, 2\)"
    ):
        other.stacked("x", str)


def test_a_padded_tensor_that_is_too_large_is_refused_before_memory_is_taken():
    values = RaggedValues.of([torch.ones(2, 3), torch.ones(700, 3)])

    def no_memory(numbers, dtype):
        raise AssertionError("memory was taken")

    with pytest.raises(ResourceError, match=r"longest is sample 1, of shape \(700, 3\)"):
        values.padded(no_memory, 16_799, "sample {}".format)
    assert values.padded(allocate, 16_800, str).nbytes == 16_800


def test_no_samples_make_empty_tensors():
    values = RaggedValues(torch.zeros(0), RaggedLayout.of(np.zeros((0, 2), np.int64)))
    assert values.views() == []
    assert values.concatenated().shape[0] == values.stacked("x", str).shape[0] == 0
    assert values.padded(allocate, 1 << 20, str).shape[0] == 0


def test_a_number_of_the_buffer_is_found_in_its_sample():
    layout = RaggedLayout.of(np.asarray([[2, 3], [0, 3], [1, 3]]), np.asarray([1, 0, 0]))
    assert [layout.sample_at(position) for position in (0, 3, 8)] == [(2, (0, 0)), (0, (0, 0)), (0, (1, 2))]
