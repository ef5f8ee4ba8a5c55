"""Files that would make HDF5 read, or run, what does not belong to them; and a program that opens them all.

``python -m fuzzing.hostile FOLDER ARM`` reads each as `judging` does, with no expectation of its values.
"""

from __future__ import annotations

import json
import os
import sys

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t, h5z

from fuzzing.judging import ARMS, Expected, expect
from h5lightning import Field
from h5lightning.errors import H5LightningError

__all__ = ["SECRET", "write_hostile_files"]

SECRET = "secret"  # in the names of all that must not be opened
_ROWS = 8


def write_hostile_files(folder: str) -> list[str]:
    """Write the files, and beside them what they try to reach; returns their paths."""
    secret_file, secret_bytes = f"{folder}/{SECRET}.h5", f"{folder}/{SECRET}.raw"
    with h5py.File(secret_file, "w") as file:
        file["x"] = file["g/x"] = np.full(_ROWS, 42.0)
    np.full(_ROWS, 42.0).tofile(secret_bytes)
    os.makedirs(f"{folder}/plugins", exist_ok=True)
    with open(f"{folder}/plugins/lib{SECRET}.so", "wb") as file:
        file.write(b"\x7fELF")
    for name, write in _FILES.items():
        with h5py.File(f"{folder}/{name}.h5", "w") as file:
            file["y"] = np.arange(_ROWS)
            write(file, folder)
    os.mkfifo(f"{folder}/fifo.h5")
    return [
        *(f"{folder}/{name}.h5" for name in _FILES),
        f"{folder}/fifo.h5",
        f"{secret_file}\0/external-link.h5",
    ]


def _external_storage(file: h5py.File, folder: str) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_external(f"{folder}/{SECRET}.raw".encode(), 0, h5py.h5f.UNLIMITED)
    h5d.create(file.id, b"x", h5t.IEEE_F64LE, h5s.create_simple((_ROWS,)), plist)


def _external_link(file: h5py.File, folder: str) -> None:
    file["x"] = h5py.ExternalLink(f"{folder}/{SECRET}.h5", "/x")


def _relative_link(file: h5py.File, folder: str) -> None:
    file["x"] = h5py.ExternalLink(f"{SECRET}.h5", "/x")


def _intermediate_link(file: h5py.File, folder: str) -> None:
    file["way"] = h5py.ExternalLink(f"{SECRET}.h5", "/g")


def _soft_to_external(file: h5py.File, folder: str) -> None:
    file["x"] = h5py.SoftLink("/out")
    file["out"] = h5py.ExternalLink(f"{SECRET}.h5", "/x")


def _virtual(file: h5py.File, folder: str) -> None:
    layout = h5py.VirtualLayout((_ROWS,), "<f8")
    layout[:] = h5py.VirtualSource(f"{folder}/{SECRET}.h5", "x", shape=(_ROWS,), dtype="<f8")
    file.create_virtual_dataset("x", layout)


def _virtual_codes(file: h5py.File, folder: str) -> None:
    # A scan reads the names of categories.
    file["x"] = np.zeros(_ROWS)
    file["way/codes"] = np.zeros(_ROWS, "i1")
    layout = h5py.VirtualLayout((_ROWS,), "<f8")
    layout[:] = h5py.VirtualSource(f"{folder}/{SECRET}.h5", "x", shape=(_ROWS,), dtype="<f8")
    file.create_virtual_dataset("way/categories", layout)


def _unknown_filter(file: h5py.File, folder: str) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((_ROWS,))
    plist.set_filter(31999, h5z.FLAG_OPTIONAL, ())
    did = h5d.create(file.id, b"x", h5t.IEEE_F64LE, h5s.create_simple((_ROWS,)), plist)
    did.write_direct_chunk((0,), np.zeros(_ROWS).tobytes())


def _unknown_filter_of_codes(file: h5py.File, folder: str) -> None:
    file["x"] = np.zeros(_ROWS)
    file["way/codes"] = np.zeros(_ROWS, "i1")
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((_ROWS,))
    plist.set_filter(31999, h5z.FLAG_OPTIONAL, ())
    did = h5d.create(file.id, b"way/categories", h5t.IEEE_F64LE, h5s.create_simple((_ROWS,)), plist)
    did.write_direct_chunk((0,), np.zeros(_ROWS).tobytes())


_FILES = {
    "external-storage": _external_storage,
    "external-link": _external_link,
    "relative-link": _relative_link,
    "intermediate-link": _intermediate_link,
    "soft-to-external": _soft_to_external,
    "virtual": _virtual,
    "virtual-codes": _virtual_codes,
    "unknown-filter": _unknown_filter,
    "unknown-filter-of-codes": _unknown_filter_of_codes,
}
_PATHS = ("x", "way/x", "way/codes")


def main() -> None:
    """Read each path of each file named on standard input, and print what came of it."""
    folder, arm = sys.argv[1:]
    whole = f"{folder}/whole.h5"
    with h5py.File(whole, "w") as file:
        for path in _PATHS:
            file[path] = np.zeros(_ROWS)
    for path in json.loads(sys.stdin.read()):
        for name in _PATHS:
            sys.stdout.write(
                json.dumps([path, name, *_outcome(arm, path, expect(whole, {"x": Field(name)}))]) + "\n"
            )


def _outcome(arm: str, path: str, expected: Expected) -> tuple[str, str]:
    try:
        return "read", ARMS[arm](path, expected)
    except (H5LightningError, KeyError, OSError, RuntimeError, ValueError) as error:
        return type(error).__name__, str(error)


if __name__ == "__main__":
    main()
