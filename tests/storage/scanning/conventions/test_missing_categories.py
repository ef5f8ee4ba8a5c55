"""Rows without a value, as AnnData and pandas write them, and lookalikes."""

import h5py
import numpy as np
import pytest
from h5py import h5d

from h5lightning.planning.catalog.annotations import NOTHING, Found
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.annotator import Annotator
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.scanned_dataset import ScannedDataset

VALUES = ValueReader(reads_text=True)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def annotate(file, path):
    info = DatasetInfo.of(h5d.open(file.id, path.encode()))
    return Annotator(file.id, VALUES).annotate(ScannedDataset(file.id, path, info, VALUES))


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────


def write_codes(file, codes, names=(b"a", b"b", b"c"), said="categorical"):
    file["g/codes"], file["g/categories"] = codes, np.asarray(names)
    if said:
        file["g"].attrs["encoding-type"] = said


@pytest.mark.parametrize(
    ("codes", "what"),
    [
        (np.array([0, 2, -1, -1], "i1"), "holds -1"),
        (np.array([0, 2, 3, 1], "u1"), "holds 3"),
        (np.array([0, 2, np.nan, 1]), "holds nan"),
    ],
    ids=["minus one", "beyond", "not a number"],
)
def test_codes_without_a_category(file, codes, what):
    write_codes(file, codes)
    assert annotate(file, "g/codes").missing == Found(2, f"{what}: it has no category")


@pytest.mark.parametrize("said", ["categorical", ""], ids=["said", "by name"])
@pytest.mark.parametrize("codes", [[0, 2, 1], []], ids=["some", "none"])
def test_codes_that_all_have_a_category_need_no_check_while_reading(file, codes, said):
    write_codes(file, np.array(codes, "i1"), said=said)
    found = annotate(file, "g/codes")
    assert found.missing is None
    assert found.encoding is None or not found.encoding.is_masking


def test_codes_by_reference(file):
    file["obs/kind"] = np.array([0, -1], "i1")
    file["obs/__categories/kind"] = ["a", "b"]
    file["obs/kind"].attrs["categories"] = file["obs/__categories/kind"].ref
    assert annotate(file, "obs/kind").missing == Found(1, "holds -1: it has no category")


def test_names_of_another_kind_show_that_numbers_are_codes(file):
    write_codes(file, np.array([1, -1], "i1"), names=[10, 20], said="")
    assert annotate(file, "g/codes").missing == Found(1, "holds -1: it has no category")


@pytest.mark.parametrize("codes", [[0, 100], [-5, 1]], ids=["beyond", "below"])
def test_numbers_that_are_no_codes_stay_numbers(file, codes):
    write_codes(file, np.array(codes), said="")
    assert annotate(file, "g/codes").missing is None


def test_latent_codes_are_no_categories(file):
    write_codes(file, np.full((3, 8), -1, "i2"), said="")
    assert annotate(file, "g/codes") is NOTHING


# ── masks ────────────────────────────────────────────────────────────────────────────────────────────


def write_masked(file, mask, said="nullable-integer", values=(1, 2, 3, 4), name="values"):
    file[f"g/{name}"], file["g/mask"] = np.asarray(values), np.asarray(mask)
    if said:
        file["g"].attrs["encoding-type"] = said


MASKED = [False, True, True, False]


@pytest.mark.parametrize("said", ["nullable-integer", "nullable-boolean", ""])
def test_rows_that_the_mask_calls_missing(file, said):
    write_masked(file, MASKED, said)
    assert annotate(file, "g/values").missing == Found(1, "is missing, as '/g/mask' beside it says")
    assert annotate(file, "g/mask") is NOTHING


def test_all_rows_may_be_missing_where_it_is_said(file):
    write_masked(file, [True] * 4)
    assert annotate(file, "g/values").missing is not None


