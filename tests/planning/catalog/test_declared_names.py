"""Names that a file declares for numbers, found by a scan of real files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from h5lightning.planning.catalog.declared_names import DeclaredNames, declared_names
from h5lightning.storage.scanning import ScanRequest
from h5lightning.storage.scanning.parallel_scan import scan_file


def found(path: Path, name: str, member: str | None = None) -> DeclaredNames | None:
    schema = scan_file(str(path), ScanRequest((name,), row_texts=(name,))).datasets[0]
    return declared_names(schema.layout(), schema.annotations, member)


def test_enumerations_declare_names(tmp_path: Path) -> None:
    even = h5py.enum_dtype({"off": 0, "on": 1, "auto": 2}, basetype="i1")
    odd = h5py.enum_dtype({"left": 5, "right=": -3}, basetype=">i2")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("even", data=np.zeros(3, "i1"), dtype=even)
        file.create_dataset("odd", data=np.full(3, 5, ">i2"), dtype=odd)
        record = np.dtype([("x", "f4"), ("side", odd)])
        file.create_dataset("t", shape=(2,), dtype=record)
        file["plain"] = np.zeros(3, bool)
    path = tmp_path / "e.h5"
    assert found(path, "even") == DeclaredNames((0, 1, 2), ("off", "on", "auto"))
    assert found(path, "odd") == DeclaredNames((-3, 5), ("right=", "left"))
    assert found(path, "t", "side") == DeclaredNames((-3, 5), ("right=", "left"))
    assert found(path, "t", "x") is None
    assert found(path, "plain") is None


def test_flags_of_netcdf_declare_names_where_they_are_requested(tmp_path: Path) -> None:
    path = tmp_path / "f.nc"
    with h5py.File(path, "w") as file:
        for name, attributes in _FLAGS.items():
            file[name] = np.asarray([0, 1, 2], "i1")
            file[name].attrs.update(attributes)
    assert found(path, "sea") == DeclaredNames((0, 2), ("land", "open_sea"))
    for name, text in (("bits", "flag_masks"), ("short", "expected as many"), ("text", "is text")):
        declared = found(path, name)
        assert declared is not None
        assert text in declared.problem
    assert found(path, "none") is None
    schema = scan_file(str(path), ScanRequest(("sea",))).datasets[0]
    assert schema.annotations.flags is None
    assert schema.categories is None


_FLAGS = {
    "sea": {"flag_values": np.asarray([0, 2], "i1"), "flag_meanings": "land open_sea"},
    "bits": {"flag_masks": np.asarray([1, 2], "i1"), "flag_meanings": "land ice"},
    "short": {"flag_values": np.asarray([0, 2], "i1"), "flag_meanings": "land"},
    "text": {"flag_values": "0b, 2b", "flag_meanings": "land open_sea"},
    "none": {"flag_values": np.asarray([0, 2], "i1")},
}


def test_codes_have_the_names_beside_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        file["obs/cell/codes"] = np.asarray([1, 0, 1], "i1")
        file["obs/cell/categories"] = ["B", "T"]
        file["obs/many/codes"] = np.asarray([1, 0, 1], "i1")
        file["obs/many/categories"] = [f"c{number:05}" for number in range(20_000)]
    assert found(tmp_path / "a.h5ad", "obs/cell/codes") == DeclaredNames((0, 1), ("B", "T"))
    long = found(tmp_path / "a.h5ad", "obs/many/codes")
    assert long is not None
    assert "20,000 names" in long.problem
