"""Files whose values lie in other files, and the files that hold these."""

import os

import h5py
import numpy as np

ROWS = 12


def write_sources(folder):
    """``in/source.h5`` with ``x`` and ``g/x``, the same outside of ``in``, and raw bytes beside each."""
    for directory in (folder / "in", folder / "out"):
        directory.mkdir()
        with h5py.File(directory / "source.h5", "w") as file:
            file["x"] = file["g/x"] = np.arange(float(ROWS))
            file["soft"] = h5py.SoftLink("/x")
            file["text"] = ["a"] * ROWS
            file.create_dataset("holes", (ROWS,), "<f8", chunks=(3,))[:6] = 1
            file.create_dataset("never", (ROWS,), "<f8")
        np.arange(float(ROWS)).tofile(directory / "values.raw")


def links(folder, targets):
    path = str(folder / "in" / "main.h5")
    with h5py.File(path, "w") as file:
        for name, target in targets.items():
            file[name] = target
    return path


def virtual(folder, source="source.h5", name="x", rows=ROWS, length=ROWS, part=None, dtype="<f8"):
    """A virtual dataset of some rows, of which some come from a source."""
    path = str(folder / "in" / "main.h5")
    layout = h5py.VirtualLayout((length,), dtype)
    layout[: part or rows] = h5py.VirtualSource(source, name, shape=(rows,), dtype=dtype)[:part]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)
    return path


def external(folder, parts):
    path = str(folder / "in" / "main.h5")
    with h5py.File(path, "w") as file:
        # Written as if the values had been there all the time.
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        for name, offset, size in parts:
            plist.set_external(os.fsencode(name), offset, size)
        space = h5py.h5s.create_simple((ROWS,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, space, plist)
    return path
