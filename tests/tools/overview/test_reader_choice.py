"""Which reader reads a dataset, and why, for datasets of each kind."""

import h5py
import hdf5plugin
import numpy as np
import pytest

from h5lightning.tools.inspect import inspect_files
from h5lightning.tools.overview.reader_choice import Reading

VALUES = np.arange(40.0).reshape(20, 2)


def write(**options):
    return lambda path: h5py.File(path, "w").create_dataset("x", data=VALUES, **options).file.close()


def imaginary_part_first(path):
    """Complex numbers in an order that NumPy does not use."""
    part = h5py.h5t.IEEE_F64LE
    stored = h5py.h5t.create(h5py.h5t.COMPOUND, 16)
    stored.insert(b"r", 8, part)
    stored.insert(b"i", 0, part)
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"x", stored, h5py.h5s.create_simple((20,))).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(20) + 1j
        )


def overlapping(path):
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("x", data=np.arange(100.0), chunks=(10,))
        first, second = (stored.id.get_chunk_info(number).byte_offset for number in (0, 1))
    with open(path, "r+b") as raw:
        content = raw.read()
        assert content.count(second.to_bytes(8, "little")) == 1
        raw.seek(content.index(second.to_bytes(8, "little")))
        raw.write((first + 8).to_bytes(8, "little"))


def table(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(20, [("a", "f4"), ("b", "i8")])


def compact(path):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(VALUES.shape)
        did = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, space, plist)
        did.write(h5py.h5s.ALL, h5py.h5s.ALL, VALUES)


def only(tmp_path):
    (dataset,) = inspect_files([str(tmp_path / "*.h5")]).datasets
    return dataset


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (5, 2)}, {"compression": "gzip"}, hdf5plugin.Zstd()],
    ids=["contiguous", "chunked", "gzip", "zstd"],
)
def test_read_directly(options, tmp_path):
    write(**options)(tmp_path / "a.h5")
    assert only(tmp_path).read_by == (Reading("direct", "", 1),)
    assert "h5py" not in {issue.kind for issue in inspect_files([str(tmp_path / "a.h5")]).traps}


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (compact, "is compact: its values lie inside of a header"),
        (imaginary_part_first, "holds elements that HDF5 must convert"),
        (write(chunks=(5, 2), scaleoffset=3), "is stored with scaleoffset, which only HDF5 decodes"),
    ],
    ids=["compact", "imaginary part first", "scale-offset"],
)
def test_read_through_h5py(prepare, reason, tmp_path):
    prepare(tmp_path / "a.h5")
    assert only(tmp_path).read_by == (Reading("h5py", reason, 1),)
    (issue,) = (issue for issue in inspect_files([str(tmp_path / "a.h5")]).traps if issue.kind == "h5py")
    assert f"'/x' {reason}: read through h5py, by one thread at a time" in issue.text
    assert issue.severity == "warning"


def test_tables_are_read_directly_but_for_columns_that_hdf5_converts(tmp_path):
    table(tmp_path / "a.h5")
    assert only(tmp_path).read_by == (Reading("direct", "", 1),)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        kind = h5py.h5t.create(h5py.h5t.COMPOUND, 9)
        kind.insert(b"a", 0, h5py.h5t.IEEE_F64LE)
        kind.insert(b"flag", 8, h5py.h5t.STD_B8LE)
        space = h5py.h5s.create_simple((20,))
        packed = np.zeros(20, [("a", "f8"), ("flag", "u1")])
        h5py.h5d.create(file.id, b"x", kind, space).write(h5py.h5s.ALL, h5py.h5s.ALL, packed, mtype=kind)
    assert set(only(tmp_path).read_by) == {
        Reading("direct", "", 1),
        Reading("h5py", "has a column 'flag' that holds bit fields", 1),
    }


def test_each_way_of_storing_is_listed(tmp_path):
    for number, options in enumerate([{}, {}, {"chunks": (4, 2), "scaleoffset": 3}]):
        write(**options)(tmp_path / f"{number}.h5")
    with h5py.File(tmp_path / "holes.h5", "w") as file:
        file.create_dataset("x", (20, 2), "f8", chunks=(5, 2))[:5] = 1
    assert set(only(tmp_path).read_by) == {
        Reading("direct", "", 2),
        Reading("h5py", "is stored with scaleoffset, which only HDF5 decodes", 1),
        Reading("h5py", "has chunks that were never written", 1),
    }


def test_of_a_pattern_one_dataset_is_asked(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(30):
            file[f"demo_{number}/x"] = VALUES
    assert only(tmp_path).read_by == (Reading("direct", "", 1),)


def test_damage_is_a_problem(tmp_path):
    overlapping(tmp_path / "a.h5")
    (reading,) = only(tmp_path).read_by
    assert (reading.reader, "two of its chunks overlap" in reading.reason) == ("none", True)
    (issue,) = (issue for issue in inspect_files([str(tmp_path / "a.h5")]).traps if issue.kind == "damaged")
    assert issue.severity == "problem"


@pytest.mark.parametrize(
    "values", [np.array([b"text"]), np.zeros((0, 2))], ids=["cannot be a field", "no rows"]
)
def test_datasets_that_are_not_read_have_no_reader(values, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
    assert only(tmp_path).read_by == ()
