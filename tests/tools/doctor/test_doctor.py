"""Findings about real files, each slow in one way; the fixes make them fast and change no value."""

import glob
import importlib.util
import json
import os
import re
import shutil
import subprocess

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from h5lightning import H5DataModule, H5Dataset
from h5lightning.errors import FieldError, MissingFieldError, NoMatchError, OptionError, UnsupportedFieldError
from h5lightning.options import Access, Field, Shuffle
from h5lightning.storage.codecs import FilterPipeline
from h5lightning.tools.doctor import diagnose_files
from h5lightning.tools.doctor.fix_programs import FileList

KIB = 1024
FIELDS = {"x": Field("x"), "y": Field("y")}
GZIP = {"compression": "gzip", "shuffle": True}
NEEDS_HDF5 = {"chunks": (6,), "scaleoffset": 0}
SMALL_CACHE = {"access": Access(cache_bytes=8 * KIB)}


def values(rows, shape=(4, 16), dtype="f4", seed=0):
    """Numbers that compress well."""
    return np.random.default_rng(seed).integers(0, 8, (rows, *shape)).astype(dtype)


def write(folder, rows=400, files=2, shape=(4, 16), dtype="f4", x=None, y=None, data=None):
    """Files with images and labels, stored with these options."""
    for number in range(files):
        with h5py.File(folder / f"{number:04}.h5", "w") as file:
            images = values(rows, shape, dtype, number) if data is None else data
            file.create_dataset("x", data=images, **(x or {}))
            file.create_dataset("y", data=np.arange(rows) % 5, **(y or {}))
            file["x"].attrs["unit"] = "m"
            file["group/other"] = np.arange(3)
            file.attrs["number"] = number


def chunked(rows, *shape):
    return {"chunks": (rows, *shape), **GZIP}


def write_virtual(folder):
    (folder / "parts").mkdir()
    layout = h5py.VirtualLayout((40, 8), "f4")
    for number in range(2):
        part = folder / "parts" / f"{number}.hdf5"
        with h5py.File(part, "w") as file:
            file["x"] = values(20, (8,), seed=number)
        layout[20 * number : 20 * number + 20] = h5py.VirtualSource(part, "x", (20, 8))
    with h5py.File(folder / "all.h5", "w") as file:
        file.create_virtual_dataset("x", layout)


def write_external(folder):
    values(40, (8,)).tofile(folder / "x.raw")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("x", (40, 8), "f4", external=[(folder / "x.raw", 0, h5py.h5f.UNLIMITED)])


def write_low_level(folder, tid, plist=None, data=None):
    with h5py.File(folder / "a.h5", "w") as file:
        data = values(40, (8,), "i4") if data is None else data
        did = h5d.create(file.id, b"x", tid, h5s.create_simple(data.shape), plist)
        did.write(h5s.ALL, h5s.ALL, data)


def write_converted(folder):
    tid = h5t.STD_I32LE.copy()
    tid.set_precision(20)
    write_low_level(folder, tid)


def write_compact(folder):
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5d.COMPACT)
    write_low_level(folder, h5t.STD_I32LE, plist)


def write_table(folder):
    rows = np.zeros(300, dtype=[("p x", "f8"), ("charge", "i4")])
    rows["p x"], rows["charge"] = np.arange(300), np.arange(300) % 3
    with h5py.File(folder / "a.h5", "w") as file:
        file["runs/events"] = rows


