"""Samples of unequal length: slices of scans, bags of patches, entries of an index, and molecules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from h5lightning.core.star_paths import split_at_star
from h5lightning.options import Field, Rows, Shuffle, Split, Whole
from h5lightning.options.samples import StageSamples
from h5lightning.tools.inspect.layouts.call import Call, keyed
from h5lightning.tools.inspect.layouts.stored_files import StoredFiles, last_part
from h5lightning.tools.overview.dataset_paths import is_label, words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary

__all__ = ["bags", "indexed_rows", "molecules", "slices_of_scans"]

_MANY_PATCHES = 8192  # of one slide: more are drawn anew in each epoch
_TAKEN_PATCHES = 4096
_FEATURE_WORDS = frozenset(["features", "feats", "embeddings"])
_COORDINATE_WORDS = frozenset(["coords", "coordinates"])
_PATIENTS = ("patient_id", "patient", "subject_id", "subject", "case_id")
_CONFORMATIONS = re.compile(r"(?P<group>(?:^|.*/)[^/]*\*[^/]*)/(?:coordinates|conformations|positions)$")
_NUMBERS = frozenset(["atomic", "numbers"])
_MOST_COLUMNS = 3


def slices_of_scans(stored: StoredFiles) -> Iterator[Call]:
    """One file for each scan: k-space as complex numbers, slice by slice, and the image made of it."""
    kspace = next((array for array in stored.arrays if "kspace" in last_part(array)), None)
    if kspace is None or "c" not in kspace.schema.dtype or len(kspace.schema.shape) not in (3, 4):
        return
    images = [
        array
        for array in stored.arrays
        if "reconstruction" in last_part(array) and stored.equally_long(array, kspace)
    ]
    if not images or kspace.series:
        return
    fields = keyed(_of_any_shape(array, stored, "list") for array in (kspace, *images[:1]))
    number = stored.attrs.get("max")
    if isinstance(number, (int, float)):
        fields["max"] = Field(attr="max")
    patient = next((name for name in _PATIENTS if name in stored.attrs), None)
    differ = "" if stored.is_alike(kspace) else ", whose shapes differ between files"
    yield Call(
        layout="slices of MRI scans",
        reason=f"MRI scans: each file has slices of k-space in '/{kspace.path}'{differ}, and images of them, as "
        "fastMRI stores them",
        fields=fields,
        samples=Rows(),
        split=None if patient is None else Split(keep_together=f"attr:{patient}"),
    )


def bags(stored: StoredFiles) -> Iterator[Call]:
    """One file for each slide: features of its patches, and where they lie."""
    features = next((array for array in stored.arrays if _FEATURE_WORDS & last_part(array)), None)
    if features is None or stored.files < 2 or len(features.schema.shape) != 2 or not _is_float(features):
        return
    coords = [
        array
        for array in stored.arrays
        if _COORDINATE_WORDS & last_part(array)
        and array.schema.row_shape == (2,)
        and stored.equally_long(array, features)
    ]
    if not coords or features.series or not stored.is_alike(features) or np.unique(features.rows).size == 1:
        return
    fields = keyed(Field(array.path, ragged="concat") for array in (features, coords[0]))
    fields["length"] = Field(f"length:{next(iter(fields))}")
    labels = [one for one in stored.single_numbers if is_label(one.path)]
    if labels:
        fields["label"] = Field(labels[0].path, constant=True)
    name = next((name for name in stored.attrs if is_label(name)), None)
    if not labels and name is not None and isinstance(stored.attrs[name], (int, float)):
        fields["label"] = Field(attr=name)
    is_large = int(features.rows.max()) > _MANY_PATCHES
    yield Call(
        layout="bags of patches",
        reason=f"Bags of patches: each file is a slide, with '/{features.path}' of its patches and their places in "
        f"'/{coords[0].path}', as CLAM and TRIDENT write them",
        fields=fields,
        samples=StageSamples(Whole(take=_TAKEN_PATCHES), Whole()) if is_large else Whole(),
    )


def indexed_rows(stored: StoredFiles) -> Iterator[Call]:
    """Rows of unequal length one after the other, and a dataset of their ends or offsets."""
    for values in stored.arrays:
        tables = [table for table, files in values.series if files.size == stored.files]
        is_one = len(values.series) == len(tables) == 1 and len(tables[0].paths) == 1
        index = stored.at(tables[0].paths[0]) if is_one else None
        if index is None or tables[0].kind not in ("ends", "offsets"):
            continue
        extra = 1 if tables[0].kind == "offsets" else 0
        columns = _columns_of(index, extra, stored)
        if index.path == f"{values.path}_index":
            reason = f"Rows of unequal length: '/{index.path}' has the end of each row in '/{values.path}', as NWB says"
        elif any(is_label(column.path) for column in columns):
            reason = (
                f"Rows of unequal length: '/{index.path}' divides '/{values.path}', and '/{columns[0].path}' has an "
                "entry for each of them"
            )
        else:
            continue
        fields = keyed([Field(values.path, index=index.path, ragged="concat"), *map(_field, columns)])
        yield Call(
            layout="rows of unequal length",
            reason=reason,
            fields=fields | {"length": Field(f"length:{next(iter(fields))}")},
            samples=Rows(),
            is_precise=True,
        )


def molecules(stored: StoredFiles) -> Iterator[Call]:
    """One group for each molecule: conformations, energies, and one list of atoms."""
    patterns = [
        one for one in stored.datasets if one.is_pattern and not one.schema.refusal and one.schema.shape
    ]
    matched = [(one, found) for one in patterns if (found := _CONFORMATIONS.search(one.path))]
    matched = [(one, found) for one, found in matched if one.schema.shape[2:] == (3,)]
    if not matched:
        return
    coordinates, found = max(matched, key=lambda pair: pair[0].weight)
    group = found["group"]
    beside = {one.path.removeprefix(f"{group}/"): one for one in patterns if one.path.startswith(f"{group}/")}
    numbers = next((path for path, one in beside.items() if _is_list_of_atoms(path, one)), None)
    if numbers is None:
        return
    before = split_at_star(coordinates.path)[0]
    # Molecules are named by their formulas, which have no common start.
    star = f"{before}/*" if before else "*"
    rows = [name for name, one in beside.items() if _has_rows_of(one, coordinates)]
    energy = next(
        (name for name in rows if "energy" in words_of(name) and len(beside[name].schema.shape) == 1), None
    )
    forces = next((name for name in rows if {"forces", "force", "gradient"} & words_of(name)), None)
    fields = {
        "numbers": Field(f"{star}/{numbers}", constant=True, ragged="concat"),
        "coordinates": Field(f"{star}/{coordinates.path.rpartition('/')[2]}", ragged="concat"),
    }
    if energy is not None:
        fields["energy"] = Field(f"{star}/{energy}")
    if forces is not None and len(beside[forces].schema.shape) == 3:
        fields["forces"] = Field(f"{star}/{forces}", ragged="concat")
    yield Call(
        layout="molecules",
        reason=f"Molecules: each group '/{star}' has the conformations of one, and the numbers of its atoms in "
        f"'{numbers}', as ANI-1x stores them",
        fields=fields | {"length": Field("length:coordinates")},
        samples=Rows(),
        shuffle=Shuffle(bucket="length:coordinates"),
        is_precise=True,
    )


def _of_any_shape(array: DatasetSummary, stored: StoredFiles, ragged: str) -> Field:
    return Field(array.path) if stored.is_alike(array) else Field(array.path, ragged=ragged)


def _field(array: DatasetSummary) -> Field:
    return Field(array.path)


def _columns_of(index: DatasetSummary, extra: int, stored: StoredFiles) -> Sequence[DatasetSummary]:
    """The arrays beside an index with an entry for each of its rows, labels first."""
    group, rows = index.path.rpartition("/")[0], index.rows_by_file(stored.files) - extra
    found = [
        array
        for array in stored.arrays
        if array.path.rpartition("/")[0] == group
        and array is not index
        and not {"id", "index"} & last_part(array)
        and not array.series
        and np.array_equal(array.rows_by_file(stored.files), rows)
    ]
    return sorted(found, key=lambda array: not is_label(array.path))[:_MOST_COLUMNS]


def _is_list_of_atoms(path: str, dataset: DatasetSummary) -> bool:
    is_named = words_of(path) >= _NUMBERS or "species" in words_of(path)
    return is_named and len(dataset.schema.shape) == 1 and np.dtype(dataset.schema.dtype).kind in "iu"


def _has_rows_of(dataset: DatasetSummary, other: DatasetSummary) -> bool:
    return np.array_equal(dataset.files, other.files) and np.array_equal(dataset.rows, other.rows)


def _is_float(array: DatasetSummary) -> bool:
    return np.dtype(array.schema.dtype).kind == "f"
