"""What a series is: the rows that belong together in order, whose border no window crosses."""

from __future__ import annotations

import dataclasses
from typing import Any

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_int, check_text, clean_path, make_plain

__all__ = ["Series"]

# Each way to divide the rows of a file, by the options that say it; more than one of them is an error.
_WAYS = (("axis",), ("ends",), ("offsets",), ("starts", "lengths", "stops"), ("flags",), ("runs",))
_PATHS = ("ends", "offsets", "starts", "lengths", "stops", "runs")


@dataclasses.dataclass(frozen=True)
class Series:
    """What a series is, where it is not a whole file.

    Paths may hold the ``*`` of the fields: then each match has its own table.

    Args:
        axis: the leading axis of the fields, each entry of which is a series; rows then lie along the next axis:
            ``Series(axis=0)`` with ``Windows(5, axis=1)`` for data of shape ``(trajectories, times, …)``.
        ends: dataset with one past the last row of each series, ``(series,)``.
        offsets: dataset with the first row of each series, and the number of rows as its last entry, ``(series + 1,)``.
        starts: dataset with the first row of each series, ``(series,)``; with ``lengths`` or ``stops``.
        lengths: dataset with the number of rows of each series, ``(series,)``; without ``starts``, they follow each
            other.
        stops: dataset with one past the last row of each series, ``(series,)``.
        flags: datasets with a flag for each row, ``(rows,)``: a series ends with a row in which one of them is true.
        runs: dataset with a value for each row, ``(rows,)``: rows with equal values that follow each other are a
            series.
        join_files: path of the coordinate that must go on by the same step: files whose coordinate does so are one
            series. True to join all files in path order, which nothing verifies.

    Raises:
        OptionError: two ways at once, or ``starts`` without the other end.
    """

    axis: int | None = None
    ends: str | None = None
    offsets: str | None = None
    starts: str | None = None
    lengths: str | None = None
    stops: str | None = None
    flags: str | list[str] | tuple[str, ...] = ()
    runs: str | None = None
    join_files: str | bool | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        flags = [self.flags] if isinstance(self.flags, str) else list(self.flags)
        for name in _PATHS:
            check_text(f"series.{name}", getattr(self, name))
            path = getattr(self, name)
            object.__setattr__(self, name, path and clean_path(path))
        for flag in flags:
            check_text("series.flags", flag)
        object.__setattr__(self, "flags", tuple(clean_path(flag or "") for flag in flags))
        if self.axis is not None:
            check_int("series.axis", self.axis, at_least=0)
        if self.join_files is False:
            object.__setattr__(self, "join_files", None)
        if self.join_files is not None and self.join_files is not True:
            check_text("series.join_files", self.join_files)
            object.__setattr__(self, "join_files", clean_path(str(self.join_files)))
        self._check_combination()

    @property
    def tables(self) -> tuple[str, ...]:
        """The datasets that divide the rows of a file, each with its option: ``ends=meta/ends``."""
        said = ((name, getattr(self, name)) for name in _PATHS)
        return (*(f"{name}={path}" for name, path in said if path), *(f"flags={path}" for path in self.flags))

    def text(self) -> str:
        """The Python code of the option, for users to copy."""
        values = ((item.name, getattr(self, item.name)) for item in dataclasses.fields(self))
        said = (f"{name}={_shown(value)}" for name, value in values if value not in (None, ()))
        return f"Series({', '.join(said)})"

    def _check_combination(self) -> None:
        given = [name for way in _WAYS for name in way if getattr(self, name) not in (None, ())]
        ways = [way for way in _WAYS if any(name in given for name in way)]
        if len(ways) > 1:
            raise OptionError(
                f"series: {' and '.join(given)} are different ways to divide rows: say one of them"
            )
        pair = {"starts", "lengths", "stops"} & set(given)
        if pair and pair not in ({"lengths"}, {"starts", "lengths"}, {"starts", "stops"}):
            raise OptionError(
                f"series: starts needs lengths or stops, and stops need starts; found {' and '.join(given)}"
            )
        if self.join_files is not None and given:
            raise OptionError(
                f"series: join_files makes series of whole files, found {' and '.join(given)} too: say one of them"
            )


def _shown(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
