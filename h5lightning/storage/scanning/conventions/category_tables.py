"""What other programs write around the data: sparse matrices and tables of categories.

AnnData keeps a sparse matrix as a group of three arrays, and a categorical column as codes beside their
names. Neither can be told from its arrays alone.
"""

from __future__ import annotations

import h5py
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5r, h5t

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = [
    "beside",
    "category_count",
    "category_table",
    "referenced",
    "says",
    "sparse_format",
    "sparse_refusal",
]

_SPARSE_ARRAYS = ("data", "indices", "indptr")
_SPARSE_FORMATS = {"csr_matrix": "CSR", "csr": "CSR", "csc_matrix": "CSC", "csc": "CSC"}


def sparse_refusal(fid: h5f.FileID, path: str, values: ValueReader) -> str:
    """Why ``path`` has no rows of its own, if it is a part of a sparse matrix; else empty.

    Args:
        fid: the open file.
        path: path of a dataset.
        values: what reads attributes.
    """
    parent, _, leaf = path.rpartition("/")
    if leaf not in _SPARSE_ARRAYS:
        return ""
    found = sparse_format(h5g.open(fid, parent.encode("utf-8", "surrogateescape") or b"/"), values)
    if not found:
        return ""
    axis = "row" if found == "CSR" else "column"
    return (
        f"is a part of the sparse {found} matrix '/{parent}': the values of all {axis}s lie one after the "
        "other, so that its entries are not rows. Store the matrix densely to train on it"
    )


def sparse_format(group: h5g.GroupID, values: ValueReader) -> str:
    """``CSR`` or ``CSC`` if the group is a sparse matrix; else empty."""
    for name in ("encoding-type", "h5sparse_format"):
        if h5a.exists(group, name.encode()):
            return _SPARSE_FORMATS.get(_text_attribute(group, name, values), "")
    return ""


def category_count(fid: h5f.FileID, opened: DatasetInfo, path: str) -> int | None:
    """How many names the values of a column of codes have; None where it is not sure that it is one.

    A group may hold ``codes`` and ``categories`` that have nothing to do with each other: the group must say what
    it is, or the names be text.

    Args:
        fid: the open file.
        opened: the dataset.
        path: its path.
    """
    table = category_table(fid, opened, path) if len(opened.shape or ()) == 1 else None
    if table is None or table.rank != 1:
        return None
    is_text = table.get_type().get_class() == h5t.STRING
    if b"categories" not in opened.attributes and not is_text:
        group = path.rpartition("/")[0].encode("utf-8", "surrogateescape")
        if not h5a.exists(h5g.open(fid, group), b"encoding-type"):
            return None
    return int(table.shape[0])


def category_table(fid: h5f.FileID, opened: DatasetInfo, path: str) -> h5d.DatasetID | None:
    """The dataset with the names of the values of a column of codes; None if there is none.

    Args:
        fid: the open file.
        opened: the column.
        path: its path.
    """
    if b"categories" in opened.attributes:
        return referenced(opened.did, b"categories")
    group, _, leaf = path.rpartition("/")
    if leaf != "codes" or not group or len(opened.shape or ()) != 1:
        return None
    return beside(fid, f"{group}/categories")


def beside(fid: h5f.FileID, path: str) -> h5d.DatasetID | None:
    """The dataset of a path whose groups are known to be there; None if there is none."""
    name = encoded(path)
    if not fid.links.exists(name) or fid.links.get_info(name).type != h5l.TYPE_HARD:
        return None
    return _dataset(h5o.open(fid, name))


def referenced(did: h5d.DatasetID, name: bytes) -> h5d.DatasetID | None:
    """The dataset that an attribute refers to; None if that is something else, or was deleted."""
    attribute = h5a.open(did, name)
    if not attribute.get_type().equal(h5t.STD_REF_OBJ) or attribute.shape != ():
        return None
    reference = h5py.AttributeManager(h5py.Dataset(did))[name.decode()]
    if not reference:
        return None
    try:
        return _dataset(h5r.dereference(reference, did))
    except (OSError, ValueError, RuntimeError, LookupError):
        return None


def says(fid: h5f.FileID, group: str, start: str, values: ValueReader) -> bool | None:
    """Whether the ``encoding-type`` of a group begins so; None where it has none.

    Args:
        fid: the open file.
        group: path of a group.
        start: how it begins.
        values: what reads attributes.
    """
    opened = h5g.open(fid, group.encode("utf-8", "surrogateescape") or b"/")
    if not h5a.exists(opened, b"encoding-type"):
        return None
    return _text_attribute(opened, "encoding-type", values).startswith(start)


def _dataset(found: object) -> h5d.DatasetID | None:
    return found if isinstance(found, h5d.DatasetID) else None


def _text_attribute(group: h5g.GroupID, name: str, values: ValueReader) -> str:
    attribute = h5a.open(group, name.encode())
    if attribute.get_type().get_class() != h5t.STRING or attribute.shape != ():
        return ""
    return str(values.attribute(group, name))
