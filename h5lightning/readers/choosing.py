"""Which reader reads: the door for more of them."""

from __future__ import annotations

from h5lightning.errors import OptionError
from h5lightning.handles import HandlePool
from h5lightning.options import check_choice
from h5lightning.readers.library import H5pyReader
from h5lightning.readers.protocol import Reader

__all__ = ["choose_reader"]


def choose_reader(name: str, pool: HandlePool) -> Reader:
    """The reader that the user asked for.

    Args:
        name: ``auto``, ``direct`` or ``h5py``.
        pool: the open files of each process.

    Raises:
        OptionError: an unknown reader, or one that is not available.
    """
    check_choice("reader", name, ("auto", "direct", "h5py"))
    if name == "direct":
        raise OptionError("reader='direct' is not available yet: use 'auto' or 'h5py'")
    return H5pyReader(pool)
