"""Normalised numbers are those of float64's formula, whatever the shape, the type and the axes of the statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.loading.fields import normalizer as module
from h5lightning.loading.fields.normalizer import Normalizer
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.options import Normalize
from h5lightning.planning.fields import AttributeField, FieldSpec, StoredForm
from h5lightning.planning.normalizing import Affine, NormalizedField
from h5lightning.planning.values.conversions import LostValueError

pytestmark = pytest.mark.timeout(120)
TYPES = [
    ("float32", "float32"),
    ("float64", "float64"),
    ("float64", "float32"),
    ("uint8", "float32"),
    ("int16", "float32"),
    ("int32", "float64"),
    ("float16", "float16"),
    ("float32", "float16"),
]


def normalized(shape, axes, read, delivered):
    plan = AttributeField(
        key="x", path="x", spec=FieldSpec(shape, read), forms=(StoredForm("<f4"),), values=np.zeros(0)
    )
    return NormalizedField(plan, Normalize(), axes, delivered)


def affine(shift, scale):
    return Affine(np.asarray(shift, float), np.asarray(scale, float), np.zeros(np.shape(shift), bool))


def spread(values, shape, axes):
    return values.reshape([length if axis in axes else 1 for axis, length in enumerate(shape)])


@st.composite
def cases(draw):
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 5, 12, 40, 300]), max_size=4)))
    axes = tuple(axis for axis in range(len(shape)) if draw(st.booleans()))
    return shape, axes, draw(st.sampled_from(TYPES)), draw(st.integers(0, 9)), draw(st.integers(0, 2**32 - 1))


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from([8, 100, 2048, 32 * 1024]), st.sampled_from([2, 256]))
def test_it_is_the_formula_of_float64(case, block, run) -> None:
    shape, axes, (read, delivered), count, seed = case
    while np.prod(shape, dtype=int) * max(1, count) > 200_000:
        shape, axes = shape[1:], tuple(axis - 1 for axis in axes if axis)
    rng = np.random.default_rng(seed)
    of_statistics = tuple(shape[axis] for axis in axes)
    is_large = read in ("float32", "float64") and delivered != "float16"
    scale = np.exp(rng.normal(size=of_statistics))
    shift = rng.normal(size=of_statistics) + (1e6 if is_large else 60)
    drawn = rng.normal(size=(count, *shape)) * spread(scale, shape, axes) + spread(shift, shape, axes)
    values = np.clip(drawn, 0, 255).astype(read) if np.dtype(read).kind in "iu" else drawn.astype(read)
    expected = (values.astype(np.float64) - spread(shift, shape, axes)) / spread(scale, shape, axes)
    out = np.full(values.shape, np.nan, delivered)
    before = module._BLOCK, module._LEAST_RUN
    module._BLOCK, module._LEAST_RUN = block, run
    try:
        normalizer = Normalizer(normalized(shape, axes, read, delivered), affine(shift, scale))
        normalizer(values, out)
        if read == delivered:
            normalizer(values, values)
            np.testing.assert_array_equal(values, out)
    finally:
        module._BLOCK, module._LEAST_RUN = before
    tolerance = 2e-3 if delivered == "float16" else 1e-6
    np.testing.assert_allclose(out.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "axes"), [((None, 3), (1,)), ((None, None, 3), (2,)), ((3, None), (0,)), ((None,), ())]
)
def test_samples_of_different_shapes_are_normalised_each(shape, axes) -> None:
    rng = np.random.default_rng(0)
    shapes = np.asarray([[length or rng.integers(0, 6) for length in shape] for _ in range(9)])
    layout = RaggedLayout.of(shapes, rng.integers(0, 3, 9))
    of_statistics = tuple(shape[axis] for axis in axes)
    shift, scale = rng.normal(size=of_statistics), np.exp(rng.normal(size=of_statistics))
    values = rng.normal(size=layout.total).astype("float32")
    out = np.empty_like(values)
    Normalizer(normalized(shape, axes, "float32", "float32"), affine(shift, scale))(values, out, layout)
    for start, size, own in zip(layout.starts, layout.sizes, layout.shapes.tolist(), strict=True):
        sample = values[start : start + size].reshape(own).astype(float)
        expected = (sample - spread(shift, own, axes)) / spread(scale, own, axes)
        np.testing.assert_allclose(out[start : start + size].reshape(own), expected, rtol=1e-6, atol=1e-6)


def test_nan_and_infinity_stay_and_a_number_that_is_lost_is_found() -> None:
    values = np.asarray([[0.0, np.nan], [np.inf, -np.inf]], np.float32)
    out = np.empty((2, 2), np.float16)
    field = normalized((2,), (0,), "float32", "float16")
    Normalizer(field, affine([0, 0], [1, 1e-3]))(values, out)
    np.testing.assert_array_equal(out, values)
    values[1, 1] = 100
    with pytest.raises(LostValueError) as lost:
        Normalizer(field, affine([0, 0], [1, 1e-3]))(values, out)
    assert lost.value.place == (3,)


@pytest.mark.parametrize("scale", [1e-35, 1e-40, 1e35])
def test_scales_that_float32_cannot_compute_with(scale) -> None:
    values = (np.asarray([[-2.0], [0.0], [1.5]]) * scale).astype(np.float32)
    out = np.empty((3, 1), np.float32)
    Normalizer(normalized((1,), (0,), "float32", "float32"), affine([0.0], [scale]))(values, out)
    np.testing.assert_allclose(out, values.astype(float) / scale, rtol=1e-6)
