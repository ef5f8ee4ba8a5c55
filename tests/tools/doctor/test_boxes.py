"""Chunks beside boxes, rows along other axes, rows that are drawn and rows of an index: what they decode."""

import h5py
import numpy as np
import pytest

from h5lightning.options import Access, Field, Rows, Whole, Windows
from h5lightning.tools.doctor import diagnose_files
from h5lightning.tools.overview.box_windows import BoxWindows

pytestmark = pytest.mark.timeout(60)
GZIP = {"compression": "gzip"}
SMALL = Access(cache_bytes=64 * 1024)


def write(path, shape, chunks, **others):
    with h5py.File(path, "w") as file:
        values = (np.arange(np.prod(shape)) // 50 % 90).reshape(shape).astype("f4")
        file.create_dataset("x", data=values, chunks=chunks, **(GZIP if chunks else {}))
        for name, value in others.items():
            file[name] = value
    return str(path)


def diagnose(path, samples, field=None, **options):
    return diagnose_files(
        [path], {"x": field or Field("x")}, samples=samples, measure=False, progress=False, **options
    )


def kinds_of(diagnosis):
    return {finding.kind: finding for finding in diagnosis.findings}


def test_slabs_are_slow_for_crops_and_chunks_of_their_shape_are_recommended(tmp_path):
    path = write(tmp_path / "a.h5", (40, 48, 64), (1, 48, 64))
    diagnosis = diagnose(path, Windows((8, 8, 8), stride=8, axis=(0, 1, 2)), access=SMALL)
    found = kinds_of(diagnosis)["boxes"]
    assert found.severity == "slow"
    assert "chunks of 1 × 48 × 64, and samples are boxes of 8 × 8 × 8: one lies in 8.0 chunks" in found.text
    assert "48.0 bytes for each byte" in found.text  # 8 · 48 · 64 / 8³
    assert found.advice.endswith("chunks=(8, 8, 8)")
    assert diagnosis.fix is None
    assert "with chunks=(8, 8, 8)" in diagnosis.no_fix


@pytest.mark.parametrize(
    ("chunks", "access"), [((8, 8, 8), SMALL), ((1, 48, 64), Access()), (None, SMALL)], ids=str
)
def test_chunks_of_the_boxes_and_data_that_fit_into_the_cache_are_fine(tmp_path, chunks, access):
    path = write(tmp_path / "a.h5", (40, 48, 64), chunks)
    diagnosis = diagnose(path, Windows((8, 8, 8), stride=4, axis=(0, 1, 2)), access=access)
    assert {finding.severity for finding in diagnosis.findings} <= {"fine"}


def test_jittered_boxes_lie_in_more_chunks_than_those_of_the_grid(tmp_path):
    path = write(tmp_path / "a.h5", (40, 48, 64), (8, 8, 8))
    plain, drawn = (
        kinds_of(diagnose(path, Windows((8, 8, 8), stride=8, axis=(0, 1, 2), jitter=jitter)))
        for jitter in (False, True)
    )
    assert plain["boxes"].amplification.full == 1
    assert 6 < drawn["boxes"].amplification.full < 8


def test_channels_in_chunks_of_their_own_are_slow_for_windows_of_time(tmp_path):
    path = write(tmp_path / "a.h5", (19, 4000), (1, 500))
    diagnosis = diagnose(path, Windows(64, axis=-1), access=SMALL)
    found = kinds_of(diagnosis)["split rows"]
    assert "each row lies in 19 chunks" in found.text
    assert "chunks=(19, 384)" in diagnosis.no_fix


def test_chunks_of_all_channels_split_no_row_of_time(tmp_path):
    paths = [write(tmp_path / f"{time}.h5", (19, time), (19, 64)) for time in (1000, 1300)]
    diagnosis = diagnose_files(
        paths, {"x": Field("x")}, samples=Windows(64, axis=-1), measure=False, progress=False
    )
    assert "split rows" not in kinds_of(diagnosis)
    (found,) = [one for one in diagnosis.findings if one.kind == "amplified reads"]
    assert found.files == 2  # files of different length are one finding
    assert "chunks of 64 rows" in found.text


def test_rows_that_are_drawn_of_large_chunks_are_found(tmp_path):
    path = write(tmp_path / "a.h5", (4000, 16), (1000, 16))
    field = Field("x", ragged="stack")
    found = kinds_of(diagnose(path, Whole(take=10), field, access=SMALL))["drawn rows"]
    assert found.severity == "slow"
    assert "chunks of 1,000 rows" in found.text
    assert "10 rows of each series are drawn" in found.text
    assert "drawn rows" not in kinds_of(diagnose(path, Whole(take=10), field))  # all fit into the cache
    assert "drawn rows" not in kinds_of(diagnose(path, Whole(), Field("x", ragged="list"), access=SMALL))


def test_entries_of_an_index_use_rows_side_by_side(tmp_path):
    path = write(tmp_path / "a.h5", (4000, 16), (50, 16), ends=np.arange(1, 41) * 100)
    alone = kinds_of(diagnose(path, Rows(), shuffle=None, access=SMALL))["amplified reads"]
    entries = kinds_of(diagnose(path, Rows(), Field("x", index="ends"), access=SMALL))["amplified reads"]
    assert entries.amplification.full < alone.amplification.full / 10


def test_an_axis_that_a_dataset_lacks_is_an_error(tmp_path):
    path = write(tmp_path / "a.h5", (40, 8), (8, 8))
    with pytest.raises(Exception, match="has 2 axes, and samples lie along 0, 1, 2"):
        diagnose(path, Windows((8, 8, 8), axis=(0, 1, 2)))


def test_the_chunks_that_a_box_lies_in():
    boxes = BoxWindows((10, 6), (0, 1), None, (4, 2), (3, 1), 60)
    # Starts 0, 3, 6 along axis 0: 1, 2 and 2 chunks of 4; starts 0 to 4 along axis 1: 1, 2, 1, 2, 1 chunks of 2.
    assert boxes.chunks_of_box((4, 2)) == pytest.approx(5 / 3 * 7 / 5)
    assert boxes.sizes == (4, 2)
