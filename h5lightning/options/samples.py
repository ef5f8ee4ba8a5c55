"""The layout of samples in a series: rows, windows of rows, or whole series; one for all stages, or one for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, TypeAlias, cast

from h5lightning.errors import OptionError
from h5lightning.options.checks import (
    LARGEST_INT,
    check_bool,
    check_choice,
    check_int,
    make_plain,
    said_options,
)

__all__ = ["STAGES", "Rows", "Samples", "SamplesOption", "StageSamples", "Whole", "Windows"]

STAGES = ("train", "val", "test", "predict")


class _Said:
    """Shows an option without the defaults of the options that came later."""

    later: ClassVar[tuple[str, ...]] = ("axis", "pad", "jitter", "take")

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in said_options(self).items())
        return f"{type(self).__name__}({said})"


@dataclasses.dataclass(frozen=True, repr=False)
class Rows(_Said):
    """Each row of a series is one sample.

    Args:
        axis: the axis of the fields along which the rows lie, as NumPy numbers those of the stored dataset: 0, or −1
            for the last one. With ``series=Series(axis=0)`` it cannot be 0.
    """

    axis: int = 0
    kind: ClassVar[str] = "rows"
    jitter: ClassVar[bool] = False
    take: ClassVar[None] = None

    def __post_init__(self) -> None:
        make_plain(self)
        _check_axis(self.axis)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axis along which the rows lie."""
        return (self.axis,)


@dataclasses.dataclass(frozen=True, repr=False)
class Windows(_Said):
    """A sample is a window of rows; a window never crosses the border of a series.

    With several axes, a window is a box: ``Windows((64, 64, 64), stride=32, axis=(0, 1, 2))``. Rows lie along the first
    of them, and splits divide them; along the other axes, all windows of these rows belong to the split.

    Args:
        length: rows in a window; of several axes, the entries along each.
        stride: distance in rows between the starts of consecutive windows; one number for all axes, or one for each.
        dilation: distance in rows between consecutive rows of a window; only for windows along one axis.
        axis: the axis of the fields along which the rows lie, as NumPy numbers those of the stored dataset: 0, or −1
            for the last one; or several axes. With ``series=Series(axis=0)`` none can be 0.
        pad: None for windows that lie inside of their series as a whole. ``"edge"`` or ``"zero"``: each row (each
            ``stride`` of them) starts a window, along each axis; steps outside of the series are its first or last row,
            or zeros. Zeros are put in last, after all other conversions. A field ``"pad:KEY"`` tells which steps of
            ``KEY`` are padding, ``(N, steps)`` bool; of several axes, ``(N, *length)``.
        jitter: in training, a window begins anywhere between its own start and that of the next window, drawn for each
            sample and epoch. The other stages use the starts themselves.
    """

    length: int | Sequence[int]
    stride: int | Sequence[int] = 1
    dilation: int = 1
    axis: int | Sequence[int] = 0
    pad: str | None = None
    jitter: bool = False
    kind: ClassVar[str] = "windows"
    take: ClassVar[None] = None

    def __post_init__(self) -> None:
        make_plain(self)
        self._check_axes()
        for name in ("length", "stride"):
            self._check_each(name)
        check_int("samples.dilation", self.dilation, at_least=1)
        check_bool("samples.jitter", self.jitter)
        if self.pad is not None:
            check_choice("samples.pad", self.pad, ("edge", "zero"))
        if len(self.axes) > 1 and self.dilation > 1:
            raise OptionError(
                f"samples.dilation={self.dilation} is for windows along one axis, found axis={self.axis!r}: leave out "
                "rows in a transform"
            )
        check_int(
            "the span of a window, (samples.length - 1) * samples.dilation + 1,",
            self.span_rows,
            at_least=1,
        )

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of a window; rows lie along the first one."""
        return (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Entries of a window along each axis."""
        return self._each(self.length)

    @property
    def strides(self) -> tuple[int, ...]:
        """Entries from the start of one window to that of the next one, along each axis."""
        return self._each(self.stride)

    @property
    def rows(self) -> int:
        """Rows of a window."""
        return self.lengths[0]

    @property
    def stride_rows(self) -> int:
        """Rows from the start of one window to that of the next one."""
        return self.strides[0]

    @property
    def span_rows(self) -> int:
        """Rows from the first to the last row of a window, both included."""
        return (self.rows - 1) * self.dilation + 1

    def _each(self, value: int | Sequence[int]) -> tuple[int, ...]:
        return (value,) * len(self.axes) if isinstance(value, int) else tuple(value)

    def _check_axes(self) -> None:
        if not isinstance(self.axis, list):
            _check_axis(self.axis)
            return
        axes = cast("list[object]", self.axis)
        if not axes or any(type(axis) is not int for axis in axes) or len(set(axes)) < len(axes):
            raise OptionError(f"samples.axis must be an integer, or a list of different ones; found {axes!r}")
        # Windows along a list of one axis are those along this axis.
        object.__setattr__(self, "axis", tuple(axes) if len(axes) > 1 else axes[0])

    def _check_each(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, list):
            check_int(f"samples.{name}", value, at_least=1)
            return
        if len(value) != len(self.axes):
            raise OptionError(
                f"samples.{name}={value!r} has {len(value)} numbers, and samples.axis={self.axis!r} names "
                f"{len(self.axes)}: give one for each axis"
                + (f", such as axis={list(range(len(value)))}" if name == "length" and value else "")
            )
        for one in value:
            check_int(f"samples.{name}", one, at_least=1, at_most=LARGEST_INT)
        object.__setattr__(self, name, tuple(value) if len(value) > 1 else value[0])


