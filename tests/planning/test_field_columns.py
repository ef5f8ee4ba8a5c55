"""Columns of tables as fields: arrays of numbers are delivered, the others are refused by their type."""

from contextlib import closing

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, H5Dataset, Windows
from h5lightning.errors import MissingFieldError, SchemaError, UnsupportedFieldError
from h5lightning.options import Access

ROWS = 60
KINDS = h5py.enum_dtype({"cat": 0, "dog": 1}, basetype="i1")
TABLE = np.dtype(
    [
        *(("index", "<i8"), ("site", "S4"), ("values", ">f8", (3,)), ("image", "u1", (4, 2))),
        *(("ok", "?", (2,)), ("wave", "<c8", (2,)), ("kind", KINDS), ("kinds", KINDS, (2,))),
        *(("inner", [("p", "f4"), ("q", "f4")]), ("note", h5py.string_dtype())),
    ]
)
NUMBERS = ("index", "values", "image", "ok", "wave", "kind", "kinds")
STORAGES = {
    "contiguous": {},
    "chunked": {"chunks": (16,)},
    "gzip": {"chunks": (16,), "compression": "gzip", "shuffle": True},
}


def table_of(rows=ROWS, dtype=TABLE, seed=0):
    rng = np.random.default_rng(seed)
    table = np.zeros(rows, dtype)
    table["note"] = "a remark"
    for name in set(dtype.names) - {"site", "inner", "note"}:
        table[name] = rng.integers(0, 2 if name[:4] in ("kind", "ok") else 100, table[name].shape)
    return table


def read(path, fields, rows, **options):
    """A batch."""
    with closing(H5Dataset(path, fields, **options)) as dataset:
        return dataset.read_batch(rows)


