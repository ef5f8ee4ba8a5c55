"""Datasets whose values are not rows of data: what libraries write for their own use, and sparse matrices."""

from __future__ import annotations

from h5py import h5a, h5d, h5g, h5t

from h5lightning.planning.catalog.schema import BOOKKEEPING
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.conventions.number_attributes import NotNumbersError, read_numbers
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

__all__ = ["bookkeeping_refusal", "is_dimension_only", "sparse_format", "sparse_refusal"]

_DIMENSION_ONLY = "This is a netCDF dimension but not a netCDF variable"

# Sparse matrices of AnnData: groups of three arrays.
_ARRAYS = ("data", "indices", "indptr")
_FORMATS = {"csr_matrix": "CSR", "csr": "CSR", "csc_matrix": "CSC", "csc": "CSC"}


def bookkeeping_refusal(dataset: ScannedDataset) -> str:
    """Why a dataset holds no data, if a library wrote it for its own use; else empty."""
    if "_i_" in dataset.path and _is_in_index(dataset):
        return f"{BOOKKEEPING}PyTables: it belongs to the index of a table"
    names, did = dataset.info.attributes, dataset.info.did
    if not names:
        return ""
    # All libraries write NAME with a fixed length: another one need not be read.
    is_scale = b"NAME" in names and b"CLASS" in names and not _is_variable_text(did, b"NAME")
    if is_scale and is_dimension_only(did, dataset.reader):
        return f"{BOOKKEEPING}netCDF: a dimension without coordinates, whose values mean nothing"
    if b"MATLAB_empty" in names and _is_flagged(did, b"MATLAB_empty"):
        return "stands for an empty array of MATLAB: the numbers that it holds are the shape of that array"
    return ""


def is_dimension_only(scale: h5d.DatasetID, reader: ValueReader) -> bool:
    """Whether a dimension scale stands for a netCDF dimension without a variable: its numbers mean nothing."""
    return reader.text(scale, "NAME").startswith(_DIMENSION_ONLY)


def _is_variable_text(did: h5d.DatasetID, name: bytes) -> bool:
    tid = h5a.open(did, name).get_type()
    return tid.get_class() == h5t.STRING and bool(tid.is_variable_str())


def _is_flagged(did: h5d.DatasetID, name: bytes) -> bool:
    try:
        return bool(read_numbers(did, name).any())
    except NotNumbersError:
        return False


def _is_in_index(dataset: ScannedDataset) -> bool:
    parts = dataset.path.split("/")[:-1]
    for depth, part in enumerate(parts):
        if part.startswith("_i_"):
            group = h5g.open(dataset.fid, encoded("/".join(parts[: depth + 1])))
            return dataset.reader.text(group, "CLASS") == "TINDEX"
    return False


def sparse_refusal(dataset: ScannedDataset) -> str:
    """Why a dataset has no rows, if it is one of the arrays of a sparse matrix; else empty."""
    if dataset.name not in _ARRAYS:
        return ""
    group = dataset.group
    layout = sparse_format(h5g.open(dataset.fid, encoded(group)), dataset.reader)
    if not layout:
        return ""
    axis = "row" if layout == "CSR" else "column"
    return (
        f"is a part of the sparse {layout} matrix '/{group}': the values of all {axis}s lie one after the "
        "other, so its entries are not rows. Store the matrix densely to train on it"
    )


def sparse_format(group: h5g.GroupID, reader: ValueReader) -> str:
    """``CSR`` or ``CSC`` if the group is a sparse matrix; else empty."""
    for name in ("encoding-type", "h5sparse_format"):
        if h5a.exists(group, name.encode()):
            return _FORMATS.get(reader.text(group, name), "")
    return ""
