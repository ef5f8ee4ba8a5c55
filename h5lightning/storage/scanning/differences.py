"""Find the first difference between the contents of two files, as text for the error that reports it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5f, h5g

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.hdf5.file_checks import check_file
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.scanning.conventions.label_values import LabelValues, labels_at
from h5lightning.storage.scanning.describe_dataset import dataset_paths
from h5lightning.storage.scanning.digests import Box, content_kind, incomparable_reason, read_box, read_boxes
from h5lightning.storage.scanning.metadata_values import ValueReader, decoded_text
from h5lightning.storage.scanning.scanned_dataset import dataset_at

__all__ = ["first_difference"]

_MOST_LETTERS = 60


def first_difference(fid: h5f.FileID, other: str, other_source: str, source: str, reader: ValueReader) -> str:
    """The first difference from another file, such as ``row 0: 'g3', expected 'g1'``; empty if none is found.

    Args:
        fid: the open file.
        other: path of the file with the expected content.
        other_source: a dataset or group, ``dataset@attribute`` or ``table[column]`` of the other file.
        source: the same for the open file; it is another one where both are matches of a ``*``.
        reader: reads text.

    Raises:
        OSError: one of the files is damaged.
        NeedsProcessError: this process must not read them.
    """
    check_file(other)
    with opened_id(other) as other_fid:
        actual, expected = object_at(fid, source), object_at(other_fid, other_source)
        if isinstance(actual, h5g.GroupID) and isinstance(expected, h5g.GroupID):
            return _of_groups(actual, expected, reader)
        pair = None
        if isinstance(actual, h5d.DatasetID) and isinstance(expected, h5d.DatasetID):
            pair = actual, expected
            if (actual.rank, expected.rank) != (2, 2):
                return _of_datasets(*pair, reader)
        # Labels, which may be text in a matrix of letters.
        both = (fid, source), (other_fid, other_source)
        labels = [labels_at(file, path, reader).values for file, path in both]
        if labels[0] is not None and labels[1] is not None:
            return _of_arrays(_array(labels[0]), _array(labels[1]), ())
        return _of_datasets(*pair, reader) if pair else ""


def _array(labels: LabelValues) -> npt.NDArray[Any]:
    return np.asarray(labels, object) if isinstance(labels, list) else labels


def _of_groups(actual: h5g.GroupID, expected: h5g.GroupID, reader: ValueReader) -> str:
    names, expected_names = dataset_paths(actual), dataset_paths(expected)
    if names != expected_names:
        missing = [f"no {name!r}" for name in expected_names if name not in names]
        extra = [f"{name!r}, which the other lacks" for name in names if name not in expected_names]
        return f"holds {(missing + extra)[0]}"
    for name in names:
        dataset, expected_dataset = dataset_at(actual, name), dataset_at(expected, name)
        if dataset is None or expected_dataset is None:
            continue
        if difference := _of_datasets(dataset, expected_dataset, reader):
            return f"{name!r} {difference}"
    return ""


def _of_datasets(actual: h5d.DatasetID, expected: h5d.DatasetID, reader: ValueReader) -> str:
    info, expected_info = DatasetInfo.of(actual), DatasetInfo.of(expected)
    if incomparable_reason(info) or incomparable_reason(expected_info):
        return ""
    if info.shape != expected_info.shape:
        return f"has shape {info.shape}, expected {expected_info.shape}"
    kind, expected_kind = content_kind(info), content_kind(expected_info)
    if kind != expected_kind:
        return f"holds {kind}, expected {expected_kind}"
    for box, values in read_boxes(info, reader):
        if difference := _of_arrays(values, read_box(expected_info, box, reader), box):
            return difference
    return ""


def _of_arrays(actual: npt.NDArray[Any], expected: npt.NDArray[Any], box: Box) -> str:
    """The first difference between the values of two files in the same box."""
    if actual.dtype.names is not None and actual.ndim == expected.ndim:
        return _of_tables(actual, expected, box)
    if actual.shape != expected.shape:
        return f"has {actual.shape[0]} entries, expected {expected.shape[0]}" if actual.ndim == 1 else ""
    indices = _differing(actual, expected)
    if not len(indices):
        return ""
    at = np.unravel_index(int(indices[0]), actual.shape)
    return f"{_location(at, box)}: {_pair(actual[at], expected[at])}"


def _of_tables(actual: npt.NDArray[Any], expected: npt.NDArray[Any], box: Box) -> str:
    differing = [
        (name, _differing(actual[name], expected[name])) for name in sorted(actual.dtype.names or ())
    ]
    first = min(((indices[0], name) for name, indices in differing if len(indices)), default=None)
    if first is None:
        return ""
    index, name = first
    at = np.unravel_index(int(index), actual[name].shape)
    values = _pair(actual[name][at], expected[name][at])
    return f"{_location(at[: actual.ndim], box)}, column {name!r}: {values}"


def _differing(actual: npt.NDArray[Any], expected: npt.NDArray[Any]) -> Int64Array:
    """Flat indices in C order at which values differ."""
    if actual.dtype.kind == "O" or expected.dtype.kind == "O":
        pairs = zip(actual.reshape(-1).tolist(), expected.reshape(-1).tolist(), strict=True)
        return np.flatnonzero([not _are_equal(*pair) for pair in pairs])
    differs = np.asarray(actual != expected)
    if actual.dtype.kind in "fc" and expected.dtype.kind in "fc":
        differs &= ~(np.isnan(actual) & np.isnan(expected))
    return np.flatnonzero(differs)


def _are_equal(actual: Any, expected: Any) -> bool:
    if isinstance(actual, np.ndarray) or isinstance(expected, np.ndarray):
        return bool(np.array_equal(actual, expected))
    return bool(_as_text(actual) == _as_text(expected))


def _location(at: tuple[Any, ...], box: Box) -> str:
    index = [int(offset) + (box[axis].start if axis < len(box) else 0) for axis, offset in enumerate(at)]
    return f"row {index[0]}" if len(index) == 1 else f"at {index}" if index else "value"


def _pair(actual: Any, expected: Any) -> str:
    return f"{_shown(actual)}, expected {_shown(expected)}"


def _shown(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(_as_text(value))
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def _as_text(value: Any) -> Any:
    return decoded_text(value) if isinstance(value, bytes) else value