def write(path, table, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("df", data=table, **options)
    return str(path)


@pytest.fixture
def table(tmp_path):
    values = table_of()
    write(tmp_path / "a.h5", values)
    return str(tmp_path / "a.h5"), values


@pytest.mark.parametrize("options", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("reader", ["auto", "h5py"])
def test_columns_are_delivered_as_numpy_has_them(tmp_path, options, reader):
    values, rows = table_of(), [59, 0, 17, 17, 3]
    path = write(tmp_path / "a.h5", values, **options)
    fields = {name: Field("df", member=name) for name in NUMBERS}
    batch = read(path, fields, rows, reader=reader)
    windows = read(path, fields, [50, 2], samples=Windows(4), reader=reader)
    for name in NUMBERS:
        assert np.array_equal(batch[name], values[name][rows])
        assert np.array_equal(windows[name], [values[name][50:54], values[name][2:6]])


def test_tables_with_several_axes(tmp_path):
    values = table_of(24).reshape(6, 4)
    path = write(tmp_path / "a.h5", values, chunks=(2, 3), compression="gzip")
    found = read(path, {"x": Field("df", member="values")}, [5, 1])["x"]
    assert np.array_equal(found, values["values"][[5, 1]])
    assert found.shape == (2, 4, 3)


def test_a_column_as_a_constant(table, tmp_path):
    path, values = table
    with h5py.File(path, "a") as file:
        file["x"] = np.arange(5)
    fields = {"x": Field("x"), "grid": Field("df", member="values", constant=True)}
    found = read(path, fields, [0, 4])["grid"]
    assert np.array_equal(found, [values["values"]] * 2)


def test_a_column_in_another_type_and_in_steps(table):
    path, values = table
    fields = {
        "x": Field("df", member="values", steps=(0, 2), dtype="float32"),
        "y": Field("df", member="values", steps=(2, 3)),
    }
    batch = read(path, fields, [7], samples=Windows(3))
    assert batch["x"].dtype == torch.float32
    assert np.array_equal(batch["x"][0], values["values"][7:9])
    assert np.array_equal(batch["y"][0], values["values"][9:10])


@pytest.mark.timeout(120)
def test_worker_processes_deliver_arrays(table):
    path, values = table
    dm = H5DataModule(path, {"x": Field("df", member="image")}, batch_size=7, num_workers=1, shuffle="none")
    dm.prepare_data()
    dm.setup()
    found = np.concatenate([batch["x"].numpy() for batch in dm.train_dataloader()])
    dm.teardown()
    assert np.array_equal(found, values["image"][: len(found)])
    assert len(found) >= 48
    assert dm.sample_spec["x"].shape == (4, 2)


def test_names_of_an_enumeration_are_the_classes(table):
    path, _ = table
    fields = {"y": Field("df", member="kind"), "z": Field("df", member="kinds")}
    with closing(H5Dataset(path, fields)) as dataset:
        assert dataset.field_spec["y"].classes == ("cat", "dog")
        assert dataset.field_spec["z"].classes == ("cat", "dog")


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────

REFUSED = {
    "site": "text of 4 bytes",
    "note": "text of variable length",
    "inner": "table {p: <f4, q: <f4}",
}


@pytest.mark.parametrize(("member", "type_text"), REFUSED.items(), ids=REFUSED)
def test_columns_without_numbers_are_refused_by_their_type(table, member, type_text):
    path, _ = table
    with pytest.raises(UnsupportedFieldError) as caught:
        H5Dataset(path, {"x": Field("df", member=member)})
    message = str(caught.value)
    assert f"field 'x': '/df' in {path}: the column {member!r} ({type_text}) " in message
    assert "Columns that can be fields: index: <i8, values: (3,)>f8, image: (4, 2)|u1" in message


def test_an_unknown_column_names_the_nearest(table):
    with pytest.raises(MissingFieldError, match="has no column 'value'; did you mean 'values'"):
        H5Dataset(table[0], {"x": Field("df", member="value")})


def test_a_table_without_a_chosen_column_lists_all(table):
    with pytest.raises(UnsupportedFieldError) as caught:
        H5Dataset(table[0], {"x": Field("df")})
    assert "with the columns index, values, image, ok, wave, kind, kinds (and site: text of 4 bytes" in str(
        caught.value
    )


# ── several files ────────────────────────────────────────────────────────────────────────────────────


def changed(name, dtype):
    return np.dtype([(other, dtype if other == name else TABLE[other]) for other in TABLE.names])


def read_both(tmp_path, other, member, **options):
    write(tmp_path / "a.h5", table_of())
    write(tmp_path / "b.h5", table_of(dtype=other, seed=1))
    return read(str(tmp_path / "*.h5"), {"x": Field("df", member=member)}, [0, ROWS], **options)["x"]


@pytest.mark.parametrize("other", [changed("site", "S9"), changed("index", "<i4"), changed("image", "f4")])
def test_other_columns_may_differ(tmp_path, other):
    found = read_both(tmp_path, other, "values")
    assert np.array_equal(found, [table_of()["values"][0], table_of(dtype=other, seed=1)["values"][0]])


@pytest.mark.parametrize(
    ("other", "member", "words"),
    [
        (changed("values", (">f8", (4,))), "values", "has rows of shape (4,), expected (3,)"),
        (changed("values", ("S8", (3,))), "values", "the column 'values' ((3,)text of 8 bytes)"),
        (
            changed("kind", h5py.enum_dtype({"dog": 0, "cat": 1}, basetype="i1")),
            "kind",
            "has categories [dog, cat], expected [cat, dog]",
        ),
        (
            changed("kinds", (h5py.enum_dtype({"dog": 0, "cat": 1}, basetype="i1"), (2,))),
            "kinds",
            "has categories [dog, cat], expected [cat, dog]",
        ),
    ],
    ids=["length", "text", "categories", "categories of arrays"],
)
def test_the_wanted_column_must_agree(tmp_path, other, member, words):
    with pytest.raises((SchemaError, UnsupportedFieldError)) as caught:
        read_both(tmp_path, other, member)
    assert words in str(caught.value)
    assert "b.h5" in str(caught.value)


def test_files_that_differ_in_the_wanted_column_can_be_left_out(tmp_path):
    write(tmp_path / "c.h5", table_of(seed=2))
    other = changed("values", (">f8", (4,)))
    access = Access(on_bad_file="skip", max_bad_fraction=0.5)
    found = read_both(tmp_path, other, "values", access=access)
    assert np.array_equal(found[1], table_of(seed=2)["values"][0])


def test_a_column_that_one_file_lacks(tmp_path):
    other = np.dtype([(name, TABLE[name]) for name in TABLE.names if name != "ok"])
    with pytest.raises(MissingFieldError, match=r"b\.h5 has no column 'ok'"):
        read_both(tmp_path, other, "ok")
