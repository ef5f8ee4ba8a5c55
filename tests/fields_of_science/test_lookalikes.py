"""Files that only look as if they followed a convention: they are read as stored, and `check` passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from h5lightning import Field, H5Dataset, Windows
from h5lightning.options import Split
from h5lightning.tools.check import CheckSettings, check_files

pytestmark = pytest.mark.timeout(60)
ROWS = 12
QUICK = CheckSettings(
    ranks=[1], workers=[0], batch_size=6, batches=1, resumptions=1, epochs=1, samples_per_file=4
)
TEXT = h5py.string_dtype()


@dataclass(frozen=True)
class Lookalike:
    """What to read from the files of a layout.

    Args:
        fields: sample key → path or `Field`.
        windows: whether windows of rows may be read, too.
        checked: whether `check` passes; it may report values that end in zeros.
    """

    fields: Mapping[str, str | Field]
    windows: bool = True
    checked: bool = True


Layout = Callable[[list[h5py.File]], Lookalike]
LAYOUTS: dict[str, Layout] = {}


def layout(function: Layout) -> Layout:
    """Add a layout: a function that fills two open files and returns what to read from them."""
    assert function.__name__ not in LAYOUTS, function.__name__
    LAYOUTS[function.__name__] = function
    return function


def floats(number: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(ROWS, *shape)).astype("f4") + 5


def with_attrs(name: str, values: np.ndarray, **attrs: Any) -> Layout:
    def fill(files: list[h5py.File]) -> Lookalike:
        for file in files:
            file.create_dataset("x", data=values).attrs.update(attrs)
        return Lookalike({"x": "x"})

    fill.__name__ = name
    return layout(fill)


def with_neighbour(name: str, neighbour: str, values: Any, rows: np.ndarray | None = None) -> Layout:
    """Rows of values, and another dataset that is not a table of episodes."""

    def fill(files: list[h5py.File]) -> Lookalike:
        for number, file in enumerate(files):
            file["x"] = floats(number, 3) if rows is None else rows
            file[neighbour] = values
        return Lookalike({"x": "x"})

    fill.__name__ = name
    return layout(fill)


# ── attributes that pack nothing and mask nothing ────────────────────────────────────────────────────

COUNTS = np.arange(ROWS * 3, dtype="i2").reshape(ROWS, 3) - 7
REALS = floats(9, 3)
WITH_NAN = np.where(REALS > 5.5, np.float32("nan"), REALS)

with_attrs("scale_of_one_and_offset_of_zero", COUNTS, scale_factor=1.0, add_offset=0.0)
with_attrs("scale_of_one_as_float32", COUNTS, scale_factor=np.float32(1), add_offset=np.float32(0))
with_attrs("scale_of_one_as_integer", COUNTS, scale_factor=np.int32(1), add_offset=np.int16(0))
with_attrs("scale_of_one_in_an_array", COUNTS, scale_factor=np.array([1.0]), add_offset=np.array([0.0]))
with_attrs("scale_of_one_alone", COUNTS, scale_factor=1.0)
with_attrs("offset_of_minus_zero", REALS, add_offset=-0.0)
with_attrs("scale_as_a_text", COUNTS, scale_factor="1 pixel = 2 um")
with_attrs("offset_without_a_unit", COUNTS, offset=5)
with_attrs("offset_of_a_crop", REALS, offset=np.array([10, 20, 30]), resolution=np.array([4.0, 4.0, 4.0]))
with_attrs("conversion_as_a_text", REALS, conversion="ADU to electrons")
with_attrs("conversion_without_a_unit", REALS, conversion=0.5)
with_attrs("conversion_of_one", COUNTS, unit="volts", conversion=1.0, offset=0.0)
with_attrs("conversion_of_one_as_float32", COUNTS, unit="volts", conversion=np.float32(1))
with_attrs("units_alone", REALS, units="m s-1", long_name="wind")
with_attrs("unit_alone", REALS, unit="volts")
with_attrs("fill_value_of_nan_that_occurs", WITH_NAN, _FillValue=np.float32("nan"))
with_attrs("missing_value_of_nan_that_occurs", WITH_NAN, missing_value=np.float32("nan"))
with_attrs("nan_without_a_fill_value", WITH_NAN, _FillValue=np.float32(1e20))
with_attrs("fill_value_of_nan", REALS, _FillValue=np.float32("nan"))
with_attrs("fill_value_of_nan_in_an_array", REALS, _FillValue=np.array([np.nan], "f4"))
with_attrs("fill_value_that_does_not_occur", COUNTS, _FillValue=np.int16(-32767))
with_attrs("fill_value_of_floats_that_does_not_occur", REALS, _FillValue=np.float32(1e20))
with_attrs("missing_value_that_does_not_occur", COUNTS, missing_value=np.array([-999, 999], "i2"))
with_attrs("missing_value_beyond_the_type", COUNTS, missing_value=1e20)
with_attrs("missing_value_of_another_type", COUNTS, missing_value=0.5)
with_attrs("missing_value_as_a_text", REALS, missing_value="n/a")
with_attrs("valid_range_of_all_values", COUNTS, valid_range=np.array([-7, 28], "i2"))
with_attrs("valid_min_and_max_of_all_values", REALS, valid_min=np.float32(-99), valid_max=np.float32(99))
with_attrs("valid_range_as_a_text", COUNTS, valid_range="0 to 10")
with_attrs("signed_bytes", COUNTS.astype("i1"), _Unsigned="false")
with_attrs("bytes_without_unsigned", COUNTS.astype("i1"), valid_min=np.int8(-128))
with_attrs("valid_range_without_bounds", REALS, valid_range=np.array([-np.inf, np.inf], "f4"))
with_attrs("valid_max_of_the_largest_value", COUNTS, valid_max=np.int16(28), valid_min=np.int16(-7))
with_attrs("offset_with_units", REALS, offset=5.0, units="mm")
with_attrs("conversion_with_units", REALS, conversion=25.4, units="mm")
with_attrs("offset_of_zero_in_integers", COUNTS, unit="V", offset=0, resolution=-1.0)
with_attrs("scale_of_one_for_each_column", COUNTS, scale_factor=np.ones(3))
with_attrs("fill_value_as_a_text", COUNTS, _FillValue="")
with_attrs("fill_value_of_nan_for_integers", COUNTS, _FillValue=np.nan)
with_attrs("fill_value_beyond_the_type", COUNTS.astype("u1"), _FillValue=np.int16(-9999))
with_attrs("unsigned_that_are_said_to_be", COUNTS.astype("u1"), _Unsigned="true")
with_attrs("floats_that_are_said_to_be_unsigned", REALS, _Unsigned="true")
with_attrs("attributes_without_a_value", REALS, scale_factor=h5py.Empty("f8"), units=h5py.Empty("S1"))
with_attrs("fill_of_netcdf_in_other_files", np.where(COUNTS == 3, -32767, COUNTS).astype("i2"), units="m")
with_attrs("table_of_pytables", COUNTS, CLASS="CARRAY", VERSION="1.1", TITLE="", FLAVOR="numpy")
with_attrs("flags_with_meanings", COUNTS, flag_values=np.arange(3, dtype="i2"), flag_meanings="sea land ice")
with_attrs("categories_as_a_text", COUNTS[:, 0], categories="cat, dog")
with_attrs("encoding_of_an_array", REALS, **{"encoding-type": "array", "encoding-version": "0.2.0"})


@layout
def fill_value_of_hdf5_that_occurs(files):
    for file in files:
        file.create_dataset("x", data=COUNTS, fillvalue=-1)
    return Lookalike({"x": "x"})


@layout
def packing_of_another_dataset(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 4)
        file["height"] = np.arange(4, dtype="i2")
        file["height"].attrs["scale_factor"] = 0.1 * (number + 1)
    return Lookalike({"x": "x"})


@layout
def packing_named_by_the_file(files):
    for number, file in enumerate(files):
        file["images/x"] = COUNTS
        file.attrs.update(scale_factor=0.01 * (number + 1), add_offset=3.0, _FillValue=3)
        file["images"].attrs.update(scale_factor=0.5, conversion=2.0, offset=1)
    return Lookalike({"x": "images/x"})


@layout
def time_series_without_conversion(files):
    for file in files:
        group = file.create_group("acquisition/ts")
        group.attrs["neurodata_type"] = "TimeSeries"
        group["data"] = COUNTS
        group["data"].attrs.update(conversion=1.0, offset=0.0, resolution=-1.0, unit="volts")
        group["starting_time"] = 0.0
        group["starting_time"].attrs.update(rate=30.0, unit="seconds")
    return Lookalike({"x": "acquisition/ts/data"})


@layout
def bytes_in_a_file_of_netcdf(files):
    """Bytes have no fill value unless an attribute names one: 255 is white."""
    for file in files:
        file.attrs["_NCProperties"] = "version=2,netcdf=4.9.3,hdf5=1.14.6"
        file["x"] = (np.arange(ROWS * 25) % 256).astype("u1").reshape(ROWS, 25)
        file["x"][0, 0] = 255
        file["signed"] = np.full((ROWS, 2), -127, "i1")
    return Lookalike({"x": "x", "signed": "signed"})


@layout
def attributes_that_refer_to_others(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 2)
        file["background"] = floats(5, 2)
        file["x"].attrs["offset"] = file["background"].ref
        file["x"].attrs["conversion"] = file["background"].ref
        file["x"].attrs["unit"] = "volts"
    return Lookalike({"x": "x"})


# ── numbers that tile nothing ────────────────────────────────────────────────────────────────────────

with_neighbour("frame_numbers", "frame_index", np.arange(ROWS))
with_neighbour("rows_sorted_elsewhere", "sort_index", np.random.default_rng(0).permutation(ROWS))
with_neighbour("index_of_a_few_rows", "index", np.array([7, 2, 11]))
with_neighbour("index_of_the_best_rows", "best_index", np.array([1, 4, 9]))
with_neighbour("subject_of_each_row", "subject_index", np.repeat([0, 1, 2], ROWS // 3))
with_neighbour("count_that_does_not_sum_up", "count", np.array([3, 4]))
with_neighbour("count_of_each_row", "count", np.ones(ROWS, "i8"))
with_neighbour("lengths_that_are_not_integers", "ep_len", np.array([4.5, 7.5]))
with_neighbour("one_episode_length", "ep_len", np.array([ROWS]))
with_neighbour("one_episode_end", "meta/episode_ends", np.array([ROWS]))
with_neighbour("episode_ends_beyond_the_rows", "episode_ends", np.array([5, ROWS + 8]))
with_neighbour("episode_ends_short_of_the_rows", "episode_ends", np.array([3, ROWS - 3]))
with_neighbour("episode_ends_that_fall", "episode_ends", np.array([8, 4, ROWS]))
with_neighbour("indptr_of_another_matrix", "indptr", np.array([0, 2, 2, 5]))
with_neighbour("tiling_numbers_of_no_known_name", "keyframes", np.array([0, 5, ROWS]))
with_neighbour("a_matrix_of_a_known_name", "episode_ends", np.array([[4, 8], [8, ROWS]]))
with_neighbour("a_text_of_a_known_name", "episode_ends", "4, 8, 12")
with_neighbour("done_at_the_very_end", "dones", np.arange(ROWS) == ROWS - 1)
with_neighbour("done_at_the_very_end_in_integers", "is_last", (np.arange(ROWS) == ROWS - 1).astype("u1"))
with_neighbour("never_terminated", "terminals", np.zeros(ROWS, bool))
with_neighbour("neither_terminated_nor_timed_out", "timeouts", np.zeros(ROWS, "i8"))
with_neighbour("dones_that_are_counts", "dones", np.arange(ROWS) % 5)
with_neighbour("terminals_of_another_length", "terminals", np.array([True, False, True]))
with_neighbour("terminals_of_a_network", "terminals", np.eye(5, dtype=bool))


@layout
def episodes_of_a_dataset_of_another_length(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 2)
        file["log/x"] = np.arange(30.0)
        file["log/episode_ends"] = np.array([10, 30])
    return Lookalike({"x": "x"})


@layout
def a_name_that_ends_in_index(files):
    for number, file in enumerate(files):
        file["spike_times"] = np.sort(floats(number))
        file["spike_times_index"] = np.arange(ROWS)
    return Lookalike({"x": "spike_times"})


@layout
def known_names_as_fields_of_their_own(files):
    for number, file in enumerate(files):
        file["first"] = np.arange(ROWS) * 10 + number
        file["count"] = np.full(ROWS, 10)
        file["indptr"] = floats(number)
    return Lookalike({"first": "first", "count": "count", "indptr": "indptr"})


# ── codes, masks and labels ──────────────────────────────────────────────────────────────────────────

with_neighbour("codes_without_categories", "codes", np.arange(ROWS) % 3 - 1)
with_neighbour("indices_beside_an_image", "indices", np.arange(4), floats(0, 8, 8))
with_neighbour("data_and_indptr_without_a_matrix", "data/indptr", np.arange(ROWS), floats(0, 2))


@layout
def codes_that_are_an_ordinary_array(files):
    for file in files:
        file["quantized/codes"] = (np.arange(ROWS * 4, dtype="i2").reshape(ROWS, 4) % 5) - 1
    return Lookalike({"x": "quantized/codes"})


@layout
def labels_of_which_some_are_ignored(files):
    for file in files:
        file["label"] = (np.arange(ROWS) % 4) - 1
        file["label_names"] = np.array(["cat", "dog", "cow"], dtype=TEXT)
    return Lookalike({"y": "label"})


@layout
def categories_without_missing_codes(files):
    for file in files:
        group = file.create_group("label")
        group.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        group["codes"] = (np.arange(ROWS) % 2).astype("i1")
        group["categories"] = np.array(["a", "b"], dtype=TEXT)
    return Lookalike({"y": "label/codes"})


@layout
def empty_mask_of_nullable_values(files):
    for file in files:
        group = file.create_group("n")
        group.attrs.update({"encoding-type": "nullable-integer", "encoding-version": "0.1.0"})
        group["values"] = np.arange(ROWS)
        group["mask"] = np.zeros(ROWS, bool)
    return Lookalike({"y": "n/values"})


@layout
def masks_of_images(files):
    for number, file in enumerate(files):
        file["values"] = floats(number, 6, 6)
        file["mask"] = floats(number + 5, 6, 6) > 5
    return Lookalike({"x": "values", "y": "mask"})


@layout
def mask_of_the_whole_grid(files):
    for number, file in enumerate(files):
        file["values"] = floats(number, 4, 4)
        file["mask"] = np.eye(4, dtype=bool)
    return Lookalike({"x": "values", "mask": Field("mask", constant=True)})


@layout
def labels_that_are_sorted(files):
    for file in files:
        file["y"] = np.repeat([0, 1], ROWS // 2)
    return Lookalike({"y": "y"})


@layout
def enumeration_with_equal_names(files):
    kind = h5py.enum_dtype({"rest": 0, "walk": 1}, basetype="i1")
    for file in files:
        file.create_dataset("y", data=np.arange(ROWS) % 2, dtype=kind)
    return Lookalike({"y": "y"})


# ── labels of axes ───────────────────────────────────────────────────────────────────────────────────


@layout
def tiles_with_their_own_coordinates(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 4, 5)
        for axis, (name, size) in enumerate((("time", ROWS), ("lat", 4), ("lon", 5))):
            file[name] = np.arange(size) + 100.0 * number
            file[name].make_scale(name)
            file["x"].dims[axis].attach_scale(file[name])
    return Lookalike({"x": "x"})


@layout
def equal_coordinates(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 4)
        file["band"] = np.array([443, 490, 560, 665])
        file["band"].make_scale("band")
        file["x"].dims[1].attach_scale(file["band"])
    return Lookalike({"x": "x"})


@layout
def equal_names_of_columns(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 3)
        file["channel"] = np.array(["red", "green", "blue"], dtype=TEXT)
        file["channel"].make_scale("channel")
        file["x"].dims[1].attach_scale(file["channel"])
    return Lookalike({"x": "x"})


def annotated(file: h5py.File, number: int, genes: list[str], cells: list[str]) -> None:
    file["X"] = floats(number, len(genes))
    for name, index in (("obs", cells), ("var", genes)):
        group = file.create_group(name)
        group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
        group.attrs["column-order"] = np.array([], dtype=TEXT)
        group["_index"] = np.array(index, dtype=TEXT)


@layout
def equal_genes_of_different_cells(files):
    for number, file in enumerate(files):
        annotated(file, number, ["g1", "g2", "g3"], [f"cell{number}{row}" for row in range(ROWS)])
    return Lookalike({"x": "X"})


@layout
def cells_in_another_order(files):
    cells = [f"cell{row}" for row in range(ROWS)]
    for number, file in enumerate(files):
        annotated(file, number, ["g1", "g2", "g3"], cells[:: 1 if number else -1])
    return Lookalike({"x": "X"})


@layout
def times_in_another_order(files):
    """Labels of the sample axis may differ."""
    for number, file in enumerate(files):
        file["x"] = floats(number, 2)
        file["time"] = np.arange(ROWS)[:: -1 if number else 1]
        file["time"].make_scale("time")
        file["x"].dims[0].attach_scale(file["time"])
    return Lookalike({"x": "x"})


@layout
def labels_of_another_dataset(files):
    for number, file in enumerate(files):
        file["x"], file["z"] = floats(number, 2), floats(number, 2)
        file["channel"] = np.array(["a", "b"][:: -1 if number else 1], dtype=TEXT)
        file["channel"].make_scale("channel")
        file["z"].dims[1].attach_scale(file["channel"])
    return Lookalike({"x": "x"})


@layout
def coordinates_with_nan(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 3)
        file["depth"] = np.array([np.nan, 1.0, 2.0])
        file["depth"].make_scale("depth")
        file["x"].dims[1].attach_scale(file["depth"])
    return Lookalike({"x": "x"})


@layout
def scales_without_values_of_their_own(files):
    """The scale that netCDF writes for a dimension without a variable."""
    for number, file in enumerate(files):
        file["x"] = floats(number, 3)
        made = file.create_dataset("n", shape=(3,), dtype=">f4")
        made.attrs["CLASS"] = np.bytes_("DIMENSION_SCALE")
        made.attrs["NAME"] = np.bytes_("This is a netCDF dimension but not a netCDF variable.         3")
        file["x"].dims[1].attach_scale(made)
    return Lookalike({"x": "x"})


@layout
def names_of_matrices_that_are_none(files):
    for number, file in enumerate(files):
        file["X"] = floats(number, 3)
        file["var/names"] = np.array(["a", "b", "c"][:: -1 if number else 1], dtype=TEXT)
        file["obs/label"] = np.arange(ROWS)
    return Lookalike({"x": "X", "y": "obs/label"})


@layout
def names_that_label_no_axis(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 3)
        file["operators"] = np.array(["Ada", "Max", "Eve"][:: 1 if number else -1], dtype=TEXT)
    return Lookalike({"x": "x"})


# ── values at the end, types and names ───────────────────────────────────────────────────────────────


@layout
def labels_that_end_in_zeros(files):
    for file in files:
        file["y"] = np.repeat([3, 2, 1, 0], ROWS // 4)
    return Lookalike({"y": "y"})


@layout
def last_masks_that_are_empty(files):
    for file in files:
        masks = np.ones((ROWS, 6, 6), "u1")
        masks[-3:] = 0
        file["mask"] = masks
    return Lookalike({"y": "mask"})


@layout
def zeros_in_the_middle_and_at_the_end(files):
    for number, file in enumerate(files):
        values = floats(number, 3)
        values[[4, 5, -1]] = 0
        file["x"] = values
    return Lookalike({"x": "x"})


@layout
def last_row_with_a_zero(files):
    for number, file in enumerate(files):
        values = floats(number, 3)
        values[-1, :2] = 0
        file["x"] = values
    return Lookalike({"x": "x"})


@layout
def targets_that_end_in_zeros(files):
    for file in files:
        file["y"] = np.repeat(np.array([1.0, 0.5, 0.0], "f4"), ROWS // 3)
    return Lookalike({"y": "y"}, checked=False)


@layout
def nothing_but_zeros(files):
    for file in files:
        file["x"] = np.zeros((ROWS, 3), "f4")
    return Lookalike({"x": "x"}, checked=False)


@layout
def truths_that_end_in_false(files):
    for file in files:
        file["y"] = np.arange(ROWS) < 4
    return Lookalike({"y": "y"})


@layout
def zeros_at_the_end_where_the_fill_value_is_another(files):
    for number, file in enumerate(files):
        values = floats(number, 3)
        values[-2:] = 0
        file.create_dataset("x", data=values, fillvalue=-1.0)
    return Lookalike({"x": "x"})


@layout
def integers_that_floats_hold_exactly(files):
    for file in files:
        file["x"] = np.array([2**24, -(2**24), 2**40, 0] * 3, "i8")
    return Lookalike({"x": Field("x", dtype="float32"), "wide": Field("x", dtype="float64")})


@layout
def narrower_integers_that_hold_all(files):
    for file in files:
        file["x"] = np.array([255, 0, 7] * 4, "i8")
    return Lookalike({"x": Field("x", dtype="uint8")})


@layout
def columns_of_a_table(files):
    table = np.zeros(ROWS, [("pt", "f4"), ("valid", "?"), ("n", "u2"), ("offset", "i4")])
    table["pt"], table["n"] = floats(3), np.arange(ROWS)
    for file in files:
        file["jets"] = table
        file["jets"].attrs.update(offset=5, scale_factor=1.0)
    return Lookalike({"pt": Field("jets", member="pt"), "offset": Field("jets", member="offset")})


@layout
def names_with_dollars_and_braces(files):
    for number, file in enumerate(files):
        file["price [$]/{close}"] = floats(number)
    return Lookalike({"x": "price [$]/{close}"})


@layout
def a_bucket_that_is_no_container(files):
    for number, file in enumerate(files):
        file["data/bucket0"] = floats(number, 3, 8)
        file["data/label"] = np.arange(ROWS)
    return Lookalike({"x": "data/bucket0", "y": "data/label"})


@layout
def trajectories_counted_by_an_attribute(files):
    for number, file in enumerate(files):
        file["x"] = floats(number, 3)
        file.attrs["n_trajectories"] = 3
    return Lookalike({"x": "x"})


# ── what looks ragged, transposed or like a volume ───────────────────────────────────────────────────

with_neighbour("offsets_of_other_points", "offsets", np.array([0, 5, 9]))
with_neighbour("ends_of_other_points", "ends", np.array([5, 9]))
with_neighbour("coordinates_of_patches", "coords", np.arange(ROWS * 2).reshape(ROWS, 2), floats(3, 8))
with_neighbour("a_square_matrix_with_channels_first", "times", np.arange(ROWS), floats(4, ROWS))
with_neighbour("labels_as_long_as_the_last_axis", "label", np.arange(5), floats(4, 5))
with_neighbour(
    "sections_of_a_volume", "volumes/labels/neuron_ids", np.zeros((ROWS, 4, 4), "u8"), floats(1, 4, 4)
)
with_neighbour("lengths_of_sentences", "length", np.arange(ROWS) + 3)
with_neighbour("atoms_of_one_molecule", "atomic_numbers", np.array([6, 1, 1, 1, 1]), floats(2, 5, 3))


@layout
def names_of_lengths_and_paddings(files):
    """Datasets whose names are those of words."""
    for number, file in enumerate(files):
        file["length"], file["pad"], file["index"] = floats(number), floats(number, 2), floats(number, 3)
    return Lookalike({"length": "length", "pad": "pad", "index": "index"})


@layout
def ends_that_an_attribute_calls_an_index(files):
    """The type of NWB without the dataset that it divides."""
    for number, file in enumerate(files):
        file["x"] = floats(number)
        file["y_index"] = np.arange(ROWS) + 1
        file["y_index"].attrs["neurodata_type"] = "VectorIndex"
    return Lookalike({"x": "x", "ends": "y_index"})


@layout
def samples_of_one_shape_that_are_said_to_differ(files):
    for number, file in enumerate(files):
        file["x"], file["y"] = floats(number, 3, 2), np.arange(ROWS)
    return Lookalike(
        {"x": Field("x", ragged="stack"), "y": "y", "z": Field("x", ragged="pad")}, windows=False
    )


@layout
def arrays_of_matlab(files):
    for number, file in enumerate(files):
        file["x"], file["y"] = floats(number, 3).astype("f8"), np.arange(float(ROWS))[:, None]
        for name in ("x", "y"):
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
        file["fs"] = np.full((1, 1), 250.0)
    return Lookalike({"x": "x", "y": "y"})


# ── the tests ────────────────────────────────────────────────────────────────────────────────────────


def stored(paths: list[Path], field: str | Field) -> np.ndarray:
    """The values of all files as h5py reads them, in the requested type."""
    asked = Field(field) if isinstance(field, str) else field
    parts = []
    for path in paths:
        with h5py.File(path) as file:
            values = file[asked.path][()]
        values = values if asked.member is None else values[asked.member]
        parts.append(np.broadcast_to(values, (ROWS, *values.shape)) if asked.constant else values)
    joined = np.concatenate(parts)
    return joined if asked.dtype is None else joined.astype(asked.dtype)


def same(got: Any, expected: np.ndarray) -> bool:
    """Equal in all bits, also for NaN."""
    found = got.numpy()
    return found.dtype == expected.dtype.newbyteorder("=") and found.tobytes() == expected.tobytes()


@pytest.fixture
def written(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[list[Path], Lookalike]:
    paths = [tmp_path / f"{number}.h5" for number in range(2)]
    files = [h5py.File(path, "w") for path in paths]
    lookalike = LAYOUTS[request.param](files)
    for file in files:
        file.close()
    return paths, lookalike


@pytest.mark.parametrize("written", sorted(LAYOUTS), indirect=True)
def test_a_file_that_only_looks_alike_is_read_as_stored(written):
    paths, lookalike = written
    pattern = str(paths[0].parent / "*.h5")
    asked = lookalike.fields
    for reader in ("auto", "h5py"):
        with closing(H5Dataset(pattern, asked, reader=reader)) as dataset:
            batch = dataset.read_batch(range(2 * ROWS))
        for key, field in asked.items():
            assert same(batch[key], stored(paths, field)), (reader, key)
    if lookalike.windows:
        read_windows(pattern, paths, asked)
    if lookalike.checked:
        fields = {key: Field(field) if isinstance(field, str) else field for key, field in asked.items()}
        report = check_files([pattern], fields, split=Split(None, None), settings=QUICK, progress=False)
        assert report.has_passed, [result for result in report.results if not result.has_passed]


def read_windows(pattern: str, paths: list[Path], fields: Mapping[str, str | Field]) -> None:
    with closing(H5Dataset(pattern, fields, Windows(4, stride=4))) as dataset:
        assert len(dataset) == 2 * ROWS // 4
        batch = dataset.read_batch(range(len(dataset)))
    for key, field in fields.items():
        expected = stored(paths, field)
        if not (isinstance(field, Field) and field.constant):
            expected = expected.reshape(-1, 4, *expected.shape[1:])
        else:
            expected = expected[::4]
        assert same(batch[key], expected), key