# Name → (what writes the files, arguments of the diagnosis, kind, severity).
SLOW = {
    "full order": (
        lambda folder: write(folder, x=chunked(64, 4, 16)),
        {"shuffle": Shuffle("full"), **SMALL_CACHE},
        "amplified reads",
        "slow",
    ),
    "contiguous beside chunked": (
        lambda folder: write(folder, rows=4000, shape=(16,), y=chunked(2000)),
        SMALL_CACHE,
        "contiguous beside chunked",
        "slow",
    ),
    "different chunk heights": (
        lambda folder: write(folder, rows=40_000, shape=(16,), x=chunked(200, 16), y=chunked(4000)),
        {"shuffle": Shuffle(window_bytes=1024 * KIB), "access": Access(cache_bytes=2048 * KIB)},
        "different chunk heights",
        "slow",
    ),
    "split rows": (lambda folder: write(folder, x=chunked(64, 1, 8)), {}, "split rows", "slow"),
    "few parts of rows": (lambda folder: write(folder, x=chunked(64, 4, 8)), {}, "split rows", "faster"),
    "split rows without filter": (
        lambda folder: write(folder, x={"chunks": (64, 1, 2)}),
        {},
        "split rows",
        "faster",
    ),
    "padded": (
        lambda folder: write(folder, rows=50, x={"maxshape": (None, 4, 16), **chunked(500, 4, 16)}),
        {},
        "padded chunks",
        "slow",
    ),
    "larger than the cache": (
        lambda folder: write(folder, x=chunked(200, 4, 16)),
        {"shuffle": Shuffle("none"), "access": Access(cache_bytes=32 * KIB)},
        "large chunks",
        "slow",
    ),
    "large": (
        lambda folder: write(folder, 5000, 1, (1024,), x=chunked(4500, 1024)),
        {},
        "large chunks",
        "faster",
    ),
    "no window": (
        lambda folder: write(folder, rows=4000, x=chunked(500, 4, 16)),
        {"shuffle": Shuffle(window_bytes=512 * KIB)},
        "small window",
        "slow",
    ),
    "small window": (
        lambda folder: write(folder, rows=4000, x=chunked(64, 4, 16)),
        {"shuffle": Shuffle(window_bytes=512 * KIB)},
        "small window",
        "faster",
    ),
    "one chunk": (
        lambda folder: write(folder, 500, shape=(1024,), x=chunked(500, 1024)),
        {},
        "one chunk per file",
        "faster",
    ),
    "small chunks": (
        lambda folder: write(folder, 2000, shape=(64,), x=chunked(2, 64)),
        {},
        "small chunks",
        "faster",
    ),
    "poor compression": (
        lambda folder: write(
            folder,
            data=np.random.default_rng(0).integers(0, 2**32, (400, 64), "u4"),
            x={"chunks": (64, 64), **GZIP},
        ),
        {},
        "poor compression",
        "faster",
    ),
    "float64": (lambda folder: write(folder, dtype="f8"), {"float32": True}, "float64", "faster"),
    "float64 in chunks": (
        lambda folder: write(folder, dtype="f8", x=chunked(64, 4, 16)),
        {"float32": True},
        "float64",
        "faster",
    ),
    "scaleoffset": (
        lambda folder: write(folder, dtype="i4", x={"chunks": (64, 4, 16), "scaleoffset": 0}),
        {},
        "only HDF5",
        "slow",
    ),
    "virtual": (write_virtual, {"fields": {"x": Field("x")}}, "only HDF5", "slow"),
    "virtual, guessed": (write_virtual, {"fields": None}, "only HDF5", "slow"),
    "external": (write_external, {"fields": {"x": Field("x")}}, "only HDF5", "slow"),
    "converted": (write_converted, {"fields": {"x": Field("x")}}, "only HDF5", "slow"),
    "bit fields": (
        lambda folder: write_low_level(folder, h5t.STD_B8LE, data=values(40, (8,), "u1")),
        {"fields": {"x": Field("x")}},
        "only HDF5",
        "slow",
    ),
    "compact": (write_compact, {"fields": {"x": Field("x")}}, "only HDF5", "faster"),
    "tiny files": (lambda folder: write(folder, 6, files=110), {}, "tiny files", "faster"),
}


def pattern_of(folder):
    return str(folder / "*.h5")


def findings_of(diagnosis, kind):
    return [finding for finding in diagnosis.findings if finding.kind == kind]


def diagnose(folder, fields=FIELDS, **options):
    return diagnose_files([pattern_of(folder)], fields, progress=False, **options)


def apply(fix, folder, monkeypatch):
    """Run the program in the folder of the files, check the originals, and return the folder of the new files."""
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.glob("*.*")}
    exec(compile(fix.python, "fix", "exec"), {})
    assert {path: path.read_bytes() for path in folder.glob("*.*")} == before
    (made,) = (folder / name for name in ("rewritten", "merged") if (folder / name).exists())
    return made


def content(folder, name="x"):
    """All values, file after file."""
    parts = []
    for path in sorted(glob.glob(pattern_of(folder))):
        with h5py.File(path) as file:
            parts.append(file[name][...])
    return np.concatenate(parts)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


