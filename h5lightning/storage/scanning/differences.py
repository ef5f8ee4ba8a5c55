"""The first difference between what two files hold, in words: for an error that says that they differ."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from h5py import h5d, h5f, h5g

from h5lightning.core.arrays import Int64Array
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import object_at
from h5lightning.storage.hdf5.file_checks import check_file
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.scanning.conventions.label_values import Values, names_at
from h5lightning.storage.scanning.describe_dataset import dataset_paths
from h5lightning.storage.scanning.digests import Box, blocks, content_kind, problem_of, read_box
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["first_difference"]

Array: TypeAlias = npt.NDArray[Any]

_MOST_LETTERS = 60


def first_difference(fid: h5f.FileID, other: str, source: str, values: ValueReader) -> str:
    """How a file differs from another, such as ``row 0: 'g3', expected 'g1'``; empty if nothing is found.

    Args:
        fid: the open file.
        other: where the file lies that has what is expected.
        source: a dataset or group, ``dataset@attribute`` or ``table[column]``.
        values: what reads text.

    Raises:
        OSError: one of the files is damaged.
        NeedsProcessError: this process must not read them.
    """
    check_file(other)
    with opened_id(other) as expected:
        found, wanted = object_at(fid, source), object_at(expected, source)
        if isinstance(found, h5g.GroupID) and isinstance(wanted, h5g.GroupID):
            return _of_groups(found, wanted, values)
        pair = None
        if isinstance(found, h5d.DatasetID) and isinstance(wanted, h5d.DatasetID):
            pair = found, wanted
            if (found.rank, wanted.rank) != (2, 2):
                return _of_datasets(*pair, values)
        # Labels, which may be text in a matrix of letters.
        names = [names_at(one, source, values).values for one in (fid, expected)]
        if names[0] is not None and names[1] is not None:
            return _of_blocks(_array(names[0]), _array(names[1]), ())
        return _of_datasets(*pair, values) if pair else ""


def _array(labels: Values) -> Array:
    return np.asarray(labels, object) if isinstance(labels, list) else labels


def _of_groups(found: h5g.GroupID, wanted: h5g.GroupID, values: ValueReader) -> str:
    names, expected = dataset_paths(found), dataset_paths(wanted)
    if names != expected:
        lacking = [f"no {name!r}" for name in expected if name not in names]
        more = [f"{name!r}, which the other lacks" for name in names if name not in expected]
        return f"holds {(lacking + more)[0]}"
    for name in names:
        one, other = object_at(found, name), object_at(wanted, name)
        if not isinstance(one, h5d.DatasetID) or not isinstance(other, h5d.DatasetID):
            continue
        if difference := _of_datasets(one, other, values):
            return f"{name!r} {difference}"
    return ""


def _of_datasets(found: h5d.DatasetID, wanted: h5d.DatasetID, values: ValueReader) -> str:
    opened, expected = DatasetInfo.of(found), DatasetInfo.of(wanted)
    if problem_of(opened) or problem_of(expected):
        return ""
    if opened.shape != expected.shape:
        return f"has shape {opened.shape}, expected {expected.shape}"
    kinds = content_kind(opened), content_kind(expected)
    if kinds[0] != kinds[1]:
        return f"holds {kinds[0]}, expected {kinds[1]}"
    for box, block in blocks(opened, values):
        if difference := _of_blocks(block, read_box(expected, box, values), box):
            return difference
    return ""


def _of_blocks(found: Array, expected: Array, box: Box) -> str:
    """The first place at which two arrays of values differ."""
    if found.dtype.names is not None and found.ndim == expected.ndim:
        differ = [(name, _places(found[name], expected[name])) for name in sorted(found.dtype.names)]
        first = min(((places[0], name) for name, places in differ if len(places)), default=None)
        if first is None:
            return ""
        place, name = first
        at = np.unravel_index(int(place), found[name].shape)
        return f"{_place_text(at[: found.ndim], box)}, column {name!r}: {_pair(found[name][at], expected[name][at])}"
    if found.shape != expected.shape:
        return f"has {found.shape[0]} entries, expected {expected.shape[0]}" if found.ndim == 1 else ""
    places = _places(found, expected)
    if not len(places):
        return ""
    at = np.unravel_index(int(places[0]), found.shape)
    return f"{_place_text(at, box)}: {_pair(found[at], expected[at])}"


def _places(found: Array, expected: Array) -> Int64Array:
    """The places at which values differ, by their number in C order."""
    if found.dtype.kind == "O" or expected.dtype.kind == "O":
        pairs = zip(found.reshape(-1).tolist(), expected.reshape(-1).tolist(), strict=True)
        return np.flatnonzero([not _equal(one, other) for one, other in pairs])
    differ = np.asarray(found != expected)
    if found.dtype.kind in "fc" and expected.dtype.kind in "fc":
        differ &= ~(np.isnan(found) & np.isnan(expected))
    return np.flatnonzero(differ)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    return bool(_text_of(one) == _text_of(other))


def _place_text(at: tuple[Any, ...], box: Box) -> str:
    places = [int(place) + (box[axis].start if axis < len(box) else 0) for axis, place in enumerate(at)]
    return f"row {places[0]}" if len(places) == 1 else f"at {places}" if places else "value"


def _pair(found: Any, expected: Any) -> str:
    return f"{_shown(found)}, expected {_shown(expected)}"


def _shown(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(_text_of(value))
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def _text_of(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
