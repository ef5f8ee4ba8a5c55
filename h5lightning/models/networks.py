"""Networks that are built from the shape of a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from h5lightning.errors import UnsupportedFieldError
from h5lightning.planning.fields import FieldSpec

__all__ = ["Standardise", "build_network", "layout_of"]

_SMALL = 6  # convolutions stride along an axis until it is not longer than this
_FULL_RESOLUTION = 64  # longer axes are halved by each convolution, to be affordable
_SMALLEST_IMAGE = 8
_LARGEST_Z = 10.0


class Standardise(nn.Module):
    """Brings values to mean 0 and variance 1, by statistics that are learned while training.

    Every batch that passes in training mode counts, merged by the update of Chan, Golub and LeVeque (1983);
    unlike a BatchNorm this neither forgets nor depends on the size of the batch.

    Args:
        shape: shape of the statistics, broadcast against the last axes of a sample: ``(C, 1, 1)`` for one
            mean per channel of ``(N, C, H, W)``, ``()`` for one mean of everything.
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
        """Standard deviation, ``shape``; 1 where nothing was seen to vary."""
        deviation = self.variance.sqrt()
        return torch.where(deviation > 1e-6 * self.mean.abs(), deviation, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Values of any type, ``(N, ...)``, as standardised floats of the same shape."""
        values = values.to(self.mean.dtype)
        if self.training:
            self._learn(values.detach())
        return (values - self.mean) / self.deviation

    def inverse(self, standardised: Tensor) -> Tensor:
        """The values that ``standardised``, ``(N, ...)``, stand for."""
        return standardised * self.deviation + self.mean

    def _learn(self, values: Tensor) -> None:
        variance, mean = torch.var_mean(values, self._reduced_axes(values.ndim), correction=0)
        step = mean.reshape(self.mean.shape) - self.mean
        spread = variance.reshape(self.mean.shape) - self.variance
        count = values.numel() // max(1, self.mean.numel())
        self.count.add_(count)
        share = count / self.count
        self.variance.add_(share * spread + share * (1 - share) * step**2)
        self.mean.add_(share * step)

    def _reduced_axes(self, ndim: int) -> list[int]:
        kept = {ndim - self.mean.ndim + axis for axis, size in enumerate(self.mean.shape) if size > 1}
        return [axis for axis in range(ndim) if axis not in kept]


class _Clamp(nn.Module):
    """Keeps what hardly varied in training from swamping the network later."""

    def forward(self, values: Tensor) -> Tensor:
        return values.clamp(-_LARGEST_Z, _LARGEST_Z)


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
    """What a sample of this shape is taken for: ``image``, ``channels-last image``, ``series`` or ``vector``.

    Two long axes of similar length are an image, with channels, frames or both before them, or colours after
    them. A long axis before another one is time. All else is a vector.

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
        spec: what a sample of the field is.
        outputs: numbers that are predicted from each sample.
        width: channels of the first convolution; other layers are multiples of it.

    Raises:
        UnsupportedFieldError: the field's values are complex, or it has none.
    """
    if "complex" in spec.dtype or 0 in spec.shape:
        raise UnsupportedFieldError(
            f"field {key!r} has shape {spec.shape} and dtype {spec.dtype}; this model reads real numbers, at "
            "least one. A transform can turn complex values into two real channels (torch.view_as_real)"
        )
    layout = layout_of(spec.shape)
    if layout == "vector":
        return _perceptron(math.prod(spec.shape), outputs, width)
    channels, size, channels_last = _arrangement(layout, spec.shape)
    arrange = _Arrange((channels, *size), channels_last=channels_last)
    standardise = Standardise((channels, *(1 for _ in size)))
    return nn.Sequential(arrange, standardise, _Clamp(), *_convolutions(channels, size, outputs, width))


def _arrangement(layout: str, shape: Sequence[int]) -> tuple[int, tuple[int, ...], bool]:
    """Channels, lengths of the other axes, and whether the channels come last."""
    if layout == "series":
        return shape[1], (shape[0],), True
    if layout == "channels-last image":
        return math.prod(shape[:-3]) * shape[-1], tuple(shape[-3:-1]), True
    return math.prod(shape[:-2]), tuple(shape[-2:]), False


def _perceptron(inputs: int, outputs: int, width: int) -> nn.Sequential:
    hidden = 8 * width
    return nn.Sequential(
        _Arrange((inputs,), channels_last=False),
        Standardise((inputs,)),
        _Clamp(),
        nn.Linear(inputs, hidden),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(hidden, outputs),
    )


def _convolutions(channels: int, size: tuple[int, ...], outputs: int, width: int) -> list[nn.Module]:
    """Stages that halve each long axis, then a linear layer on what is left."""
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
    # GroupNorm, unlike BatchNorm, does the same for a last batch of one sample and on every rank.
    norm = nn.GroupNorm(math.gcd(8, outputs), outputs)
    if len(strides) == 1:
        return [nn.Conv1d(inputs, outputs, 3, strides[0], padding=1), norm, nn.GELU()]
    return [nn.Conv2d(inputs, outputs, 3, (strides[0], strides[1]), padding=1), norm, nn.GELU()]
