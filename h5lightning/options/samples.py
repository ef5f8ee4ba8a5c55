"""The layout of samples in a series: rows, windows of rows, or whole series; one for all stages, or one for each."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, TypeAlias

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_choice, check_int, make_plain, said_options

__all__ = ["STAGES", "Rows", "Samples", "SamplesOption", "StageSamples", "Whole", "Windows"]

STAGES = ("train", "val", "test", "predict")


class _Said:
    """Shows an option without the defaults of the options that came later."""

    later: ClassVar[tuple[str, ...]] = ("axis", "pad")

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in said_options(self).items())
        return f"{type(self).__name__}({said})"


@dataclasses.dataclass(frozen=True, repr=False)
class Rows(_Said):
    """Each row of a series is one sample.

    Args:
        axis: the axis of the fields along which the rows lie: 0, or 1 with ``series=Series(axis=0)``.
    """

    axis: int = 0
    kind: ClassVar[str] = "rows"

    def __post_init__(self) -> None:
        make_plain(self)
        check_int("samples.axis", self.axis, at_least=0)


@dataclasses.dataclass(frozen=True, repr=False)
class Windows(_Said):
    """A sample is a window of rows; a window never crosses the border of a series.

    Args:
        length: rows in a window.
        stride: distance in rows between the starts of consecutive windows.
        dilation: distance in rows between consecutive rows of a window.
        axis: the axis of the fields along which the rows lie: 0, or 1 with ``series=Series(axis=0)``.
        pad: None for windows that lie inside of their series as a whole. ``"edge"`` or ``"zero"``: each row (each
            ``stride`` of them) starts a window; steps outside of the series are its first or last row, or zeros.
            Zeros are put in last, after all other conversions. A field ``"pad:KEY"`` tells which steps of ``KEY`` are
            padding, ``(N, steps)`` bool.
    """

    length: int
    stride: int = 1
    dilation: int = 1
    axis: int = 0
    pad: str | None = None
    kind: ClassVar[str] = "windows"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("length", "stride", "dilation"):
            check_int(f"samples.{name}", getattr(self, name), at_least=1)
        check_int("samples.axis", self.axis, at_least=0)
        if self.pad is not None:
            check_choice("samples.pad", self.pad, ("edge", "zero"))
        check_int(
            "the span of a window, (samples.length - 1) * samples.dilation + 1,",
            self.span_rows,
            at_least=1,
        )

    @property
    def span_rows(self) -> int:
        """Rows from the first to the last row of a window, both included."""
        return (self.length - 1) * self.dilation + 1


@dataclasses.dataclass(frozen=True, repr=False)
class Whole(_Said):
    """A sample is a whole series.

    Args:
        axis: the axis of the fields along which the rows lie: 0, or 1 with ``series=Series(axis=0)``.
    """

    axis: int = 0
    kind: ClassVar[str] = "whole"

    def __post_init__(self) -> None:
        make_plain(self)
        check_int("samples.axis", self.axis, at_least=0)


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
            if self.of(stage).axis != self.train.axis:
                raise OptionError(
                    f"samples.{stage} has rows along axis {self.of(stage).axis}, samples.train along axis "
                    f"{self.train.axis}: splits divide one kind of rows, so that axis must be the same in all stages"
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
