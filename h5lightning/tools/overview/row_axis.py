"""What the rows of a dataset are: times, or something along which windows make no sense."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from h5lightning.tools.overview.dataset_paths import is_label, words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary

__all__ = [
    "IMAGE_CHANNELS",
    "RowAxis",
    "has_leading_series",
    "is_of_the_well",
    "names_time",
    "row_axis",
    "time_axis",
]

_TIME_WORDS = frozenset(["t", "time", "times", "timestamp", "timestamps"])
_WORDS_WITH_TIME = frozenset(
    ["axis", "coord", "coordinate", "coords", "days", "hours", "ms", "s", "sec", "seconds"]
)
_COORDINATE_GROUPS = frozenset(["", "coordinates", "coords", "dimensions", "grid"])
_THE_WELL = re.compile(r"(?:^|/)t[012]_fields/")
IMAGE_CHANNELS = (1, 3, 4)
_LEADING = "series=Series(axis=0) makes each entry of axis 0 a series, and samples=Windows(5, axis=1) windows of times"


@dataclass(frozen=True, slots=True)
class RowAxis:
    """What is known about the sample axis of a dataset.

    Args:
        text: a predicate of the dataset, such as ``has time along axis 1``; empty if nothing stands out.
        severity: ``warning`` if windows of rows would be wrong, else ``note``.
        may_be_time: whether windows of rows may be windows of time.
    """

    text: str = ""
    severity: str = "note"
    may_be_time: bool = True


def row_axis(
    dataset: DatasetSummary, datasets: Sequence[DatasetSummary], *, is_matlab: bool = False
) -> RowAxis:
    """What the rows of a dataset are, as far as the files say."""
    schema = dataset.schema
    if not dataset.is_usable or schema.members or len(schema.shape) < 2 or not dataset.max_rows:
        return RowAxis()
    if is_of_the_well(dataset.path):
        return RowAxis(
            f"has the layout of The Well: axis 0 counts trajectories and axis 1 is time. {_LEADING}",
            may_be_time=False,
        )
    if (found := time_axis(dataset, datasets)) is not None:
        axis, path = found
        text = f"has time along axis {axis}, whose length is that of '/{path}', and not along axis 0: "
        if axis == 1:
            return RowAxis(f"{text}{_LEADING}", may_be_time=False)
        return RowAxis(
            f"{text}Windows of rows would not be windows of time. Choose times in a transform, or store time first",
            "warning",
            may_be_time=False,
        )
    return _matlab_axis(dataset) if is_matlab else _short_axis(dataset, datasets)


def has_leading_series(dataset: DatasetSummary, datasets: Sequence[DatasetSummary]) -> bool:
    """Whether the entries of axis 0 are series, and time runs along axis 1."""
    schema = dataset.schema
    if not dataset.is_usable or schema.members or len(schema.shape) < 2:
        return False
    if is_of_the_well(dataset.path):
        return True
    found = time_axis(dataset, datasets)
    return found is not None and found[0] == 1


def is_of_the_well(path: str) -> bool:
    """Whether it is a path of fields in the layout of The Well."""
    return bool(_THE_WELL.search(path))


def time_axis(dataset: DatasetSummary, datasets: Sequence[DatasetSummary]) -> tuple[int, str] | None:
    """The axis other than axis 0 that has a time coordinate, and the path of the coordinate."""
    times = [other for other in datasets if _is_time_coordinate(other, dataset)]
    if any(_has_rows_of(coordinate, dataset) for coordinate in times):
        return None
    for labels in (labels for notes, _ in dataset.annotations for labels in notes.labels):
        if labels.axis > 0 and names_time(labels.path):
            return labels.axis, labels.path
    for coordinate in times:
        length = int(coordinate.rows[0]) if len(set(coordinate.rows.tolist())) == 1 else -1
        # PDEBench stores one time more than steps.
        allowed = (length, length - 1) if coordinate.path.endswith("t-coordinate") else (length,)
        for axis, axis_length in enumerate(dataset.schema.row_shape, start=1):
            if axis_length > 1 and axis_length in allowed:
                return axis, coordinate.path
    return None


def _is_time_coordinate(dataset: DatasetSummary, data: DatasetSummary) -> bool:
    """Whether a dataset is a time coordinate, in a group where the coordinates of the data may be."""
    if len(dataset.schema.shape) != 1 or dataset.is_pattern or not names_time(dataset.path):
        return False
    group = dataset.path.rpartition("/")[0]
    return group == data.path.rpartition("/")[0] or group.rpartition("/")[2].lower() in _COORDINATE_GROUPS


def names_time(path: str) -> bool:
    """``time``, ``t-coordinate``, ``time_s``, but not ``spike_times``."""
    words = words_of(path.rpartition("/")[2])
    return bool(_TIME_WORDS & words) and words <= _TIME_WORDS | _WORDS_WITH_TIME


def _has_rows_of(first: DatasetSummary, second: DatasetSummary) -> bool:
    """Whether two datasets have equally many rows in each file that holds both."""
    files = int(max(first.files.max(), second.files.max())) + 1
    first_rows, second_rows = first.rows_by_file(files), second.rows_by_file(files)
    both = (first_rows >= 0) & (second_rows >= 0)
    return bool(both.any() and (first_rows[both] == second_rows[both]).all())


def _matlab_axis(dataset: DatasetSummary) -> RowAxis:
    axes = " × ".join(map(str, reversed(dataset.schema.row_shape)))
    is_short = _is_short(dataset)
    remedy = ". If its columns are the samples or the times, say axis=-1, such as samples=Rows(axis=-1)"
    return RowAxis(
        "was written by MATLAB, which stores axes in reverse order: in MATLAB the size of the array is "
        f"{axes} × rows, and rows run along its last dimension{remedy}",
        may_be_time=not is_short,
    )


def _short_axis(dataset: DatasetSummary, datasets: Sequence[DatasetSummary]) -> RowAxis:
    has_labels = any(
        other is not dataset and is_label(other.path) and other.schema.shape and _has_rows_of(other, dataset)
        for other in datasets
    )
    if has_labels or _is_image(dataset.schema.row_shape) or not _is_short(dataset):
        return RowAxis()
    return RowAxis(
        f"has a sample axis that is shorter than the next axis in all files ({dataset.max_rows:,} against "
        f"{dataset.schema.shape[1]:,}). Are its rows samples, or channels? If they are channels, "
        "samples=Windows(512, axis=-1) makes windows of times",
        may_be_time=False,
    )


def _is_short(dataset: DatasetSummary) -> bool:
    return all(
        len(variant.schema.shape) > 1 and dataset.max_rows < variant.schema.shape[1]
        for variant in dataset.variants
    )


def _is_image(shape: Sequence[int]) -> bool:
    """Whether a row, or all rows of a file, may be an image: then few rows are no surprise."""
    is_square = len(shape) > 1 and shape[0] == shape[1]
    has_channels = len(shape) > 1 and (shape[-1] in IMAGE_CHANNELS or shape[0] in IMAGE_CHANNELS)
    return is_square or has_channels
