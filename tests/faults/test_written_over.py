"""Files that are written over in place while somebody in this process holds them open through HDF5.

What the holder sees is what the file was. We read what it is, and what we write down is right in every other process.
"""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from h5py import h5d, h5f

from h5lightning import Field, H5Dataset
from h5lightning.errors import BadFileError, FileChangedError, MissingFieldError
from h5lightning.tools.inspect import inspect_files

pytestmark = pytest.mark.timeout(60)

READERS = ("auto", "h5py", "direct")
LAYOUTS = {
    "contiguous": {},
    "gzip": {"chunks": (8,), "compression": "gzip"},
    "chunked": {"chunks": (8,)},
}
ROWS = 40


def values(number):
    return np.arange(ROWS) + 100.0 * number


def write(path, names, *, label=1, **options):
    """Datasets in this order, so that each lies where another one lay before."""
    with h5py.File(path, "w") as file:
        for name in names:
            file.create_dataset(name, data=values(int(name[1])), **options)
        file["grid"] = np.full(3, label)
        file.attrs["label"] = label


def write_over(path, names, **options):
    """Another program writes it anew; the file stays the same one."""
    write(f"{path}.new", names, **options)
    before = os.stat(path)
    subprocess.run(["cp", f"{path}.new", path], check=True)
    os.unlink(f"{path}.new")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert os.stat(path).st_ino == before.st_ino


def read(pattern, fields=("x1", "x2"), **options):
    dataset = H5Dataset(str(pattern), fields=list(fields), **options)
    try:
        return dataset.read_batch(range(ROWS))
    finally:
        dataset.close()


def check(batch):
    for name, found in batch.items():
        assert torch.equal(found, torch.from_numpy(values(int(name[1])))), name


