"""Files that others take values from, changed: never other values or invented ones; a new start reads the new ones."""

import os
import shutil

import h5py
import numpy as np
import pytest
import torch

from h5lightning import H5DataModule, H5Dataset
from h5lightning.errors import FileChangedError, H5LightningError
from h5lightning.storage.files import file_guard as watching
from h5lightning.storage.scanning import ScanRequest, scan_files

READERS = ("auto", "h5py")
ROWS = 12
GZIP = {"chunks": (4, 2), "compression": "gzip"}

pytestmark = pytest.mark.timeout(60)


def values(start, rows=ROWS):
    return np.arange(start, start + 2 * rows, dtype="<f4").reshape(rows, 2)


def write(path, start, rows=ROWS, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=values(start, rows), **options)


def raw(folder):
    values(1).tofile(folder / "source.raw")
    parts = [(str(folder / "source.raw"), 0, 4 * 2 * ROWS)]
    with h5py.File(folder / "main.h5", "w") as file:
        # Written as if the values had been there all the time.
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        for name, offset, size in parts:
            plist.set_external(os.fsencode(name), offset, size)
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((ROWS, 2)), plist)
    return folder / "source.raw"


def virtual(folder, source="source.h5", name="main.h5", **options):
    write(folder / "source.h5", 1, **options)
    layout = h5py.VirtualLayout((ROWS, 2), "<f4")
    layout[:] = h5py.VirtualSource(source, "d", (ROWS, 2), "<f4")
    with h5py.File(folder / name, "w") as file:
        file.create_virtual_dataset("x", layout)
    return folder / "source.h5"


def link(folder, **options):
    write(folder / "source.h5", 1, **options)
    with h5py.File(folder / "main.h5", "w") as file:
        file["x"] = h5py.ExternalLink("source.h5", "/d")
    return folder / "source.h5"


def link_to(folder, kind):
    """A link to another directory's file, whose own values lie in a file beside that one."""
    (folder / "deep").mkdir()
    source = kind(folder / "deep")
    # Beside the first file, where nobody may look for it.
    (folder / source.name).write_bytes(b"")
    with h5py.File(folder / "main.h5", "w") as file:
        file["x"] = h5py.ExternalLink("deep/main.h5", "/x")
    return source


KINDS = {
    "external storage": raw,
    "virtual": virtual,
    "virtual, gzip": lambda folder: virtual(folder, **GZIP),
    "link": link,
    "link, gzip": lambda folder: link(folder, **GZIP),
    "link to virtual": lambda folder: link_to(folder, virtual),
    "link to external storage": lambda folder: link_to(folder, raw),
}


def later(path, seconds=1):
    """As if the clock had ticked since the file was written first."""
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))


def other(path, start=100, rows=ROWS):
    """A file like the source beside it, with other values."""
    new = path.with_name("new")
    if path.suffix == ".raw":
        values(start, rows).tofile(new)
    else:
        with h5py.File(path) as file:
            options = GZIP if file["d"].chunks else {}
        write(new, start, rows, **options)
    return new


def rewrite(path):
    # In place, and at once: what HDF5 writes comes in parts.
    data = other(path).read_bytes()
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate()
    later(path)


def rewrite_and_restore(path):
    before = os.stat(path)
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path):
    new = other(path)
    later(new, 5)
    os.replace(new, path)


def grow(path):
    with open(path, "ab") as file:
        file.write(bytes(100))


