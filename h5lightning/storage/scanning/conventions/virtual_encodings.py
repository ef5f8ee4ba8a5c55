"""Find how a virtual dataset is decoded: HDF5 takes the values of its sources, but not their attributes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

from h5py import h5d, h5i

from h5lightning.planning.catalog.annotations import Encoding
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import beside, encoded
from h5lightning.storage.hdf5.open_file import opened_id
from h5lightning.storage.scanning.conventions.encodings import encoding_of, is_netcdf
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

__all__ = ["encoding_with_sources"]


def encoding_with_sources(dataset: ScannedDataset, own: Encoding | None) -> Encoding | None:
    """How the numbers of a virtual dataset are decoded.

    Its own attributes take precedence. If they describe no packing, the packing of its sources counts. A number that
    stands for a missing value in one source stands for one in the virtual dataset.

    Args:
        dataset: a virtual dataset whose sources all exist.
        own: the encoding by its own attributes.
    """
    if own is not None and (own.is_packed or own.kind != "cf"):
        return own
    sources = dict.fromkeys(_source_encodings(dataset))
    packed = [(where, encoding) for where, encoding in sources if encoding is not None and encoding.is_packed]
    if not packed:
        encodings = dict.fromkeys((own, *(encoding for _, encoding in sources)))
        return _joined([encoding for encoding in encodings if encoding is not None])
    where, first = packed[0]
    if own is None and all(encoding == first for _, encoding in sources):
        return first
    conflict = "its own attributes do not say so" if own else "other sources are not packed in the same way"
    packing = ", ".join(first.said_by) or first.problem
    problem = f"takes its values from {where}, which is packed ({packing}), but {conflict}"
    return Encoding("cf", said_by=first.said_by, problem=problem)


def _joined(encodings: list[Encoding]) -> Encoding | None:
    """One encoding for several that only mark missing values: the fills of all, and the bounds that they share."""
    if len(encodings) < 2:
        return encodings[0] if encodings else None
    first = encodings[0]
    is_bounded = {(one.low, one.high) for one in encodings} == {(first.low, first.high)}
    return dataclasses.replace(
        first,
        fills=tuple(dict.fromkeys(fill for one in encodings for fill in one.fills)),
        low=first.low if is_bounded else None,
        high=first.high if is_bounded else None,
        said_by=tuple(dict.fromkeys(text for one in encodings for text in one.said_by)),
    )


def _source_encodings(dataset: ScannedDataset) -> Iterator[tuple[str, Encoding | None]]:
    """Each source as text, with its encoding."""
    info = dataset.info
    file = os.fsdecode(h5i.get_file_id(info.did).name)
    sources = {
        (info.plist.get_virtual_filename(number), info.plist.get_virtual_dsetname(number).strip("/"))
        for number in range(info.plist.get_virtual_count())
    }
    for name, path in sorted(sources):
        source_file = file if name == "." else beside(file, name)
        with opened_id(source_file) as fid:
            source = DatasetInfo.of(h5d.open(fid, encoded(path)))
            of_netcdf = bool(source.attributes) and is_netcdf(fid)
            encoding = encoding_of(ScannedDataset(fid, path, source, dataset.reader), of_netcdf=of_netcdf)
            if encoding is not None and encoding.is_unsigned is not None and source.itemsize != info.itemsize:
                encoding = dataclasses.replace(
                    encoding, problem="is read without the sign that it is stored with"
                )
        yield f"'/{path}' in {source_file!r}", encoding
