"""The layout of samples in a series: rows, windows of rows, or whole series."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, TypeAlias

from h5lightning.options.checks import check_choice, check_int, make_plain, said_options

__all__ = ["Rows", "Samples", "Whole", "Windows"]


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
