"""What the rows of a dataset are: time, or something else along which no window should run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from h5lightning.tools.overview.dataset_names import is_label, words_of
from h5lightning.tools.overview.dataset_table import Entry

__all__ = ["RowAxis", "row_axis"]

_TIME_WORDS = frozenset(["t", "time", "times", "timestamp", "timestamps"])
_BESIDE_TIME = frozenset(
    ["axis", "coord", "coordinate", "coords", "days", "hours", "ms", "s", "sec", "seconds"]
)
_OF_COORDINATES = frozenset(["", "coordinates", "coords", "dimensions", "grid"])
_THE_WELL = re.compile(r"(?:^|/)t[012]_fields/")
_IMAGE_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class RowAxis:
    """What is known of the sample axis of a dataset.

    Args:
        text: what a sentence says of the dataset; empty where nothing stands out.
        severity: ``warning`` where windows of rows would be wrong, else ``note``.
        may_be_time: whether windows of rows may be windows of time.
    """

    text: str = ""
    severity: str = "note"
    may_be_time: bool = True


_NOTHING = RowAxis()


def row_axis(entry: Entry, entries: Sequence[Entry], *, is_matlab: bool = False) -> RowAxis:
    """What the rows of a dataset are, as far as its file says.

    Args:
        entry: the dataset.
        entries: all datasets.
        is_matlab: whether MATLAB wrote the files.
    """
    schema = entry.schema
    if not entry.is_usable or schema.members or len(schema.shape) < 2 or not entry.rows.max(initial=0):
        return _NOTHING
    if _THE_WELL.search(entry.path):
        return RowAxis(
            "has the layout of The Well: its first axis counts trajectories, its second one is time. A row is a whole "
            "trajectory, and Windows of rows would mix trajectories: choose times in a transform, or write a file for "
            "each trajectory with time first",
            "warning",
            may_be_time=False,
        )
    if (axis := _time_axis(entry, entries)) is not None:
        number, path = axis
        return RowAxis(
            f"has time along axis {number}, as the length of '/{path}' says, so that its rows are no times: Windows of "
            "rows would not be windows of time. Choose times in a transform, or store time first",
            "warning",
            may_be_time=False,
        )
    return _matlab(entry) if is_matlab else _short(entry, entries)


def _time_axis(entry: Entry, entries: Sequence[Entry]) -> tuple[int, str] | None:
    """The axis other than the first one that a coordinate of time belongs to, and the path of that coordinate."""
    clocks = [other for other in entries if _is_clock(other, entry)]
    if any(_has_rows_of(clock, entry) for clock in clocks):
        return None
    lengths = entry.schema.row_shape
    for axis, path in _labelled_axes(entry):
        if axis > 0 and _names_time(path):
            return axis, path
    for clock in clocks:
        long = int(clock.rows[0]) if len(set(clock.rows.tolist())) == 1 else -1
        # PDEBench has one time more than steps.
        allowed = (long, long - 1) if clock.path.endswith("t-coordinate") else (long,)
        for axis, length in enumerate(lengths, start=1):
            if length > 1 and length in allowed:
                return axis, clock.path
    return None


def _is_clock(entry: Entry, data: Entry) -> bool:
    """Whether a dataset is a coordinate of time that lies where those of the data would."""
    if len(entry.schema.shape) != 1 or entry.is_family or not _names_time(entry.path):
        return False
    group = entry.path.rpartition("/")[0]
    return group == data.path.rpartition("/")[0] or group.rpartition("/")[2].lower() in _OF_COORDINATES


def _names_time(path: str) -> bool:
    """``time``, ``t-coordinate``, ``time_s``, but not ``spike_times``."""
    words = words_of(path.rpartition("/")[2])
    return bool(_TIME_WORDS & words) and words <= _TIME_WORDS | _BESIDE_TIME


def _has_rows_of(one: Entry, other: Entry) -> bool:
    """Whether two datasets have equally many rows in each file that holds both."""
    files = int(max(one.files.max(), other.files.max())) + 1
    first, second = one.rows_by_file(files), other.rows_by_file(files)
    both = (first >= 0) & (second >= 0)
    return bool(both.any() and (first[both] == second[both]).all())


def _labelled_axes(entry: Entry) -> Iterator[tuple[int, str]]:
    for said, _ in entry.said:
        yield from ((labels.axis, labels.path) for labels in said.labels)


def _matlab(entry: Entry) -> RowAxis:
    axes = " × ".join(map(str, reversed(entry.schema.row_shape)))
    short = _is_short(entry)
    return RowAxis(
        f"was written by MATLAB, whose axes are stored in reverse: the array of MATLAB has the size {axes} × rows, and "
        "rows run along its last dimension"
        + (". Store it transposed if that is not the samples" if short else ""),
        may_be_time=not short,
    )


def _short(entry: Entry, entries: Sequence[Entry]) -> RowAxis:
    has_labels = any(
        other is not entry and is_label(other.path) and other.schema.shape and _has_rows_of(other, entry)
        for other in entries
    )
    if has_labels or _is_picture(entry) or not _is_short(entry):
        return _NOTHING
    longest = int(entry.rows.max())
    return RowAxis(
        f"has a sample axis that is shorter than the next one in all files ({longest:,} against "
        f"{entry.schema.shape[1]:,}): are rows samples, and not channels? If they are channels, store it transposed, "
        "so that time comes first",
        may_be_time=False,
    )


def _is_short(entry: Entry) -> bool:
    return all(
        len(variant.schema.shape) > 1 and int(entry.rows.max()) < variant.schema.shape[1]
        for variant in entry.variants
    )


def _is_picture(entry: Entry) -> bool:
    """Whether a row, or a file, looks like a picture, of which there may be few."""
    shape = entry.schema.row_shape
    is_square = len(shape) > 1 and shape[0] == shape[1]
    has_channels = len(shape) > 1 and (shape[-1] in _IMAGE_CHANNELS or shape[0] in _IMAGE_CHANNELS)
    return is_square or has_channels