# ── findings and fixes ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("make", "options", "kind", "severity"), SLOW.values(), ids=SLOW)
def test_slow_storage_is_found_and_fixed(data, monkeypatch, make, options, kind, severity):
    make(data)
    found = diagnose(data, **options)
    assert (kind, severity) in {(finding.kind, finding.severity) for finding in found.findings}
    assert not found.is_healthy
    before = content(data)
    fixed = apply(found.fix, data, monkeypatch)
    again = diagnose(fixed, **options)
    assert [(finding.kind, finding.text) for finding in again.findings if finding.severity != "fine"] == []
    assert again.is_healthy
    np.testing.assert_array_equal(content(fixed), before)


@pytest.mark.parametrize("name", ["split rows", "float64", "different chunk heights", "poor compression"])
def test_the_fix_of_one_finding_fixes_it(data, monkeypatch, name):
    make, options, kind, _ = SLOW[name]
    make(data)
    (finding,) = (finding for finding in diagnose(data, **options).findings if finding.kind == kind)
    again = diagnose(apply(finding.fix, data, monkeypatch), **options).findings
    assert not [finding for finding in again if finding.kind == kind and finding.severity != "fine"]


def test_rewriting_keeps_everything_else(data, monkeypatch):
    write(data, x=chunked(64, 1, 8))
    fixed = apply(diagnose(data).fix, data, monkeypatch)
    for number in range(2):
        with h5py.File(fixed / f"{number:04}.h5") as file:
            assert file.attrs["number"] == number
            assert file["x"].attrs["unit"] == "m"
            assert file["x"].chunks[1:] == (4, 16)
            assert file["group/other"][...].tolist() == [0, 1, 2]


def test_columns_of_a_table_become_datasets_beside_it(data, monkeypatch):
    write_table(data)
    fields = {name: Field("runs/events", member=name) for name in ("p x", "charge")}
    found = diagnose(data, fields)
    assert [finding.kind for finding in found.findings] == ["only HDF5", "only HDF5", "float64"]
    assert found.fix.h5repack == ""
    fixed = apply(found.fix, data, monkeypatch)
    columns = {"p": Field("runs/events_columns/p x"), "charge": Field("runs/events_columns/charge")}
    assert [finding.kind for finding in diagnose(fixed, columns).findings] == ["float64"]
    for name in ("p x", "charge"):
        np.testing.assert_array_equal(
            content(fixed, f"runs/events_columns/{name}"), content(data, "runs/events")[name]
        )
    np.testing.assert_array_equal(content(fixed, "runs/events"), content(data, "runs/events"))


def test_float64_stays_what_it_is_unless_asked(data, monkeypatch):
    write(data, dtype="f8")
    found = diagnose(data)
    (finding,) = found.findings
    assert (finding.kind, finding.fix, found.fix) == ("float64", None, None)
    assert finding.advice.startswith("Set dtype='float32' in the DataModule")
    write(data, dtype="f8", x=chunked(64, 1, 8))
    assert content(apply(diagnose(data).fix, data, monkeypatch)).dtype == "f8"


def test_too_many_files_for_the_limit(data):
    write(data, 200, files=30, shape=(64,))
    assert diagnose(data, access=Access(max_open_files=10)).findings == ()
    write(data, 200, files=30, shape=(64,), y=NEEDS_HDF5)
    (finding,) = findings_of(diagnose(data, access=Access(max_open_files=10)), "open files")
    assert (finding.kind, finding.severity, finding.files, finding.fix) == ("open files", "slow", 30, None)
    assert "67% of the samples" in finding.text
    assert "access={'max_open_files': 30}" in finding.advice
    assert not findings_of(diagnose(data, access=Access(max_open_files=30)), "open files")


@pytest.mark.parametrize(
    ("y", "severity"), [({}, "faster"), (NEEDS_HDF5, "slow")], ids=["direct", "only HDF5"]
)
def test_tiny_files_that_do_not_stay_open_are_slow_only_with_hdf5(data, y, severity):
    write(data, 6, files=110, y=y)
    (finding,) = findings_of(diagnose(data, access=Access(max_open_files=20)), "tiny files")
    assert finding.severity == severity


