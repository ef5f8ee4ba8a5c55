"""A whole comparison over real files."""

import dataclasses
import json
import os

import h5py
import numpy as np
import pytest

from h5lightning.options import Field
from h5lightning.tools.bench import Budget, bench_files
from h5lightning.tools.bench.configurations import LoaderConfig

pytestmark = pytest.mark.timeout(60)
SHORT = Budget(seconds=0.03, rounds=1)


def write(folder, rows, files=2, **storage):
    folder.mkdir()
    for number in range(files):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            values = np.random.default_rng(number).integers(0, 9, (rows, 16)).astype("f4")
            file.create_dataset("images", data=values, **storage)
            file["labels"] = np.arange(rows) % 3
    return [str(folder / "*.h5")]


def bench(patterns, **options):
    """A comparison in which no worker process is started, unless it is asked for."""
    options = {"threads": [0], "budget": SHORT, "progress": False, **options}
    return bench_files(patterns, **{"workers": [0], **options})


def test_contiguous_rows(tmp_path):
    announced = []
    found = bench(write(tmp_path / "a", 300), workers=[1], step_s=0.001, announce=announced.append)
    assert [speed.name.split(", ", 1)[1] for speed in found.speeds][1:] == [
        found.speeds[0].name.split(", ", 1)[1],
        *(f"{order}, {found.speeds[0].name.split(', ')[2]}" for order in ("block", "none")),
        "full, 0 threads",
        "full, 1 worker",
    ]
    assert found.speeds[0].config == LoaderConfig()
    assert all(speed.rate.median > 0 and 0 <= speed.waiting <= 1 for speed in found.speeds)
    assert [limit.name for limit in found.limits] == ["read in order", "gather from RAM"]
    assert (found.samples, found.measured_samples, found.mode) == (600, 600, "full")
    assert (found.sample_bytes, found.stored_bytes) == (72, 600 * 72)
    assert [note.split(" is ")[0] for note in found.notes] == ["Plain h5py"]
    assert found.plain.median > 0
    assert len(announced) == 1
    assert announced[0].startswith("7 ways to load and 2 limits of the machine, 1 round each")


def test_compressed_chunks(tmp_path):
    found = bench(write(tmp_path / "a", 300, chunks=(20, 16), compression="gzip"))
    assert found.mode == "block"
    assert [limit.name for limit in found.limits] == ["read in order", "decode once", "gather from RAM"]
    assert "Each epoch starts with nothing decoded" in found.notes[1]
    assert "(37.5 KiB) fit into cache_bytes" in found.notes[2]


def test_only_h5py_can_read_it(tmp_path):
    patterns = write(tmp_path / "a", 100, chunks=(20, 16), scaleoffset=3)
    found = bench(patterns, fields={"x": Field("images")})
    assert not any(speed.config.reader == "h5py" for speed in found.speeds)
    assert {speed.name.split(", ")[0] for speed in found.speeds} == {"h5py"}
    assert "The limit of decoding is unknown: '/images' has filter 6, which only HDF5 decodes" in found.notes


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="needs posix_fadvise")
def test_cold(tmp_path):
    found = bench(write(tmp_path / "a", 300), budget=dataclasses.replace(SHORT, is_cold=True))
    assert found.cache == "cold"
    assert all(speed.rate.median > 0 for speed in found.speeds)


def test_it_is_plain_for_json_and_leaves_no_index(tmp_path):
    found = bench(write(tmp_path / "a", 100))
    plain = json.loads(json.dumps(found.to_plain()))
    assert set(plain) == {field.name for field in dataclasses.fields(found)}
    base = plain["speeds"][0]
    assert base["mb_per_s"] == pytest.approx(base["rate"]["median"] * 72 / 1e6)
    assert base["times_plain"] == pytest.approx(base["rate"]["median"] / plain["plain"]["median"])
    assert set(plain["recommendation"]) == {"options", "reasons", "python", "command"}
    assert not os.path.exists(os.path.join(os.environ["H5LIGHTNING_CACHE_DIR"], "index"))