ELSEWHERE = """
import json, os, sys
from h5lightning import H5Dataset
for line in sys.stdin:
    path, fields, reader, os.environ["H5LIGHTNING_CACHE_DIR"] = json.loads(line)
    try:
        dataset = H5Dataset(path, fields=fields, reader=reader)
        found = {name: values.tolist() for name, values in dataset.read_batch(range(40)).items()}
        dataset.close()
    except Exception as error:
        found = str(error)
    print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere():
    """Reads in a process of its own, which finds the index that this one left, and holds nothing."""
    command = [sys.executable, "-c", ELSEWHERE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def check(path, fields=("x1", "x2"), reader="direct"):
            cache = os.environ["H5LIGHTNING_CACHE_DIR"]
            process.stdin.write(json.dumps([str(path), fields, reader, cache]) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {
                name: values(int(name[1])).tolist() for name in fields
            }

        yield check
        process.stdin.close()


def by_file(path):
    file = h5py.File(path)
    file.visititems(lambda _, found: found[()])
    list(file.attrs.values())
    return file


def by_file_without_locking(path):
    return h5py.File(path, locking=False)["x1"]


def by_writable_file(path):
    file = h5py.File(path, "r+")
    file["x1"][0] = file["x2"][0]
    file.flush()
    return file


def by_dataset_alone(path):
    """The file itself is closed; what was opened of it holds it."""
    fid = h5f.open(os.fsencode(path))
    dataset = h5d.open(fid, b"x1")
    fid.close()
    return dataset


def by_virtual_dataset(path):
    """HDF5 holds the sources of an open dataset, and says so to nobody."""
    layout = h5py.VirtualLayout((ROWS,), "<f8")
    layout[:] = h5py.VirtualSource(path, "x1", (ROWS,), "<f8")
    with h5py.File(f"{path}.main", "w") as file:
        file.create_virtual_dataset("v", layout)
    dataset = h5py.File(f"{path}.main")["v"]
    assert dataset[0] == 100
    return dataset


HOLDERS = [by_file, by_file_without_locking, by_writable_file, by_dataset_alone, by_virtual_dataset]


def holders():
    return pytest.mark.parametrize("hold", HOLDERS, ids=lambda hold: hold.__name__[3:].replace("_", " "))


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "a.h5", ["x1", "x2"])
    return str(tmp_path / "a.h5")


@holders()
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_read_is_what_the_file_holds(tmp_path, hold, layout, reader, elsewhere):
    path = str(tmp_path / "a.h5")
    write(path, ["x1", "x2"], **layout)
    held = hold(path)
    write_over(path, ["x2", "x1"], **layout)
    check(read(path, reader=reader))
    elsewhere(path)
    check(read(path, reader=reader))
    del held


@pytest.mark.parametrize("is_known", [False, True], ids=["new", "scanned before"])
@pytest.mark.parametrize("reader", READERS)
def test_a_dataset_of_before_says_so_and_one_of_after_is_right(path, is_known, reader):
    held = by_file(path)
    before = H5Dataset(path, fields=["x1", "x2"], reader=reader)
    if is_known:
        check(before.read_batch(range(ROWS)))
    write_over(path, ["x2", "x1"])
    check(read(path, reader=reader))
    for _ in range(2):
        with pytest.raises(FileChangedError, match=r"a\.h5 was written to"):
            before.read_batch([0])
    before.close()
    held.close()


@holders()
def test_a_file_that_lost_a_dataset(path, hold, elsewhere):
    held = hold(path)
    write_over(path, ["x2"])
    with pytest.raises(MissingFieldError, match=r"holds no dataset '/x1'; known: grid, x2"):
        read(path)
    check(read(path, ["x2"]))
    elsewhere(path, ["x2"])
    write_over(path, ["x3", "x1", "x2"])
    check(read(path, ["x1", "x2", "x3"]))
    elsewhere(path, ["x1", "x2", "x3"])
    del held


@pytest.mark.parametrize("reader", READERS)
def test_constants_and_attributes(path, reader):
    held = by_file(path)
    fields = {"x": "x1", "grid": Field("grid", constant=True), "label": Field(attr="label")}
    for label in (2, 3):
        write_over(path, ["x2", "x1"], label=label)
        dataset = H5Dataset(path, fields=fields, reader=reader)
        batch = dataset.read_batch([1])
        assert (batch["grid"].tolist(), batch["label"].tolist()) == ([[label] * 3], [label])
        dataset.close()
    held.close()


def with_sources(folder):
    write(folder / "source.hdf", ["x1", "x2"])
    layout = h5py.VirtualLayout((ROWS,), "<f8")
    layout[:] = h5py.VirtualSource("source.hdf", "x1", (ROWS,), "<f8")
    with h5py.File(folder / "main.h5", "w") as file:
        file.create_virtual_dataset("x1", layout)
        file["x2"] = h5py.ExternalLink("source.hdf", "/x2")
    return folder / "main.h5", folder / "source.hdf"


@pytest.mark.parametrize("names", [("main.h5",), ("source.hdf",), ("main.h5", "source.hdf")], ids="+".join)
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_sources_that_the_user_holds(tmp_path, names, reader, elsewhere):
    main, source = with_sources(tmp_path)
    held = [h5py.File(tmp_path / name) for name in names]
    datasets = [file[name] for file in held for name in ("x1", "x2")]
    assert [dataset[0] for dataset in datasets] == [100, 200] * len(held)
    write_over(source, ["x2", "x1"])
    for _ in range(2):
        check(read(main, reader=reader, access={"allow_external": str(tmp_path)}))
    elsewhere(source)
    for file in held:
        file.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("reader", READERS)
def test_workers_that_inherit_what_is_held(path, method, reader):
    held = by_file(path)
    write_over(path, ["x2", "x1"])
    dataset = H5Dataset(path, fields=["x1", "x2"], reader=reader)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=ROWS, num_workers=1, multiprocessing_context=method, timeout=50
    )
    (batch,) = loader
    check(batch)
    dataset.close()
    held.close()


def test_what_inspect_says(path):
    held = by_file(path)
    write_over(path, ["x3"])
    report = inspect_files([path], progress=False)
    assert sorted(dataset.path for dataset in report.datasets) == ["grid", "x3"]
    held.close()


def damage(path):
    """What is in the way of the last dataset alone, and is found late."""
    with open(path, "r+b") as file:
        place = file.read().rfind(b"TREE")
        file.seek(place)
        file.write(b"EERT")


@pytest.mark.parametrize("reader", READERS)
def test_an_error_that_a_notebook_keeps_holds_nothing(tmp_path, reader):
    path = str(tmp_path / "a.h5")
    write(path, ["x1", "x2"], **LAYOUTS["gzip"])
    damage(path)
    with pytest.raises(BadFileError, match=r"a\.h5' is damaged") as kept:
        read(path, reader=reader)
    write_over(path, ["x2", "x1"], **LAYOUTS["gzip"])
    check(read(path, reader=reader))
    del kept


# ── what is held goes on ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ours", [False, True], ids=["unlocked", "locked"])
@pytest.mark.parametrize("theirs", [False, None, True], ids=["without locking", "default", "with locking"])
def test_the_users_file_goes_on_as_it_was(path, reader, ours, theirs):
    with h5py.File(path, locking=theirs) as held:
        dataset = H5Dataset(path, fields=["x1", "x2"], reader=reader, access={"locking": ours})
        check(dataset.read_batch(range(ROWS)))
        assert held["x1"][3] == 103
        with h5py.File(path, locking=theirs) as again:
            assert again["x2"][3] == 203
        dataset.close()
        assert held["x2"][4] == 204


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mode", ["r+", "w"])
def test_the_user_writes_to_what_we_hold(path, reader, mode):
    dataset = H5Dataset(path, fields=["x1", "x2"], reader=reader)
    check(dataset.read_batch(range(ROWS)))
    with h5py.File(path, mode) as file:
        file["x3"] = values(3)
    os.utime(path, ns=(0, os.stat(path).st_mtime_ns + 10**9))
    with pytest.raises(FileChangedError, match=r"a\.h5 (was written to|was cut off|grew)"):
        dataset.read_batch([0])
    check(read(path, ["x3"], reader=reader))
    dataset.close()


def test_what_was_not_flushed_is_not_there(path, elsewhere):
    with h5py.File(path, "r+") as file:
        file["x3"] = values(3)
        with pytest.raises(MissingFieldError, match="holds no dataset '/x3'"):
            read(path, ["x3"])
        file.flush()
        os.utime(path, ns=(0, os.stat(path).st_mtime_ns + 10**9))
        check(read(path, ["x3"]))
        elsewhere(path, ["x3"])
