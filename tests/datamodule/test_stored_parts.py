"""Decoded bytes of the splits in a summary, where rows hold different numbers of values."""

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule
from h5lightning.datamodule.stored_parts import decoded_bytes

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("field", "row_bytes"),
    [
        ({"path": "points", "index": "ends", "ragged": "list"}, None),
        ({"path": "image", "ragged": "list"}, 4 * 4),
    ],
)
def test_bytes_of_entries_and_of_images_of_different_width_are_those_in_the_files(tmp_path, field, row_bytes):
    held = {}
    for number in range(5):
        ends = np.cumsum(np.arange(1, 11) + number)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["points"], file["ends"] = np.zeros((ends[-1], 3), "f4"), ends
            file["image"] = np.zeros((10, 4, 2 + number), "f4")
        held[number] = int(ends[-1]) * 12 if row_bytes is None else 10 * row_bytes * (2 + number)
    split = {"by": "file", "val": 0.2, "test": 0.2}
    dm = H5DataModule(str(tmp_path / "*.h5"), fields={"x": field}, split=split)
    try:
        dm.setup("fit")
        data = dm._data
        section = data.survey.sections["train"]
        total = sum(decoded_bytes(part, section) for part in data.plan.parts.values())
    finally:
        dm.teardown("fit")
    assert total == sum(held.values())