@dataclasses.dataclass(frozen=True, repr=False)
class Whole(_Said):
    """A sample is a whole series.

    Args:
        axis: the axis of the fields along which the rows lie, as NumPy numbers those of the stored dataset: 0, or −1
            for the last one. With ``series=Series(axis=0)`` it cannot be 0.
        take: deliver so many rows of each series, drawn without replacement for each sample and epoch, in the order of
            the series, and the same rows in all fields; a series with fewer rows delivers all of them. In evaluation,
            the draw does not depend on the epoch.
    """

    axis: int = 0
    take: int | None = None
    kind: ClassVar[str] = "whole"
    jitter: ClassVar[bool] = False

    def __post_init__(self) -> None:
        make_plain(self)
        _check_axis(self.axis)
        if self.take is not None:
            check_int("samples.take", self.take, at_least=1)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axis along which the rows lie."""
        return (self.axis,)


def _check_axis(axis: object) -> None:
    if type(axis) is not int:
        raise OptionError(f"samples.axis must be an integer, found {axis!r}")


Samples: TypeAlias = Rows | Windows | Whole


@dataclasses.dataclass(frozen=True)
class StageSamples:
    """The layout of samples in each stage; None for that of the stage before, in the order of the arguments."""

    train: Samples
    val: Samples | None = None
    test: Samples | None = None
    predict: Samples | None = None
    later: ClassVar[tuple[str, ...]] = ("val", "test", "predict")

    def __post_init__(self) -> None:
        for stage in STAGES:
            if self.of(stage).axes[0] != self.train.axes[0]:
                raise OptionError(
                    f"samples.{stage} has rows along axis {self.of(stage).axes[0]}, samples.train along axis "
                    f"{self.train.axes[0]}: splits divide one kind of rows, so that axis must be the same in all stages"
                )

    @classmethod
    def all_of(cls, option: SamplesOption) -> StageSamples:
        """The layout in each stage, from one for all of them or one for each."""
        return option if isinstance(option, StageSamples) else cls(option)

    def of(self, stage: str) -> Samples:
        """The layout in a stage."""
        chosen = self.train
        for name in STAGES[: STAGES.index(stage) + 1]:
            chosen = getattr(self, name) or chosen
        return chosen

    @property
    def stages_of(self) -> dict[Samples, list[str]]:
        """The distinct layouts in the order of their stages, each with its stages."""
        stages: dict[Samples, list[str]] = {}
        for stage in STAGES:
            stages.setdefault(self.of(stage), []).append(stage)
        return stages


SamplesOption: TypeAlias = Samples | StageSamples
