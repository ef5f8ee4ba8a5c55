"""From paths with a ``*`` to an index of series, and what is said where that is not possible."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from h5lightning.errors import (
    FieldError,
    MissingFieldError,
    OptionError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.options import Access, Field, Rows, Whole, Windows
from h5lightning.storage.survey import survey

X, ACTIONS = "data/*/obs/x", "data/*/actions"
FIELDS = {"x": Field(X), "a": Field(ACTIONS)}
SKIP = Access(on_bad_file="skip", max_bad_fraction=0.5)


def write(path, demos=60):
    with h5py.File(path, "w") as file:
        file["grid"] = np.arange(4.0)
        file.attrs["task"] = "lift"
        for number in range(demos):
            group = file.create_group(f"data/demo_{number}")
            group["obs/x"] = np.full((5 + number, 3), number, "f4")
            group["actions"] = np.full((5 + number, 2), number, "f4")
            group.attrs["lr"] = float(number)
        if demos:
            file["data/demo_1"].attrs["task"] = "place"
    return path


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "a.h5")
    write(tmp_path / "b.h5")
    return tmp_path


def look(folder, fields=FIELDS, samples=None, access=None, **options):
    return survey(str(folder / "*.h5"), fields, samples or Rows(), access=access or Access(), **options)


def message(error, *args, **options):
    with pytest.raises(error) as caught:
        look(*args, **options)
    text = str(caught.value)
    assert len(text) < 700
    return text


def test_series_are_counted_named_and_have_values(folder):
    fields = {**FIELDS, "grid": Field("grid", constant=True), "lr": Field(attr="lr")}
    found = look(folder, fields, Windows(4), keep_together="attr:task")
    index = found.index
    assert (len(found.catalog), found.catalog.unit_count) == (2, 120)
    assert index.series_rows.tolist() == [*range(5, 65)] * 2
    assert [index.series_name(number) for number in (0, 2, 10, 60)] == [
        "demo_0",
        "demo_2",
        "demo_10",
        "demo_0",
    ]
    assert found.labels[:3] == ("lift", "place", "lift")
    assert found.fields.plans[3].values.tolist() == [float(number) for number in range(60)] * 2
    assert found.fields.plans[2].spec.shape == (4,)


def test_one_text_in_all_fields(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        del file["data/demo_7/actions"]
    assert message(MissingFieldError, folder).startswith(
        f"field 'a': series 'demo_7' of {folder}/b.h5 holds no dataset '/data/demo_7/actions', which 59 of 60 series "
        "of this file hold. Each series needs all fields with rows: "
    )
    (skipped,) = look(folder, access=SKIP).catalog.skipped
    assert (skipped.name, skipped.reason) == ("b.h5", "series 'demo_7': holds no dataset '/data/*/actions'")


def test_fields_of_different_places_need_the_same_text(folder):
    with h5py.File(folder / "a.h5", "a") as file, h5py.File(folder / "b.h5", "a") as other:
        for one in (file, other):
            for number in range(60):
                one[f"labels/{number}/y"] = np.zeros(5 + number)
            one["labels/60/y"] = np.zeros(3)
    fields = {"x": Field("data/demo_*/obs/x"), "y": Field("labels/*/y")}
    assert message(MissingFieldError, folder, fields).startswith(
        f"field 'x': series 'demo_60' of {folder}/a.h5 holds no dataset '/data/demo_60/obs/x', which 60 of 61 series"
    )


def test_different_lengths_name_the_series(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        del file["data/demo_9/actions"]
        file["data/demo_9/actions"] = np.zeros((99, 2), "f4")
    assert message(SchemaError, folder).startswith(
        f"in series 'demo_9' of {folder}/b.h5 '/data/*/actions' has 99 rows and '/data/*/obs/x' has 14: "
    )
    (skipped,) = look(folder, access=SKIP).catalog.skipped
    assert skipped.reason.startswith("series 'demo_9': holds different numbers of rows: '/data/*/obs/x' 14, ")


def test_different_shapes_name_both_series(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        del file["data/demo_9/actions"]
        file["data/demo_9/actions"] = np.zeros((14, 3), "f4")
    text = message(SchemaError, folder)
    assert "series 'demo_9' of " in text
    assert "(1 of 120 series have this layout)" in text


def test_a_file_with_many_bad_series_is_left_out_once(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        for number in range(30):
            del file[f"data/demo_{number}/actions"]
    (skipped,) = look(folder, access=SKIP).catalog.skipped
    assert skipped.reason == "series 'demo_0': holds no dataset '/data/*/actions'"


def test_a_series_without_rows_has_no_samples(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        for name in ("obs/x", "actions"):
            width = file[f"data/demo_3/{name}"].shape[1]
            del file[f"data/demo_3/{name}"]
            file[f"data/demo_3/{name}"] = np.zeros((0, width), "f4")
    assert look(folder).index.series_rows[63] == 0


def test_links_are_refused_with_their_path(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        file["data/latest"] = h5py.SoftLink("/data/demo_3")
    assert message(UnsupportedFieldError, folder) == (
        f"field 'x': '/data/*/obs/x' in series 'latest' of {folder}/b.h5 is reached through the soft link "
        "'/data/latest' to '/data/demo_3': name the data by that path"
    )
    assert look(folder, {"x": Field("data/demo_*/obs/x")}).catalog.unit_count == 120


def test_a_place_behind_a_link_is_refused_too(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        file.move("data", "real")
        file["data"] = h5py.SoftLink("/real")
    assert message(MissingFieldError, folder, {"x": Field(X)}) == (
        f"'/data/*/obs/x' matches no dataset in {folder}/b.h5: '/data' is reached through the soft link '/data' to "
        "'/real': name the data by that path"
    )


FAMILY = (
    "'/data/*' is a family of 60 groups (demo_0 … demo_59); Field('data/*/actions'), Field('data/*/obs/x')"
)
FAMILIES = f"{FAMILY}: a '*' makes each one a series"
NEAR = "; did you mean 'data/*/obs/x'?"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Field("data/*/ob/x"), "'/data/*/ob/x' matches no dataset in {}" + NEAR),
        (Field("dat/*/x"), "'/dat/*/x' matches no dataset in {}, which holds no group '/dat'" + NEAR),
        (Field("data/*"), "'/data/*' matches no dataset in {}. " + FAMILIES),
        (Field("grid/*"), "'/grid/*' matches no dataset in {}, where '/grid' is a dataset. " + FAMILIES),
    ],
)
def test_no_match_says_what_the_file_holds(folder, field, expected):
    text = message(MissingFieldError, folder, {"x": field})
    assert text == expected.format(f"{folder}/a.h5") + " (2 of 2 files are bad)"


def test_a_file_without_a_match_is_left_out(folder):
    write(folder / "c.h5", demos=0)
    assert "holds no group '/data'" in message(MissingFieldError, folder)
    (skipped,) = look(folder, access=SKIP).catalog.skipped
    assert skipped.name == "c.h5"


def test_families_are_told_as_such(folder):
    assert message(UnsupportedFieldError, folder, {"x": Field("data")}).endswith(
        f"is a group. {FAMILY}: a '*' makes each one a series"
    )
    assert message(FieldError, folder, None).endswith(f"{FAMILY}: a '*' makes each one a series")
    assert message(MissingFieldError, folder, {"x": Field("data/actions")}).endswith(
        "did you mean 'data/*/actions'?"
    )
    text = message(MissingFieldError, folder, {"x": Field(X), "y": Field("data/*/action")})
    assert text.endswith(
        "'/data/demo_0/action', and neither do the other 59 series of this file; did you mean 'data/*/actions'?"
    )


def test_fields_with_and_without_a_star(folder):
    assert message(OptionError, folder, {"x": Field(X), "g": Field("grid")}).startswith(
        "field 'g': 'grid' has no '*', but field 'x' has one ('data/*/obs/x'), which makes each match a series. If all "
        "series of a file share this dataset, use Field('grid', constant=True)"
    )
    only = {"g": Field("grid"), "x": Field(X, constant=True)}
    assert "but no field with rows does" in message(OptionError, folder, only)
    with pytest.raises(OptionError, match=r"one '\*'"):
        Field("data/*/obs/*")


def test_a_lacking_attribute_names_the_series_and_the_nearest(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        del file["data/demo_4"].attrs["lr"]
        file["data/demo_4"].attrs["lrs"] = 1
    fields = {"x": Field(X), "lr": Field(attr="lr")}
    assert message(MissingFieldError, folder, fields) == (
        f"field 'lr': series 'demo_4' of {folder}/b.h5 lacks the attribute 'lr'; did you mean 'lrs'?"
    )
    (skipped,) = look(folder, fields, access=SKIP).catalog.skipped
    assert skipped.reason == "series 'demo_4': lacks the attribute 'lr'"


def test_whole_samples_of_different_lengths(folder):
    assert "(and 117 more series)" in message(SchemaError, folder, samples=Whole())


def test_columns_of_series_in_another_order(folder):
    for name in "ab":
        with h5py.File(folder / f"{name}.h5", "a") as file:
            for number in range(60):
                columns = ["p", "q", "r"] if (name, number) != ("b", 3) else ["p", "r", "q"]
                file[f"data/demo_{number}/obs/x"].attrs["columns"] = columns
    text = message(SchemaError, folder)
    assert f"in series 'demo_3' of {folder}/b.h5 the labels of axis 1 of '/data/*/obs/x'" in text
    assert "row 1: 'r', expected 'q'" in text


def test_constants_that_must_be_the_same_in_each_series(folder):
    for name in "ab":
        with h5py.File(folder / f"{name}.h5", "a") as file:
            for number in range(60):
                file[f"data/demo_{number}/names"] = np.arange(3) + ((name, number) == ("b", 3))
    text = message(SchemaError, folder, access=Access(same=["data/*/names"]))
    assert "'/data/*/names' in series 'demo_3' of " in text
    assert "row 0: 1, expected 0" in text


def test_predict_files_may_lack_a_field_in_all_series(folder, tmp_path):
    with h5py.File(tmp_path / "new.hdf5", "w") as file:
        for number in range(3):
            file[f"data/demo_{number}/obs/x"] = np.zeros((4, 3), "f4")
    files = {"train": str(folder / "*.h5"), "predict": str(tmp_path / "new.hdf5")}
    found = survey(files, FIELDS, Rows(), access=Access())
    assert [plan.key for plan in found.predict_fields.plans] == ["x"]
    assert found.index.series_rows[found.catalog.units_of(found.roles["predict"])].tolist() == [4, 4, 4]


def test_rows_of_chunks_are_those_of_each_series(folder):
    with h5py.File(folder / "b.h5", "a") as file:
        del file["data/demo_3/actions"]
        values = np.zeros((8, 2), "f4")
        file.create_dataset("data/demo_3/actions", data=values, chunks=(4, 2), compression="gzip")
    found = look(folder, {"a": Field(ACTIONS)}, Windows(2))
    chunk_rows = found.row_layout().chunk_rows
    assert (chunk_rows.shape, chunk_rows[63], chunk_rows.sum()) == ((120,), 4, 123)
