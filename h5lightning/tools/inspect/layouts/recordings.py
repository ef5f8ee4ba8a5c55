"""Recordings with time along the last axis, and arrays of MATLAB, whose axes are stored in reverse order."""

from __future__ import annotations

import math
from collections.abc import Iterator

from h5lightning.options import Field, Rows, Windows
from h5lightning.tools.inspect.layouts.call import Call, keyed
from h5lightning.tools.inspect.layouts.stored_files import StoredFiles, last_part
from h5lightning.tools.overview.dataset_paths import is_label

__all__ = ["matlab_columns", "recordings"]

_RATES = frozenset(
    [
        "fs",
        "srate",
        "sfreq",
        "sampling_rate",
        "sample_rate",
        "samplingrate",
        "samplerate",
        "sampling_frequency",
    ]
)
_SIGNALS = frozenset(
    [
        "eeg",
        "ecg",
        "emg",
        "meg",
        "lfp",
        "ieeg",
        "ecog",
        "signal",
        "signals",
        "recording",
        "recordings",
        "traces",
    ]
)
_MOST_CHANNELS = 1024
_TIMES_PER_CHANNEL = 4  # fewer are no recording
_WINDOWS = 16  # fewer in a recording could not be split
_LENGTH = 512


def recordings(stored: StoredFiles) -> Iterator[Call]:
    """A recording of ``(channels, times)`` in each file; written by MATLAB, also one of ``(times, channels)``."""
    x = stored.largest
    if x is None or len(x.schema.shape) != 2 or x.series or stored.labels_beside(x):
        return
    if not (_has_rate(stored) or _SIGNALS & last_part(x)):
        return
    times = min(variant.schema.row_shape[0] for variant in x.variants)
    is_last = _is_recording(int(x.rows.max()), times)
    if is_last:
        length, axis, shape = _length(times), -1, "(channels, times)"
    elif stored.is_matlab and stored.is_alike(x) and _is_recording(times, int(x.rows.min())):
        length, axis, shape = _length(int(x.rows.min())), 0, "(times, channels)"
    else:
        return
    matlab = ", since MATLAB stores axes in reverse order" if stored.is_matlab else ""
    yield Call(
        layout="recordings",
        reason=f"Recordings: '/{x.path}' is stored as {shape}{matlab}",
        fields=keyed([Field(x.path)]),
        samples=Windows(length, stride=max(1, length // 2), axis=axis),
    )


def matlab_columns(stored: StoredFiles) -> Iterator[Call]:
    """Arrays of ``(samples, features)`` in MATLAB, which lie in columns in the file, with a label for each."""
    x = stored.largest
    if x is None or not stored.is_matlab or len(x.schema.shape) != 2:
        return
    columns = [variant.schema.row_shape for variant in x.variants]
    for y in stored.arrays:
        is_line = is_label(y.path) and len(y.schema.shape) == 2 and int(y.rows.max()) == 1
        if is_line and [variant.schema.row_shape for variant in y.variants] == columns:
            yield Call(
                layout="samples in columns",
                reason=f"MATLAB stores axes in reverse order: samples are the columns of '/{x.path}', and '/{y.path}' "
                "has a label for each",
                fields={"x": Field(x.path), "y": Field(y.path)},
                samples=Rows(axis=-1),
            )
            return


def _has_rate(stored: StoredFiles) -> bool:
    """Whether an attribute of the files, or a dataset with one number, is a sampling rate."""
    numbers = {one.path for one in stored.single_numbers}
    numbers |= {
        one.path for one in stored.arrays if math.prod(one.schema.row_shape) * int(one.rows.max()) == 1
    }
    names = {path.rpartition("/")[2].lower() for path in numbers} | {name.lower() for name in stored.attrs}
    return bool(_RATES & names)


def _is_recording(channels: int, times: int) -> bool:
    return 0 < channels <= _MOST_CHANNELS and times >= _TIMES_PER_CHANNEL * channels


def _length(times: int) -> int:
    """512 times, or a power of two that fits several times."""
    return min(_LENGTH, 1 << max(0, (times // _WINDOWS).bit_length() - 1))
