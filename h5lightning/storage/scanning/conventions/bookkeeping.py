"""Datasets that programs write for themselves: their values are no data."""

from __future__ import annotations

from h5py import h5a, h5f, h5g, h5t

from h5lightning.planning.catalog.schema import BOOKKEEPING
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.conventions.number_attributes import NotNumbersError, read_numbers
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["bookkeeping_refusal"]

_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"


def bookkeeping_refusal(fid: h5f.FileID, opened: DatasetInfo, path: str, values: ValueReader) -> str:
    """Why a dataset holds no data, if a program wrote it for itself; else empty.

    Args:
        fid: the open file.
        opened: the dataset.
        path: its path, without a leading slash.
        values: what reads text.
    """
    if "_i_" in path and _is_in_index(fid, path, values):
        return f"{BOOKKEEPING}PyTables: it belongs to the index of a table"
    names = opened.attributes
    if not names:
        return ""
    if b"NAME" in names and b"CLASS" in names and _is_dimension(opened, values):
        return f"{BOOKKEEPING}netCDF: a dimension without coordinates, whose values mean nothing"
    if b"MATLAB_empty" in names and _is_flagged(opened):
        return "stands for an empty array of MATLAB: the numbers that it holds are the shape of that array"
    return ""


def _is_dimension(opened: DatasetInfo, values: ValueReader) -> bool:
    tid = h5a.open(opened.did, b"NAME").get_type()
    # Every library writes this name with a fixed length: others need not be read.
    if tid.get_class() != h5t.STRING or tid.is_variable_str():
        return False
    return str(values.attribute(opened.did, "NAME")).startswith(_NO_VARIABLE)


def _is_flagged(opened: DatasetInfo) -> bool:
    try:
        return bool(read_numbers(opened.did, b"MATLAB_empty").any())
    except NotNumbersError:
        return False


def _is_in_index(fid: h5f.FileID, path: str, values: ValueReader) -> bool:
    parts = path.split("/")[:-1]
    for depth, part in enumerate(parts):
        if part.startswith("_i_"):
            group = h5g.open(fid, encoded("/".join(parts[: depth + 1])))
            return (
                bool(h5a.exists(group, b"CLASS"))
                and h5a.open(group, b"CLASS").get_type().get_class() == h5t.STRING
                and values.attribute(group, "CLASS") == "TINDEX"
            )
    return False
