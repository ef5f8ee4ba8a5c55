"""Networks for samples of a given shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from h5lightning.errors import UnsupportedFieldError
from h5lightning.planning.fields import FieldSpec

__all__ = ["Standardise", "build_network", "layout_of"]

_SMALL = 6  # convolutions stride along an axis until it is at most this long
_FULL_RESOLUTION = 64  # each convolution halves longer axes, to save time
_SMALLEST_IMAGE = 8
_LARGEST_Z = 10.0  # limits inputs that hardly varied in training, so that outliers do not dominate


class Standardise(nn.Module):
    """Scales values to mean 0 and variance 1, with statistics that are learned during training.

    Every batch in training mode counts, merged by the update of Chan, Golub and LeVeque (1983). Unlike BatchNorm, this
    forgets nothing and does not depend on the batch size.

    Args:
        shape: shape of the statistics, broadcast against the last axes of a sample: ``(C, 1, 1)`` for one mean per
            channel of ``(N, C, H, W)``, ``()`` for one mean of all values.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tuple(shape)))
        self.register_buffer("variance", torch.ones(tuple(shape)))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @property
    def deviation(self) -> Tensor:
        """Standard deviation, ``shape``; 1 where the values did not vary."""
        deviation = self.variance.sqrt()
        return torch.where(deviation > 1e-6 * self.mean.abs(), deviation, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Values of any type, ``(N, ...)``, as standardised floats of the same shape."""
        values = values.to(self.mean.dtype)
        if self.training:
            self._learn(values.detach())
        return (values - self.mean) / self.deviation

    def inverse(self, standardised: Tensor) -> Tensor:
        """The original values of ``standardised``, ``(N, ...)``."""
        return standardised * self.deviation + self.mean

    def _learn(self, values: Tensor) -> None:
        variance, mean = torch.var_mean(values, self._reduced_axes(values.ndim), correction=0)
        step = mean.reshape(self.mean.shape) - self.mean
        spread = variance.reshape(self.mean.shape) - self.variance
        count = values.numel() // max(1, self.mean.numel())
        self.count.add_(count)
        weight = count / self.count
        self.variance.add_(weight * spread + weight * (1 - weight) * step**2)
        self.mean.add_(weight * step)

    def _reduced_axes(self, ndim: int) -> list[int]:
        kept = {ndim - self.mean.ndim + axis for axis, size in enumerate(self.mean.shape) if size > 1}
        return [axis for axis in range(ndim) if axis not in kept]


class _Arrange(nn.Module):
    """Samples of any shape as ``(N, channels, *size)``."""

    def __init__(self, shape: Sequence[int], *, channels_last: bool) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.channels_last = channels_last

    def forward(self, values: Tensor) -> Tensor:
        if self.channels_last:
            values = values.movedim(-1, 1)
        return values.reshape(len(values), *self.shape)


def layout_of(shape: Sequence[int]) -> str:
    """How a sample of this shape is interpreted: ``image``, ``channels-last image``, ``series`` or ``vector``.

    Two long axes of similar length are an image, with channels or frames before them, or colours after them. A long
    axis before another axis is time. All other shapes are vectors.

    Example:
        >>> layout_of((3, 32, 32)), layout_of((32, 32, 3)), layout_of((100, 6)), layout_of((64,))
        ('image', 'channels-last image', 'series', 'vector')
    """
    if len(shape) >= 3 and shape[-1] <= 4 and min(shape[-3:-1]) >= _SMALLEST_IMAGE:
        return "channels-last image"
    if len(shape) >= 2 and min(shape[-2:]) >= _SMALLEST_IMAGE:
        is_square_enough = max(shape[-2:]) <= 4 * min(shape[-2:])
        if is_square_enough or len(shape) > 2:
            return "image"
    if len(shape) == 2 and shape[0] >= _SMALLEST_IMAGE:
        return "series"
    return "vector"


def build_network(key: str, spec: FieldSpec, outputs: int, width: int) -> nn.Sequential:
    """A network from raw samples of a field, ``(N, *spec.shape)``, to ``(N, outputs)``.

    Args:
        key: the field's key, for the error.
        spec: shape and type of a sample of the field.
        outputs: number of outputs per sample.
        width: channels of the first convolution; other layers have multiples of it.

    Raises:
        UnsupportedFieldError: the field holds complex numbers, or no numbers.
    """
    if "complex" in spec.dtype or 0 in spec.shape:
        raise UnsupportedFieldError(
            f"field {key!r} has shape {spec.shape} and dtype {spec.dtype}; this model needs at least one "
            "real number. A transform can turn complex values into two real channels (torch.view_as_real)"
        )
    channels, size, channels_last = _arrangement(layout_of(spec.fixed_shape), spec.fixed_shape)
    return nn.Sequential(
        _Arrange((channels, *size), channels_last=channels_last),
        Standardise((channels, *(1 for _ in size))),
        nn.Hardtanh(-_LARGEST_Z, _LARGEST_Z),
        *(_convolutions(channels, size, outputs, width) if size else _perceptron(channels, outputs, width)),
    )


def _arrangement(layout: str, shape: Sequence[int]) -> tuple[int, tuple[int, ...], bool]:
    """Channels, lengths of the other axes, and whether the channels come last."""
    if layout == "vector":
        return math.prod(shape), (), False
    if layout == "series":
        return shape[1], (shape[0],), True
    if layout == "channels-last image":
        return math.prod(shape[:-3]) * shape[-1], tuple(shape[-3:-1]), True
    return math.prod(shape[:-2]), tuple(shape[-2:]), False


def _perceptron(inputs: int, outputs: int, width: int) -> list[nn.Module]:
    hidden = 8 * width
    return [
        nn.Linear(inputs, hidden),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(hidden, outputs),
    ]


def _convolutions(channels: int, size: tuple[int, ...], outputs: int, width: int) -> list[nn.Module]:
    """Stages that halve each long axis, then a linear layer."""
    layers: list[nn.Module] = []
    inputs, wide = channels, width
    while max(size) > _SMALL:
        strides = tuple(2 if length > _SMALL else 1 for length in size)
        if max(size) <= _FULL_RESOLUTION:
            layers += _block(inputs, wide, (1,) * len(size))
            inputs = wide
        layers += _block(inputs, wide, strides)
        size = tuple(-(-length // stride) for length, stride in zip(size, strides, strict=True))
        inputs, wide = wide, min(2 * wide, 4 * width)
    return [*layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(inputs * math.prod(size), outputs)]


def _block(inputs: int, outputs: int, strides: tuple[int, ...]) -> list[nn.Module]:
    # Unlike BatchNorm, GroupNorm works for a batch of one sample, and equally on every rank.
    norm = nn.GroupNorm(math.gcd(8, outputs), outputs)
    if len(strides) == 1:
        return [nn.Conv1d(inputs, outputs, 3, strides[0], padding=1), norm, nn.GELU()]
    return [nn.Conv2d(inputs, outputs, 3, (strides[0], strides[1]), padding=1), norm, nn.GELU()]
