"""A folder of foreign files: each is read by every reader, and what comes of it is told."""

import sys

import h5py
import numpy as np
import pytest
from fuzzing.corpus import read_corpus, table_of
from fuzzing.judging import OURS

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="children are limited as on Linux"),
    pytest.mark.timeout(60),
]


def test_whole_damaged_and_foreign_files_are_told_apart(tmp_path):
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["x"] = np.arange(10)
        file.create_dataset("y", data=np.zeros((40, 3)), chunks=(8, 3), compression="gzip")
        file["text"] = ["a", "b"]
    whole = (tmp_path / "whole.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[:-100])
    (tmp_path / "text.h5").write_text("no HDF5")
    # Bytes of names that are no UTF-8, which an error repeats.
    (tmp_path / "name.h5").write_bytes(whole.replace(b"y\0\0\0\0\0\0\0", b"\xff\xfe\0\0\0\0\0\0"))
    outcomes = list(read_corpus(str(tmp_path)))
    verdicts = {(one.file, one.arm): one.verdict for one in outcomes}
    for arm in ("direct", "h5py"):
        assert arm in OURS
        assert verdicts["whole.h5", arm] == "read"
        assert {verdicts[name, arm] for name in ("cut.h5", "text.h5")} == {"error"}
        assert verdicts["name.h5", arm] in ("read", "error")
    assert verdicts["whole.h5", "h5py alone"] == "read"
    direct = [one.words for one in outcomes if one.arm == "direct" and one.file == "whole.h5"]
    assert direct == ["2 datasets"]
    assert table_of(outcomes).count("\n") == 5