def test_a_window_that_the_cache_cannot_hold(data):
    write(data, rows=4000, x=chunked(50, 4, 16))
    loading = {"shuffle": Shuffle(window_bytes=1024 * KIB), "access": Access(cache_bytes=256 * KIB)}
    found = diagnose(data, **loading)
    (finding,) = (one for one in found.findings if one.severity != "fine")
    assert (finding.kind, finding.severity, finding.fix) == ("small cache", "slow", None)
    needed = int(re.search(r"'cache_bytes': (\d+)", finding.advice)[1])
    assert diagnose(data, **{**loading, "access": Access(cache_bytes=needed)}).is_healthy


@pytest.mark.parametrize("mode", ["full", "block", "none"])
@pytest.mark.parametrize("cache", [64, 320, 4096], ids=lambda cache: f"{cache}KiB")
def test_the_amplification_is_that_of_training(data, monkeypatch, mode, cache):
    """Count the chunks that are decoded for the batches of a DataModule, one read after the other."""
    write(data, rows=2000, x=chunked(40, 4, 16))
    loading = {"shuffle": Shuffle(mode, window_bytes=256 * KIB), "access": Access(cache_bytes=cache * KIB)}
    costs = [one.amplification for one in diagnose(data, measure=False, **loading).findings]
    expected = next(cost for cost in costs if cost).of(mode)
    decoded = []
    decode = FilterPipeline.decode
    monkeypatch.setattr(FilterPipeline, "decode", lambda *args: decoded.append(decode(*args)))
    module = H5DataModule(
        pattern_of(data), {"x": "x", "y": "y"}, split={"val": None, "test": None}, threads=0, **loading
    )
    module.prepare_data()
    module.setup()
    if mode == "block" and cache == 64:
        with pytest.raises(OptionError, match="mixes more than"):
            module.train_dataloader()
        return
    rows = sum(len(batch["x"]) for batch in module.train_dataloader())
    module.teardown()
    assert len(decoded) * 40 / rows == pytest.approx(expected, rel=0.2)


def test_worker_processes_decode_chunks_for_themselves(data):
    write(data, x=chunked(64, 4, 16))
    found = {finding.kind: finding for finding in diagnose(data, num_workers=4).findings}
    assert found["worker processes"].severity == "slow"
    assert found["worker processes"].amplification.block == pytest.approx(4 * 448 / 400)
    assert found["worker processes"].fix is None
    assert diagnose(data).is_healthy


def test_decoders_that_are_not_installed_are_named(data, monkeypatch):
    write(data, x={"chunks": (64, 4, 16), "compression": "lzf"})
    assert diagnose(data).is_healthy
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "imagecodecs" else find_spec(name)
    )
    found = diagnose(data)
    assert [(one.kind, one.advice) for one in found.findings if one.severity == "slow"] == [
        ("no codec", "pip install 'h5lightning[codecs]'")
    ]
    assert found.fix is None


def test_filters_without_a_fast_decoder(data, monkeypatch):
    write(data, x={"chunks": (64, 4, 16), **hdf5plugin.BZip2()})
    finding, *_ = diagnose(data).findings
    assert (finding.kind, finding.severity) == ("only HDF5", "slow")
    assert "is stored with bzip2, which only HDF5 decodes, with a plugin" in finding.text
    assert diagnose(apply(finding.fix, data, monkeypatch)).is_healthy


@pytest.mark.parametrize("name", ["Blosc", "Blosc2", "LZ4", "Zstd", "Bitshuffle"])
def test_the_filter_stays_what_it_is(data, monkeypatch, name):
    write(data, x={"chunks": (64, 2, 4), **getattr(hdf5plugin, name)()})
    fix = diagnose(data).fix
    assert f"'filter': '{name.lower()}'" in fix.python
    assert fix.h5repack == ""
    assert diagnose(apply(fix, data, monkeypatch)).is_healthy


