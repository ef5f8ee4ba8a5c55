"""Each match of a ``*`` is described as a file of its own would be, however many there are."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from h5lightning.core.string_table import StringTable
from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.storage.scanning.describe_file import describe_file
from h5lightning.storage.scanning.matches.templates import Template
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.parallel_scan import scan_by_workers
from h5lightning.storage.scanning.scan_request import ScanRequest

READER = ValueReader(reads_text=True)
FIELD = "data/*/x"


def scan(path, *paths, **options):
    options.setdefault("matched", paths[:1])
    return describe_file(str(path), ScanRequest(paths, **options), READER)


def units(path, *paths, **options):
    return scan(path, *paths, **options).matches.units


def catalog_of(path, *paths, **options):
    schema = scan(path, *paths, **options)
    return Catalog.of(str(path.parent), [path.name], np.zeros((1, 4), np.int64), [schema])


def low_level(group, name, shape, *, fill=None, never_written=False, **layout):
    plist = h5p.create(h5p.DATASET_CREATE)
    if layout.get("compact"):
        plist.set_layout(h5d.COMPACT)
    if fill is not None:
        plist.set_fill_value(np.array(fill, "f4"))
    data = h5d.create(group.id, name.encode(), h5t.IEEE_F32LE, h5s.create_simple(shape), plist)
    if not never_written:
        values = np.arange(np.prod(shape), dtype="f4").reshape(shape) + 1
        if layout.get("rows_written"):
            values[layout["rows_written"] :] = fill
        data.write(h5s.ALL, h5s.ALL, values)


def virtual(group):
    layout = h5py.VirtualLayout((4, 2), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4, 2))
    group.create_virtual_dataset("x", layout)


def external(group):
    group.create_dataset("x", (4, 2), "f4", external=[("values.raw", 0, 32)])


STORAGES = [
    lambda g: low_level(g, "x", (4, 2), compact=True),
    virtual,
    lambda g: g.create_dataset("x", data=np.ones((4, 2), "f4") * np.arange(1, 3, dtype="f4"), chunks=(2, 2)),
    external,
    lambda g: g.create_dataset("x", (4, 2), "f4"),
]

KINDS = {
    "floats": lambda g, n: g.create_dataset("x", data=np.ones((n, 3), "f4") * np.arange(1, 4, dtype="f4")),
    "integers": lambda g, n: g.create_dataset("x", data=np.arange(n)),
    "big endian": lambda g, n: g.create_dataset("x", data=np.arange(n, dtype=">f8")),
    "half": lambda g, n: g.create_dataset("x", data=np.arange(n * 2, dtype="f2").reshape(n, 2)),
    "bits": lambda g, n: g.create_dataset("x", data=np.arange(n) % 2 == 0),
    "table": lambda g, n: g.create_dataset("x", data=np.zeros(n, [("a", "f4"), ("b", "i8", (2,))])),
    "enumeration": lambda g, n: g.create_dataset("x", (n,), h5py.enum_dtype({"A": 0, "B": 1}, "i1")),
    "text": lambda g, n: g.create_dataset("x", data=["a"] * n),
    "fixed text": lambda g, n: g.create_dataset("x", data=np.full(n, b"abc")),
    "chunks": lambda g, n: g.create_dataset("x", data=np.arange(n * 3.0).reshape(n, 3), chunks=(1, 3)),
    "deflate": lambda g, n: g.create_dataset("x", data=np.arange(n * 3.0).reshape(n, 3), compression="gzip"),
    "shuffle": lambda g, n: g.create_dataset(
        "x", data=np.arange(n * 3.0), chunks=(3,), shuffle=True, compression="lzf", fletcher32=True
    ),
    "many chunks": lambda g, n: g.create_dataset("x", data=np.arange(n * 64.0).reshape(n, 64), chunks=(1, 1)),
    "unlimited": lambda g, n: g.create_dataset("x", data=np.arange(n), maxshape=(None,), chunks=(4,)),
    "grows along another axis": lambda g, n: g.create_dataset(
        "x", data=np.ones((4, n)), maxshape=(4, None), chunks=(2, 2)
    ),
    "compact": lambda g, n: low_level(g, "x", (n, 2), compact=True),
    "never written": lambda g, n: low_level(g, "x", (n, 2), never_written=True),
    "half written": lambda g, n: low_level(g, "x", (max(n, 4), 2), fill=-1, rows_written=2 + n % 2),
    "chunks never written": lambda g, n: g.create_dataset("x", (n * 4, 2), "f4", chunks=(4, 2)),
    "any storage": lambda g, n: STORAGES[n % len(STORAGES)](g),
    "scaled": lambda g, n: g.create_dataset("x", data=np.arange(n)).attrs.update({"scale_factor": n * 0.5}),
    "with units": lambda g, n: g.create_dataset("x", data=np.arange(n)).attrs.update({"units": "m"}),
    "columns": lambda g, n: g.create_dataset("x", data=np.ones((n, 2))).attrs.update({"columns": ["a", "b"]}),
    "a column less": lambda g, n: g.create_dataset("x", data=np.ones((n, 2 + n % 2))),
    "other type": lambda g, n: g.create_dataset("x", data=np.ones((n, 2), "f4" if n % 2 else "f8")),
    "empty": lambda g, n: g.create_dataset("x", data=np.zeros((n % 3, 2))),
    "scalar": lambda g, n: g.create_dataset("x", data=float(n)),
    "null": lambda g, n: g.create_dataset("x", data=h5py.Empty("f4")),
    "group": lambda g, n: g.create_group("x").create_dataset("y", data=np.arange(n)),
    "sequences": lambda g, n: g.create_dataset("x", (n,), h5py.vlen_dtype("i4")),
}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_matches_have_in_common_changes_no_description(tmp_path, monkeypatch, kind, libver):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=libver) as file:
        for number in range(1, 12):
            KINDS[kind](file.create_group(f"data/demo_{number}"), number)
    fast = scan(path, FIELD).matches
    with monkeypatch.context() as patched:
        patched.setattr(Template, "entry", lambda *_: None)
        slow = scan(path, FIELD).matches
    assert fast == slow
    alone = [describe_file(str(path), ScanRequest((f"data/demo_{k}/x",)), READER) for k in range(1, 12)]
    catalog = catalog_of(path, FIELD)
    for unit, one in enumerate(alone):
        (dataset,), (own,) = catalog.schema(unit).datasets, one.datasets
        assert (dataset.path, dataset.shape, dataset.dtype) == (FIELD, own.shape, own.dtype)
        assert (dataset.facts(), dataset.refusal != "") == (own.facts(), own.refusal != "")
        stored = catalog.stored(unit, FIELD)
        assert (stored and stored.extents) == one.extents[0]


def test_a_user_block_changes_nothing(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        for number in range(4):
            file[f"data/{number}/x"] = np.arange(number + 2.0)
            file.create_dataset(f"data/{number}/y", data=np.arange(number + 2.0), chunks=(2,))
    catalog = catalog_of(path, FIELD, "data/*/y")
    for unit in range(4):
        for name in ("x", "y"):
            own = describe_file(str(path), ScanRequest((f"data/{unit}/{name}",)), READER)
            assert catalog.stored(unit, f"data/*/{name}").extents == own.extents[0]


def test_an_index_or_a_mask_beside_a_dataset_is_seen(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in range(5):
            group = file.create_group(f"data/{number}")
            group["x"], group["col/values"] = np.arange(4.0), np.arange(4.0)
            group["col/mask"] = np.arange(4) == number
            if number == 3:
                group["x_index"] = np.array([2, 4])
                group["x_index"].attrs["target"] = group["x"].ref
    found = units(path, FIELD)
    assert [found.annotations[number].index for number in found.annotation_of.tolist()] == [
        "data/*/x_index" if number == 3 else "" for number in range(5)
    ]
    missing = units(path, "data/*/col/values")
    assert missing.annotation_of.tolist() == [1, 2, 3, 4, 0]
    assert missing.annotations[2].missing.what == "is missing, as '/data/*/col/mask' beside it says"


def test_each_text_for_which_a_field_with_rows_exists_is_a_match(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in ("demo_10", "demo_2", "demo_02", "other", "demo_x"):
            file.create_group(f"data/{name}")
        for name in ("demo_10", "demo_2", "demo_02"):
            file[f"data/{name}/x"] = np.zeros((3, 2))
        file["data/demo_x/y"] = np.zeros(3)
        file["data/other/z"] = np.zeros(3)
        file["data/numbers"] = np.zeros(3)
    both = FIELD, "data/*/y"
    found = scan(path, *both, "data/*/z", matched=both).matches
    assert list(found.texts) == ["demo_02", "demo_2", "demo_10", "demo_x"]
    assert [len(found.units.layouts[number]) for number in found.units.layout_of] == [1, 1, 1, 1]
    assert found.units.layouts[found.units.layout_of[3]][0].path == "data/*/y"
    part = scan(path, "data/demo_*/x").matches
    assert (part.part, list(part.texts)) == ("demo_*", ["02", "2", "10"])


def test_a_star_at_the_end_matches_datasets_and_no_groups(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in (11, 2, 1):
            file[f"traj_{number}"] = np.zeros((number, 2))
        file["traj_group/x"] = np.zeros(3)
        file["scalar"] = 1.0
    found = scan(path, "traj_*").matches
    assert (found.part, list(found.texts)) == ("traj_*", ["1", "2", "11"])
    assert found.units.facts[:, 0].tolist() == [1, 2, 11]
    assert list(scan(path, "*").matches.texts) == ["scalar", "traj_1", "traj_2", "traj_11"]
    assert len(scan(path, "traj_*/y").matches.texts) == 0
    assert len(scan(path, "nothing/*").matches.texts) == 0
    assert len(scan(path, "scalar/*").matches.texts) == 0


HOSTILE = [
    "a\nb",
    "$HOME",
    "*",
    "demo_*",
    "..",
    "a b",
    "ä",
    os.fsdecode(b"\xff\xfe"),
    "%s",
    "{0}",
    "\\d",
    "x" * 500,
]


def test_hostile_names_are_kept_as_they_are(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("data")
        for name in HOSTILE:
            group.create_group(os.fsencode(name))["x"] = np.arange(3.0)
    found = scan(path, FIELD).matches
    assert sorted(found.texts) == sorted(HOSTILE)
    catalog = catalog_of(path, FIELD)
    texts = list(catalog.matches.texts)
    for name in HOSTILE:
        assert catalog.stored(texts.index(name), FIELD).shape == (3,)
        assert catalog.matches.name(texts.index(name)) == name


def test_links_are_refused_with_their_path_and_count_as_matches(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = np.zeros(3)
    with h5py.File(path, "w") as file:
        file["data/a/x"] = np.zeros(3)
        file["data/soft"] = h5py.SoftLink("/data/a")
        file["data/out"] = h5py.ExternalLink("b.h5", "/")
        file["data/inside/x"] = h5py.SoftLink("/data/a/x")
        file["data/dangling"] = h5py.SoftLink("/nowhere")
    catalog = catalog_of(path, FIELD)
    refusals = {
        catalog.matches.name(unit): catalog.schema(unit).datasets[0].refusal
        for unit in range(catalog.unit_count)
    }
    assert refusals.pop("a") == ""
    assert sorted(refusals) == ["dangling", "inside", "out", "soft"]
    assert refusals["soft"].startswith("is reached through the soft link '/data/*' to '/data/a'")
    assert refusals["inside"].startswith("is reached through the soft link '/data/*/x'")
    assert "external link '/data/*'" in refusals["out"]
    allowed = catalog_of(path, FIELD, allow_external=str(tmp_path))
    unit = list(allowed.matches.texts).index("out")
    assert (allowed.schema(unit).datasets[0].refusal, allowed.stored(unit, FIELD)) == ("", None)
    assert len(allowed.sources.paths) == 1


def test_what_all_matches_share_is_described_once(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["grid"] = np.arange(4.0)
        for number in range(6):
            file[f"data/{number}/x"] = np.zeros((number + 1, 2))
    catalog = catalog_of(path, FIELD, "grid", constants=("grid",))
    assert catalog.facts_of("grid")[:, 0].tolist() == [4] * 6
    first = catalog.stored(0, "grid")
    assert all(catalog.stored(unit, "grid") == first for unit in range(6))
    assert catalog.extents.known == 7


def test_attributes_are_looked_for_at_the_match_then_above_it(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["task"], file.attrs["seed"] = "of the file", 0
        file["grid"] = np.arange(4.0)
        file["grid"].attrs["step"] = 0.5
        for number in range(4):
            file[f"data/{number}/x"] = np.zeros(3)
            file[f"data/{number}/x"].attrs["units"] = f"m{number % 2}"
        file["data"].attrs["seed"] = 1
        file["data/2"].attrs["seed"] = 2
    asked = ("@task", "@seed", "@none", "data/*/x@units", "grid@step", "data/*@seed")
    catalog = catalog_of(path, FIELD, attrs=asked)
    common = {"@task": "of the file", "@seed": 1, "grid@step": 0.5}
    assert catalog.attrs_of(0) == {**common, "data/*/x@units": "m0"}
    assert catalog.attrs_of(2) == {**common, "data/*/x@units": "m0", "@seed": 2, "data/*@seed": 2}
    distinct, number_of = catalog.distinct_attrs
    assert len(distinct) == 3
    assert number_of.tolist() == [0, 1, 2, 1]


def test_a_dataset_that_is_a_series_has_its_own_attributes(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["seed"] = 7
        for number in range(3):
            file[f"t{number}"] = np.zeros(3)
        file["t1"].attrs["seed"] = 1
    assert [catalog_of(path, "t*", attrs=("@seed",)).attrs_of(unit)["@seed"] for unit in range(3)] == [
        7,
        1,
        7,
    ]


def test_values_that_must_be_the_same_have_a_digest_for_each_match(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in range(4):
            file[f"data/{number}/x"] = np.zeros(3)
            file[f"data/{number}/names"] = np.arange(3) + (number == 2)
    digests = [
        one.digest
        for one in units(path, FIELD, matched=(FIELD,), same=("data/*/names",)).annotations
        if one.digest
    ]
    assert len(digests) == 2


def test_damage_names_the_dataset(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in range(6):
            file[f"data/{number}/x"] = np.arange(100.0)
    size = os.path.getsize(path)
    with open(path, "r+b") as raw:
        raw.truncate(size - 900)
    with pytest.raises(BadFileError) as caught:
        scan(path, FIELD)
    assert str(path) in str(caught.value)


def test_a_long_scan_tells_its_progress(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in range(1100):
            file.create_group(f"data/{number}")
        file["data/7/x"] = np.zeros(3)
    told = []
    found = describe_file(str(path), ScanRequest((FIELD,), matched=(FIELD,)), READER, tell=told.append)
    assert list(found.matches.texts) == ["7"]
    assert told == [500 / 1100, 500 / 1100]


def test_other_processes_find_the_same(tmp_path):
    paths = []
    for name in "ab":
        paths.append(str(tmp_path / f"{name}.h5"))
        with h5py.File(paths[-1], "w") as file:
            for number in range(20):
                group = file.create_group(f"data/{number}")
                group["x"] = np.zeros((number, 2))
                group["y"] = np.arange(number * 1.0)
                group["y"].attrs["scale_factor"] = number + 0.5
                group.create_dataset("z", data=np.arange(number + 9.0), chunks=(3,), compression="gzip")
                group.attrs["n"] = number
    request = ScanRequest((FIELD, "data/*/y", "data/*/z"), ("@n",), matched=(FIELD,))
    moved = []
    by_workers = scan_by_workers(paths, request, processes=2, advance=moved.append)
    assert by_workers == [describe_file(path, request, READER) for path in paths]
    assert sum(moved) == pytest.approx(2)


def test_no_match_is_an_empty_table(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
    found = scan(path, FIELD).matches
    assert (list(found.texts), len(found.units), found.texts) == ([], 0, StringTable.of(()))
