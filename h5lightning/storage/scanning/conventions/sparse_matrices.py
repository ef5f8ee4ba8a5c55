"""Sparse matrices of AnnData: groups of three arrays whose entries are not rows."""

from __future__ import annotations

from h5py import h5a, h5g

from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

__all__ = ["sparse_format", "sparse_refusal"]

_ARRAYS = ("data", "indices", "indptr")
_FORMATS = {"csr_matrix": "CSR", "csr": "CSR", "csc_matrix": "CSC", "csc": "CSC"}


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