CHANGES = {
    "rewritten": (rewrite, "was written to|was cut off|grew"),
    "rewritten, times restored": (rewrite_and_restore, "was written to|was cut off|grew"),
    "replaced": (replace, "was replaced"),
    "grown": (grow, "grew from"),
    "cut": (lambda path: os.truncate(path, os.path.getsize(path) // 2), "was cut off"),
    "renamed": (lambda path: os.rename(path, f"{path}.old"), "no longer exists"),
    "deleted": (os.unlink, "no longer exists"),
}


def opened(folder, reader):
    options = {"allow_external": str(folder)}
    return H5Dataset(str(folder / "main.h5"), ["x"], reader=reader, access=options)


def kinds():
    return pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@kinds()
@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("is_open", [False, True], ids=["before it is opened", "while it is open"])
@pytest.mark.parametrize("reader", READERS)
def test_a_change_is_an_error_that_names_it(tmp_path, kind, change, words, is_open, reader):
    source = kind(tmp_path)
    dataset = opened(tmp_path, reader)
    if is_open:
        assert torch.equal(dataset.read_batch([3, 0])["x"], torch.from_numpy(values(1)[[3, 0]]))
    change(source)
    for _ in range(2):
        with pytest.raises(
            FileChangedError, match=rf"{source.name}, which .*main\.h5 takes .*({words}).*Start"
        ):
            dataset.read_batch([ROWS - 1])
    dataset.close()


@kinds()
@pytest.mark.parametrize(
    "change", [rewrite, rewrite_and_restore, replace], ids=["in place", "restored", "replaced"]
)
@pytest.mark.parametrize("is_noticed", [True, False], ids=["noticed", "not noticed"])
@pytest.mark.parametrize("reader", READERS)
def test_a_new_start_reads_the_new_values(tmp_path, kind, change, is_noticed, reader):
    source = kind(tmp_path)
    first = opened(tmp_path, reader)
    assert torch.equal(first.read_batch(range(ROWS))["x"], torch.from_numpy(values(1)))
    change(source)
    if is_noticed:
        with pytest.raises(FileChangedError):
            first.read_batch([0])
    second = opened(tmp_path, reader)  # the first one is still there
    assert torch.equal(second.read_batch(range(ROWS))["x"], torch.from_numpy(values(100)))
    with pytest.raises(FileChangedError):
        first.read_batch([0])
    first.close()
    second.close()


@kinds()
def test_a_source_that_comes_late_is_found_at_the_next_start(tmp_path, kind):
    source = kind(tmp_path)
    os.rename(source, tmp_path / "away")
    with pytest.raises(H5LightningError, match="which is not there"):
        opened(tmp_path, "auto")
    os.rename(tmp_path / "away", source)
    dataset = opened(tmp_path, "auto")
    assert torch.equal(dataset.read_batch(range(ROWS))["x"], torch.from_numpy(values(1)))
    dataset.close()
    os.rename(source, tmp_path / "away")
    with pytest.raises(H5LightningError, match="which is not there"):
        opened(tmp_path, "auto")


def test_a_source_that_is_a_symbolic_link(tmp_path):
    source = link(tmp_path)
    os.rename(source, tmp_path / "one.h5")
    shutil.copy2(tmp_path / "one.h5", tmp_path / "two.h5")
    os.symlink("one.h5", source)
    dataset = opened(tmp_path, "auto")
    assert dataset.read_batch([0])["x"].tolist() == [[1, 2]]
    os.unlink(source)
    os.symlink("two.h5", source)
    with pytest.raises(FileChangedError, match="replaced by a copy"):
        dataset.read_batch([0])
    dataset.close()


def test_a_prefix_that_was_set_when_it_was_scanned_is_forgotten(tmp_path, monkeypatch):
    virtual(tmp_path)
    monkeypatch.setenv("HDF5_VDS_PREFIX", str(tmp_path))
    with pytest.raises(H5LightningError, match="HDF5_VDS_PREFIX"):
        opened(tmp_path, "auto")
    monkeypatch.delenv("HDF5_VDS_PREFIX")
    dataset = opened(tmp_path, "auto")
    assert dataset.read_batch([0])["x"].tolist() == [[1, 2]]
    dataset.close()


def test_external_storage_of_another_current_directory(tmp_path, monkeypatch):
    for name, start in (("one", 1), ("two", 50)):
        (tmp_path / name).mkdir()
        values(start).tofile(tmp_path / name / "source.raw")
    with h5py.File(tmp_path / "main.h5", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_external(b"source.raw", 0, 4 * 2 * ROWS)
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((ROWS, 2)), plist)
    monkeypatch.chdir(tmp_path / "one")
    first = opened(tmp_path, "auto")
    assert first.read_batch([0])["x"].tolist() == [[1, 2]]
    monkeypatch.chdir(tmp_path / "two")
    with pytest.raises(FileChangedError, match=r"source\.raw"):
        first.read_batch([0])
    second = opened(tmp_path, "auto")
    assert second.read_batch([0])["x"].tolist() == [[50, 51]]
    first.close()
    second.close()


def test_only_the_sources_of_the_rows_that_are_read_count(tmp_path):
    layout = h5py.VirtualLayout((4 * ROWS, 2), "<f4")
    for part in range(4):
        write(tmp_path / f"{part}.hdf", 100 * part)
        layout[part * ROWS : (part + 1) * ROWS] = h5py.VirtualSource(f"{part}.hdf", "d", (ROWS, 2), "<f4")
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
        file["plain"] = np.arange(4 * ROWS)
    dataset = H5Dataset(
        str(tmp_path / "main.h5"), ["x", "plain"], reader="h5py", access={"allow_external": str(tmp_path)}
    )
    assert dataset.read_batch([0, 2 * ROWS])["x"].tolist() == [[0, 1], [200, 201]]
    grow(tmp_path / "1.hdf")
    assert dataset.read_batch([2 * ROWS, 4 * ROWS - 1, 0])["x"].tolist() == [[200, 201], [322, 323], [0, 1]]
    assert dataset.read_batch([ROWS], keys=["plain"])["plain"].tolist() == [ROWS]
    with pytest.raises(FileChangedError, match=r"1\.hdf"):
        dataset.read_batch([2 * ROWS - 1])
    dataset.close()


def test_many_sources_are_looked_at_a_few_times_each(tmp_path, monkeypatch):
    parts, looks = 40, []
    layout = h5py.VirtualLayout((parts * ROWS, 2), "<f4")
    for part in range(parts):
        write(tmp_path / f"{part}.hdf", part)
        layout[part * ROWS : (part + 1) * ROWS] = h5py.VirtualSource(f"{part}.hdf", "d", (ROWS, 2), "<f4")
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    dataset = opened(tmp_path, "auto")
    look = watching.source_stamp
    monkeypatch.setattr(watching, "source_stamp", lambda path: looks.append(path) or look(path))
    dataset.read_batch([0])
    assert parts < len(looks) < 6 * parts
    looks.clear()
    dataset.read_batch([0, 1, ROWS])
    assert len(looks) == 2
    dataset.close()


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.campaign)])
def test_workers_notice(tmp_path, method):
    source = virtual(tmp_path)
    dataset = opened(tmp_path, "auto")
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=4, num_workers=1, multiprocessing_context=method, timeout=50
    )
    assert torch.equal(torch.cat([batch["x"] for batch in loader]), torch.from_numpy(values(1)))
    rewrite(source)
    with pytest.raises(FileChangedError, match=r"source\.h5"):
        list(loader)
    dataset.close()