@pytest.mark.skipif(shutil.which("h5repack") is None, reason="needs h5repack")
@pytest.mark.parametrize("name", ["split rows", "full order", "poor compression"])
def test_h5repack_fixes_it_too(data, tmp_path, name):
    make, options, *_ = SLOW[name]
    make(data)
    command = diagnose(data, **options).fix.h5repack
    before = {path: path.read_bytes() for path in data.glob("*.h5")}
    subprocess.run(["bash", "-ec", command], check=True, capture_output=True, timeout=60, cwd=tmp_path)
    fixed = tmp_path / "rewritten"
    assert diagnose(fixed, **options).is_healthy
    assert {path: path.read_bytes() for path in data.glob("*.h5")} == before
    np.testing.assert_array_equal(content(fixed), content(data))


@pytest.mark.parametrize(
    "name", ["float64", "virtual", "converted", "scaleoffset"], ids=["type", "virtual", "bits", "filter"]
)
def test_no_command_for_what_h5repack_cannot_do(data, name):
    make, options, *_ = SLOW[name]
    make(data)
    assert diagnose(data, **options).fix.h5repack == ""


# ── healthy files ────────────────────────────────────────────────────────────────────────────────────

HEALTHY = {
    "contiguous": {},
    "unfiltered chunks": {"chunks": (50, 4, 16)},
    "a row is a chunk": {"chunks": (1, 4, 16), **GZIP},
}


@pytest.mark.parametrize("storage", HEALTHY.values(), ids=HEALTHY)
@pytest.mark.parametrize("fields", [FIELDS, None], ids=["named", "guessed"])
def test_healthy_files_have_no_findings(data, storage, fields):
    write(data, x=storage)
    found = diagnose(data, fields)
    assert (found.findings, found.fix, found.is_healthy, found.mode) == ((), None, True, "full")


def test_good_chunks_are_fine_and_say_what_they_cost(data):
    write(data, x=chunked(50, 4, 16))
    found = diagnose(data, shuffle=Shuffle(window_bytes=4 * KIB), access=Access(cache_bytes=16 * KIB))
    fine = {finding.kind: finding for finding in found.findings if finding.severity == "fine"}
    assert found.mode == "block"
    cost = fine["amplified reads"].amplification
    # 16 chunks of 50 rows; a batch of 32 rows finds nearly all of them, and none in the cache, which holds one.
    touched = 16 * (1 - (1 - 1 / 16) ** 32)
    assert cost.full == pytest.approx(touched * 50 / 32, rel=1e-6)
    assert (cost.block, cost.none) == (1.0, 1.0)
    assert "num_workers=0" in fine["amplified reads"].advice


def test_whole_files_as_samples_are_not_amplified(data):
    for number in range(12):
        with h5py.File(data / f"{number}.h5", "w") as file:
            file.create_dataset("image", data=values(64, (64, 3), "u1"), **chunked(64, 64, 3))
            file["label"] = number % 3
    assert diagnose(data, None).findings == ()


def test_files_that_differ_are_counted_by_themselves(data):
    write(data, files=3, x=chunked(64, 1, 8))
    with h5py.File(data / "0003.h5", "w") as file:
        file["x"], file["y"] = values(400), np.arange(400)
    (finding,) = (one for one in diagnose(data).findings if one.kind == "split rows")
    assert finding.files == 3


def test_columns_in_many_datasets_are_one_field(data, monkeypatch):
    with h5py.File(data / "a.h5", "w") as file:
        for number in range(12):
            file[f"f{number:02}"] = np.arange(300.0)
    found = diagnose(data, None)
    assert [(one.kind, one.paths) for one in found.findings] == [("float64", ("f*",))]
    assert found.fix is None
    fixed = apply(diagnose(data, None, float32=True).fix, data, monkeypatch)
    assert diagnose(fixed, None).findings == ()


# ── measuring, errors, plain values ──────────────────────────────────────────────────────────────────


def test_a_row_alone_takes_longer_than_in_its_chunk(data):
    write(data, x=chunked(64, 1, 8))
    timed = [finding for finding in diagnose(data).findings if finding.measured]
    assert timed[0].measured.startswith("a row alone takes ")
    assert " one of 64 read together " in timed[0].measured
    assert len({finding.paths for finding in timed}) == len(timed)
    assert not any(finding.measured for finding in diagnose(data, measure=False).findings)


def test_opening_is_timed(data):
    write(data, 6, files=110)
    (finding,) = diagnose(data).findings
    assert finding.measured.startswith("the first row of a file takes ")