LOOKALIKES = {
    "nothing is masked": {"mask": [False] * 4},
    "nothing is masked, nothing said": {"mask": [False] * 4, "said": ""},
    "all are valid": {"mask": [True] * 4, "said": ""},
    "said to be something else": {"mask": MASKED, "said": "dict"},
    "another length": {"mask": MASKED[:3], "said": ""},
    "numbers": {"mask": [0, 1, 1, 0], "said": ""},
    "images": {"mask": np.eye(4, dtype=bool), "said": "", "values": np.zeros((4, 4))},
    "another name": {"mask": MASKED, "said": "", "name": "image"},
}


@pytest.mark.parametrize("options", LOOKALIKES.values(), ids=LOOKALIKES)
def test_masks_that_say_nothing(file, options):
    write_masked(file, **options)
    assert annotate(file, f"g/{options.get('name', 'values')}") is NOTHING


def test_a_mask_that_is_not_read_is_no_promise(file):
    file["g/values"] = np.arange(4)
    file["g"].attrs["encoding-type"] = "nullable-integer"
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((2,))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    bools = h5py.h5t.py_create(np.dtype("?"))
    h5d.create(file["g"].id, b"mask", bools, h5py.h5s.create_simple((4,)), plist)
    assert annotate(file, "g/values").missing == Found(
        0,
        "may be missing: '/g/mask', which says so, is stored with zstd or large, so that a scan does not read it",
    )


# ── columns of tables ────────────────────────────────────────────────────────────────────────────────


def test_columns_of_legacy_tables(file):
    obs = np.zeros(4, [("index", h5py.string_dtype()), ("kind", "i1"), ("site", "i1"), ("n", "i8")])
    obs["index"], obs["kind"], obs["site"], obs["n"] = "c", [0, 1, 1, -1], [0, 1, 0, 1], [5, -1, 0, 0]
    file["obs"] = obs
    for name in ("kind", "site", "n"):
        file[f"uns/{name}_categories"] = ["a", "b"]
    found = annotate(file, "obs")
    assert found.missing is None
    assert found.missing_columns == (Found(3, "holds -1: it has no category", "kind"),)


def test_columns_of_their_own_in_legacy_groups(file):
    file["obs/kind"] = np.array([0, -1], "i1")
    file["uns/kind_categories"] = ["a", "b"]
    assert annotate(file, "obs/kind").missing == Found(1, "holds -1: it has no category")


def test_columns_of_pandas(file):
    table = np.zeros(3, [("index", "<i8"), ("c", "i1"), ("values_block_0", "i1", (1,))])
    table["c"], table["values_block_0"] = [0, -1, 1], [[0], [1], [7]]
    file["df/table"] = table
    for name in ("c", "values_block_0"):
        file["df/table"].attrs[f"{name}_meta"] = np.bytes_(b"category")
        file[f"df/meta/{name}/meta/table"] = np.array(
            [(0, b"x"), (1, b"y")], [("index", "<i8"), ("values", "S1")]
        )
    assert annotate(file, "df/table").missing_columns == (
        Found(1, "holds -1: it has no category", "c"),
        Found(2, "holds 7: it has no category", "values_block_0"),
    )


def test_tables_without_codes_say_nothing(file):
    file["obs"] = np.zeros(3, [("kind", "i1"), ("x", "f4")])
    file["df/table"] = np.full(3, -1, [("kind", "i1"), ("x", "f4")])
    assert annotate(file, "obs") is NOTHING
    assert annotate(file, "df/table") is NOTHING


@pytest.mark.parametrize(("said", "row"), [("nullable-integer", 1), (None, None)])
def test_a_mask_of_integers_counts_where_the_group_says_what_it_is(file, said, row):
    file["g/values"], file["g/mask"] = np.arange(3), np.array([0, 1, 0], "u1")
    if said:
        file["g"].attrs["encoding-type"] = said
    missing = annotate(file, "g/values").missing
    assert (missing and missing.row) == row
