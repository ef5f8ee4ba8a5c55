"""Volumes of microscopes and scanners, of which a sample is a crop."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from h5lightning.options import Field, Split, Windows
from h5lightning.options.samples import StageSamples
from h5lightning.tools.inspect.layouts.call import Call, keyed
from h5lightning.tools.inspect.layouts.stored_files import StoredFiles, last_part
from h5lightning.tools.overview.dataset_paths import is_label, words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary

__all__ = ["labelled_volumes", "segmented_volumes"]

_VOLUME_WORDS = frozenset(["raw", "vol", "volume", "volumes", "ct", "em", "mri", "tomogram", "voxels"])
_SEGMENT_WORDS = frozenset(["seg", "segmentation", "mask", "gt", "neuron"])
_LENGTH = 64
_MULTIPLE = 8  # networks that halve a crop three times need it
_FEW_FILES = 9
_FEWEST = 8  # entries along the shortest axis: fewer are no volume


def segmented_volumes(stored: StoredFiles) -> Iterator[Call]:
    """A volume, and a number for each of its voxels."""
    for volume in _volumes(stored):
        axes = len(volume.schema.shape)
        labels = [
            array
            for array in stored.arrays
            if (is_label(array.path) or _SEGMENT_WORDS & words_of(array.path))
            and len(array.schema.shape) == 3
            and _spatial_shapes(array, stored) == _spatial_shapes(volume, stored)
        ]
        if not labels:
            continue
        spatial = tuple(range(axes - 3, axes))
        data = Field(volume.path) if axes == 3 else Field(volume.path, axis=spatial)
        lengths = _lengths(volume, stored)
        yield from _calls(
            stored,
            f"Volumes: '/{labels[0].path}' has a number for each voxel of '/{volume.path}'",
            keyed([data, Field(labels[0].path)]),
            lengths,
        )
        return


def labelled_volumes(stored: StoredFiles) -> Iterator[Call]:
    """One volume in each file, and one label for each."""
    labels = [one for one in stored.single_numbers if is_label(one.path)]
    for volume in _volumes(stored):
        if labels and stored.files > 1 and len(volume.schema.shape) == 3:
            yield from _calls(
                stored,
                f"Volumes: each file has one in '/{volume.path}', and its label in '/{labels[0].path}'",
                {**keyed([Field(volume.path)]), "label": Field(labels[0].path, constant=True)},
                _lengths(volume, stored),
            )
            return


def _calls(
    stored: StoredFiles, reason: str, fields: dict[str, Field], lengths: Sequence[int]
) -> Iterator[Call]:
    """Crops that begin anywhere in training, and lie on a grid else; without a split, all are for training."""
    strides = [max(1, length // 2) for length in lengths]
    stride = strides[0] if len(set(strides)) == 1 else strides
    grid = Windows(list(lengths), stride, axis=[0, 1, 2])
    training = dataclasses.replace(grid, jitter=True)
    call = Call("crops of volumes", reason, fields, StageSamples(training, grid))
    if 1 < stored.files <= _FEW_FILES:  # a tenth of them is none
        yield dataclasses.replace(call, split=Split(val=round(1 / stored.files, 2), test=None, by="file"))
    yield call
    yield dataclasses.replace(call, samples=training)


def _volumes(stored: StoredFiles) -> list[DatasetSummary]:
    """The arrays that are named as volumes: the last three axes are those of space, one of channels may come first."""
    return [
        array
        for array in stored.arrays
        if len(array.schema.shape) in (3, 4)
        and _VOLUME_WORDS & last_part(array)
        and not is_label(array.path)
        and not array.series
        and min(map(min, _spatial_shapes(array, stored))) >= _FEWEST
        and (len(array.schema.shape) == 3 or int(array.rows.max()) < _FEWEST)
    ]


def _spatial_shapes(array: DatasetSummary, stored: StoredFiles) -> list[tuple[int, ...]]:
    """The last three axes in each file."""
    rows = array.rows_by_file(stored.files).tolist()
    shapes: list[tuple[int, ...]] = [()] * stored.files
    for variant in array.variants:
        for file in variant.files.tolist():
            shapes[file] = (rows[file], *variant.schema.row_shape)[-3:]
    return shapes


def _lengths(volume: DatasetSummary, stored: StoredFiles) -> list[int]:
    """Crops of 64 entries along each axis, or less where a volume is smaller: whole chunks where they fit."""
    extents = np.asarray(_spatial_shapes(volume, stored)).min(axis=0).tolist()
    chunks = (volume.schema.chunks or (1, 1, 1))[-3:]
    return [_length(extent, chunk) for extent, chunk in zip(extents, chunks, strict=True)]


def _length(extent: int, chunk: int) -> int:
    most = min(_LENGTH, extent)
    multiple = chunk if _MULTIPLE <= chunk <= most else _MULTIPLE
    return most // multiple * multiple or most