def test_a_file_that_is_open_under_another_name_is_not_taken_for_the_first(tmp_path):
    """HDF5 looks for the sources of both beside the one that was opened first."""
    for name, start in (("one", 1), ("two", 50)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "source.h5", start)
    layout = h5py.VirtualLayout((ROWS, 2), "<f4")
    layout[:] = h5py.VirtualSource("source.h5", "d", (ROWS, 2), "<f4")
    with h5py.File(tmp_path / "one" / "main.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
        file["l"] = h5py.ExternalLink("source.h5", "/d")
    os.symlink(tmp_path / "one" / "main.h5", tmp_path / "two" / "main.h5")
    options = {"access": {"allow_external": str(tmp_path)}}
    two = H5Dataset(str(tmp_path / "two" / "main.h5"), ["x", "l"], **options)
    assert two.read_batch([0])["x"].tolist() == two.read_batch([0])["l"].tolist() == [[50, 51]]
    for path in ("x", "l"):
        with pytest.raises(H5LightningError, match=r"would look for beside '.*/two/main\.h5'"):
            H5Dataset(str(tmp_path / "one" / "main.h5"), [path], **options)
    two.close()
    os.symlink(tmp_path / "one", tmp_path / "same")  # the same place by another name
    same = H5Dataset(str(tmp_path / "same" / "main.h5"), ["x", "l"], **options)
    assert same.read_batch([0])["x"].tolist() == [[1, 2]]
    one = H5Dataset(str(tmp_path / "one" / "main.h5"), ["x", "l"], **options)
    assert one.read_batch([0])["x"].tolist() == one.read_batch([0])["l"].tolist() == [[1, 2]]
    one.close()
    same.close()


def test_another_module_starts_again(tmp_path):
    source = virtual(tmp_path)

    def module():
        return H5DataModule(
            str(tmp_path / "main.h5"),
            ["x"],
            batch_size=4,
            shuffle="none",
            split={"by": "sample", "val": 0, "test": 0},
            access={"allow_external": str(tmp_path)},
        )

    def epoch(data):
        return torch.cat([batch["x"] for batch in data.train_dataloader()]).sort(dim=0).values

    def start():
        data = module()
        data.prepare_data()
        data.setup("fit")
        return data

    first = start()
    assert torch.equal(epoch(first), torch.from_numpy(values(1)))
    replace(source)
    with pytest.raises(FileChangedError, match=r"source\.h5, which .* was replaced"):
        epoch(first)
    second = start()
    assert torch.equal(epoch(second), torch.from_numpy(values(100)))
    with pytest.raises(FileChangedError):
        epoch(first)
    for data in (first, second):
        data.teardown("fit")


@pytest.mark.parametrize("processes", [1, 2])
def test_other_processes_scan_the_same(tmp_path, processes, monkeypatch):
    for number, kind in enumerate((raw, virtual, link)):
        (tmp_path / f"{number}").mkdir()
        kind(tmp_path / f"{number}")
    paths = sorted(str(path) for path in tmp_path.glob("*/main.h5"))
    request = ScanRequest(("x",), allow_external=str(tmp_path))
    here = scan_files(paths, request, processes=1, progress=False)
    monkeypatch.setattr("h5lightning.storage.scanning.parallel_scan._PATIENCE_S", 0.0)
    assert scan_files(paths, request, processes=processes, progress=False) == here
    assert [len(schema.sources) for schema in here] == [1, 1, 1]
