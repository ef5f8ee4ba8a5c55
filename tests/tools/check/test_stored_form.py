"""What each file stores of a field that files store in different types."""

import h5py
import numpy as np
from cases import case_of

from h5lightning.options import Field
from h5lightning.tools.check.stored_form import form_in, source_of


def test_the_type_of_each_file(tmp_path):
    for number, dtype in enumerate(("<f4", ">f8", "<f4")):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"], file["y"] = np.ones((20, 3), dtype), np.arange(20)
    fields = {"x": Field("x", dtype="float32"), "y": Field("y")}
    with case_of(str(tmp_path / "*.h5"), fields=fields) as case:
        x, y = case.fields_of(0).plans
    assert [source_of(x, file).dtype for file in range(3)] == ["<f4", ">f8", "<f4"]
    assert (source_of(x, 1).path, source_of(x, 1).row_shape) == ("x", (3,))
    assert form_in(y, 2).encoding is None
