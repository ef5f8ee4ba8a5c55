"""What the ``*`` of paths matches in a file, and what the scan says about each match."""

from __future__ import annotations

import h5py
import numpy as np

from h5lightning.storage.scanning import ScanRequest, scan_file


def test_each_match_is_a_unit_in_natural_order(tmp_path):
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        for number in (10, 2, 1):
            file[f"data/demo_{number}/x"] = np.zeros((number, 3), "f4")
        file["data/other/y"] = np.zeros(3)
        file["grid"] = np.arange(4.0)
    request = ScanRequest(("data/*/x", "grid"), matched=("data/*/x",))
    found = scan_file(path, request).matches
    assert (found.part, list(found.texts)) == ("*", ["demo_1", "demo_2", "demo_10"])
    assert found.units.facts[:, 0].tolist() == [1, 4, 2, 4, 10, 4]
    (layout,) = found.units.layouts
    assert [dataset.path for dataset in layout] == ["data/*/x", "grid"]