def test_without_measuring_no_value_is_read(data):
    """Only reading finds a chunk that cannot be decoded."""
    write(data, files=1, x=chunked(64, 1, 8))
    with h5py.File(data / "0000.h5") as file:
        places = []
        file["x"].id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
    with open(data / "0000.h5", "r+b") as raw:
        for offset, size in places:
            raw.seek(offset)
            raw.write(b"\xff" * size)
    assert not diagnose(data, measure=False).findings[0].measured
    assert diagnose(data).findings[0].measured.startswith("it cannot be read: ")


def test_why_the_direct_reader_leaves_a_dataset_to_hdf5_is_reported(data):
    """Only HDF5 distinguishes bit fields from integers."""
    write_low_level(data, h5t.STD_B8LE, data=values(40, (8,), "u1"))
    (finding,) = diagnose(data, {"x": Field("x")}).findings
    assert (finding.kind, finding.severity) == ("only HDF5", "slow")
    assert "'/x' holds bit fields: " in finding.text


def test_the_report_is_json(data):
    write(data, x=chunked(64, 1, 8))
    plain = json.loads(json.dumps(diagnose(data).to_plain()))
    assert plain["healthy"] is False
    assert plain["fields"] == {"x": "x", "y": "y"}
    first = plain["findings"][0]
    assert (first["kind"], first["severity"], first["files"], first["paths"]) == (
        "split rows",
        "slow",
        2,
        ["x"],
    )
    assert "rewrite_files(" in first["fix"]["python"]


def test_empty_rows_cost_nothing(data):
    write(data, shape=(0,), x={"chunks": (64, 2), "maxshape": (None, None), **GZIP})
    for fields in ({"x": Field("x")}, FIELDS):
        assert diagnose(data, fields).findings == ()


def test_a_bad_file_is_listed_and_the_others_are_diagnosed(data):
    write(data)
    (data / "bad.h5").write_bytes(b"no hdf5")
    found = diagnose(data)
    assert found.files == 2
    assert found.findings == ()


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"x": Field("z")}, MissingFieldError, "no file holds a dataset '/z'"),
        ({"x": Field("words")}, FieldError, "holds text"),
        ({"x": Field("one")}, FieldError, "is a scalar"),
        ({"x": Field(attr="a")}, FieldError, "at least one must have rows"),
        ({"x": Field("table")}, UnsupportedFieldError, r"choose one: Field\('table', member='a'\)"),
        ({"x": Field("table", member="z")}, MissingFieldError, "has no column 'z'"),
        ({"x": Field("table", member="s")}, UnsupportedFieldError, "no tensor can hold text"),
    ],
    ids=["missing", "text", "scalar", "no rows", "no column named", "no such column", "column of text"],
)
def test_fields_that_cannot_be_used(data, fields, error, words):
    with h5py.File(data / "a.h5", "w") as file:
        file["words"], file["one"], file["x"] = np.array([b"a"]), 1.0, np.zeros(4, "f4")
        file["table"] = np.zeros(4, [("a", "f4"), ("s", "S3")])
    with pytest.raises(error, match=words):
        diagnose(data, fields)


@pytest.mark.parametrize("what", ["nothing", "text", "damaged"])
def test_files_without_anything_to_diagnose(data, what):
    if what == "text":
        with h5py.File(data / "a.h5", "w") as file:
            file["words"] = np.array([b"a"])
    elif what == "damaged":
        (data / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(NoMatchError if what == "nothing" else FieldError):
        diagnose(data, None)


def test_fixed_files_give_the_same_batches(data, monkeypatch):
    write(data, x=chunked(64, 1, 8))

    def batch(folder):
        with_all = H5Dataset(pattern_of(folder), ["x", "y"])
        found = with_all.read_batch(np.arange(len(with_all)))
        with_all.close()
        return found

    before = batch(data)
    after = batch(apply(diagnose(data).fix, data, monkeypatch))
    assert all(np.array_equal(before[key], after[key]) for key in ("x", "y"))


def test_the_program_leaves_out_what_was_left_out(data, monkeypatch):
    write(data, files=3, x=chunked(64, 1, 8))
    patterns = [pattern_of(data), f"!{data / '0001.h5'}"]
    fixed = apply(diagnose_files(patterns, FIELDS, progress=False).fix, data, monkeypatch)
    assert sorted(path.name for path in fixed.iterdir()) == ["0000.h5", "0002.h5"]
    assert diagnose(fixed).is_healthy


# ── names ────────────────────────────────────────────────────────────────────────────────────────────

FAKE = """#!/bin/bash
# Takes the same words as h5repack, and copies the file.
printf '%s\\n' "${@:1:$#-2}" >>"$WORDS"
cp "${@: -2:1}" "${@: -1}"
"""
NAMES = {
    "quotes": 'it\'s "x"',
    "shell": "$(touch pwned) `touch pwned` ${HOME} \\ ; &",
    "wildcards": "a[1]*?",
    "controls": "a\x1b[2J\x9b\u202eb\nc\td\x7f",
    "unicode": "größe Δ 日本 🙂",
    "hydra": "${oc.env:HOME},x={y}",
    "dash": "-l",
    "undecodable": "a\udcffb",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_programs_and_commands_name_any_file_and_dataset(data, tmp_path, monkeypatch, name):
    """Both are run as they are printed; a script that takes the same words replaces h5repack."""
    monkeypatch.chdir(data)
    encoded = name.encode("utf-8", "surrogateescape")
    for file_name in (f"{name}.h5", f"{name}/{name}.h5"):
        os.makedirs(os.path.dirname(file_name) or ".", exist_ok=True)
        with h5py.File(os.fsencode(file_name), "w") as file:
            file.create_dataset(encoded, data=values(400), **chunked(64, 1, 8))
    before = {path: path.read_bytes() for path in data.rglob("*.h5")}
    fix = diagnose_files(
        [f"{name}.h5", f"{name}/{name}.h5"], {"x": Field(name)}, progress=False, measure=False
    ).fix
    assert all(line.isprintable() for text in (fix.python, fix.h5repack) for line in text.split("\n"))
    exec(compile(fix.python, "fix", "exec"), {})
    made = [data / "rewritten" / path.relative_to(data) for path in before]
    for path in made:
        with h5py.File(os.fsencode(path)) as file:
            assert file[encoded].chunks[1:] == (4, 16)
    if "," not in name and ":" not in name:
        shutil.rmtree(data / "rewritten")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "h5repack").write_text(FAKE, encoding="utf-8")
        (tmp_path / "bin" / "h5repack").chmod(0o755)
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "WORDS": str(tmp_path / "words"), "LC_ALL": "C.UTF-8"}
        subprocess.run(["bash", "-c", fix.h5repack], check=True, timeout=60, env=environment)
        assert all(path.exists() for path in made)
        assert os.fsencode(f"{name}:SHUF\n") in (tmp_path / "words").read_bytes()
    else:
        assert fix.h5repack == ""
    assert {path: path.read_bytes() for path in before} == before
    assert not (data / "pwned").exists()


def test_new_files_lie_outside_of_what_the_patterns_match(data, monkeypatch):
    monkeypatch.chdir(data)
    write(data, x=chunked(64, 1, 8))
    for pattern, into in (
        ("*.h5", "rewritten"),
        ("**/*.h5", f"{data}-rewritten"),
        (f"{data.parent}/**/*.h5", f"{data.parent}-rewritten"),
    ):
        fix = diagnose_files([pattern], FIELDS, progress=False, measure=False).fix
        assert f"into={into!r}," in fix.python
    everywhere = FileList(("/**/*.h5",), "/", ("a.h5",), "", 1, is_repackable=True)
    assert everywhere.folder("rewritten") == ".rewritten"


def test_no_command_for_files_with_gaps_or_sources(data):
    """It would write chunks that were never written, and would not find source files from another folder."""
    write(data, x=chunked(64, 1, 8))
    assert diagnose(data).fix.h5repack
    with h5py.File(data / "0000.h5", "r+") as file:
        file.create_dataset("gaps", (9,), "f4", chunks=(3,))
    assert diagnose(data).fix.h5repack == ""


def test_h5repack_keeps_datasets_that_may_grow(data):
    write(data, x={**chunked(64, 1, 8), "maxshape": (None, 4, 16)})
    command = diagnose(data, shuffle=Shuffle("full")).fix.h5repack
    assert "x:CHUNK=400x4x16" in command
    assert "CONTI" not in command
