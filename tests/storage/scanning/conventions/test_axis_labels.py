"""Labels of columns, as h5py, netCDF, AnnData and pandas write them, and lookalikes."""

import h5py
import numpy as np
import pytest

from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.axis_labels import LabelFinder
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader

VALUES = ValueReader(reads_text=True)
X = np.zeros((4, 3), "f4")


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def find(file, path, constants=()):
    """The labels and remarks of one dataset."""
    return LabelFinder(file.id, VALUES, constants).find(DatasetInfo.of(file[path].id), path)


def said(file, path, constants=()):
    """Axis, source, kind and count of each, without the names of axes."""
    labels, _ = find(file, path, constants)
    return [(one.axis, one.path, one.kind, one.count) for one in labels if one.axis >= 0]


def attach(file, path, axis, scale, values):
    file[scale] = values
    file[scale].make_scale(scale)
    file[path].dims[axis].attach_scale(file[scale])


# ── dimension scales ─────────────────────────────────────────────────────────────────────────────────


def test_scales_name_axes_but_the_first(file):
    file["x"] = np.zeros((4, 3, 2))
    attach(file, "x", 0, "time", np.arange(4))
    attach(file, "x", 1, "lat", np.arange(3.0))
    attach(file, "x", 2, "band", ["red", "nir"])
    assert said(file, "x") == [(1, "lat", "numbers", 3), (2, "band", "text", 2)]
    assert said(file, "x", ("x",))[0] == (0, "time", "numbers", 4)


def test_an_axis_may_have_several_scales(file):
    file["x"] = X
    attach(file, "x", 1, "g/a", np.arange(3))
    attach(file, "x", 1, "g/b", np.array(["a", "b", "c"], "S1"))
    assert said(file, "x") == [(1, "g/a", "numbers", 3), (1, "g/b", "text", 3)]


def test_names_of_axes_are_kept_in_their_order(file):
    for path, names in (("x", "ab"), ("y", "ba"), ("z", "ac")):
        file[path] = np.zeros((4, 3, 3))
        for axis, name in enumerate(names, 1):
            file[path].dims[axis].label = name
    x, y, z = (find(file, path)[0][0] for path in "xyz")
    assert (x.axis, x.kind, x.path, x.count) == (-1, "axes", "x@DIMENSION_LABELS", 3)
    assert x.in_order != y.in_order
    assert x.as_set == y.as_set != z.as_set


def test_scales_of_swapped_axes_name_them(file):
    for path, order in (("x", (1, 2)), ("y", (2, 1))):
        file[path] = np.zeros((4, 3, 3))
        for axis, name in zip(order, ("lat", "lon"), strict=True):
            if name not in file:
                file[name] = np.arange(3)
                file[name].make_scale(name)
            file[path].dims[axis].attach_scale(file[name])
    x, y = (find(file, path)[0][-1] for path in "xy")
    assert x.in_order != y.in_order
    assert x.as_set == y.as_set


def test_a_dimension_without_a_variable_names_nothing(file):
    file["x"] = X
    attach(file, "x", 1, "k", np.zeros(3, ">f4"))
    file["k"].attrs["NAME"] = np.bytes_(b"This is a netCDF dimension but not a netCDF variable.         3")
    assert said(file, "x") == []


def test_further_coordinates_name_an_axis(file):
    file["g/x"] = X
    file["g/x"].attrs["coordinates"] = "names height absent other"
    attach(file, "g/x", 1, "k", np.zeros(3))
    file["k"].attrs["NAME"] = np.bytes_(b"This is a netCDF dimension but not a netCDF variable.         3")
    file["names"], file["height"], file["other"] = ["a", "b", "c"], 2.0, [1, 2, 3]
    file["names"].dims[0].attach_scale(file["k"])
    assert said(file, "g/x") == [(1, "names", "text", 3)]


def test_scales_that_do_not_fit_are_no_labels(file):
    file["x"] = X
    attach(file, "x", 1, "long", np.arange(5))
    attach(file, "x", 1, "matrix", np.zeros((3, 3)))
    assert said(file, "x") == []


def test_references_that_lead_nowhere_are_no_labels(file):
    file["x"] = X
    attach(file, "x", 1, "s", np.arange(3))
    del file["s"]
    assert find(file, "x") == ((), ())


@pytest.mark.parametrize("write", ["scale", "label"])
def test_references_and_text_are_left_to_another_process(file, write):
    file["x"] = X
    if write == "scale":
        attach(file, "x", 1, "s", np.arange(3))
    else:
        file["x"].dims[1].label = "a"
    with pytest.raises(NeedsProcessError):
        LabelFinder(file.id, ValueReader(reads_text=False)).find(DatasetInfo.of(file["x"].id), "x")


# ── AnnData ──────────────────────────────────────────────────────────────────────────────────────────


def write_matrix(file, base="", index="_index", index_attribute=None):
    for path in ("X", "layers/n", "obsp/d", "varp/d", "varm/p", "obsm/p"):
        file[base + path] = np.zeros((3, 3), "f4")
    for name in ("obs", "var"):
        file[f"{base}{name}/{index}"] = [f"{name}{number}" for number in range(3)]
        if index_attribute:
            file[base + name].attrs["_index"] = index_attribute


@pytest.mark.parametrize(
    ("base", "index", "index_attribute"),
    [("", "_index", "_index"), ("mod/rna/", "gene", "gene"), ("", "index", None), ("raw/", "_index", None)],
    ids=["today", "nested", "default", "raw"],
)
def test_tables_name_the_columns_of_matrices(file, base, index, index_attribute):
    write_matrix(file, base, index, index_attribute)
    var, obs = (1, f"{base}var/{index}", "text", 3), (1, f"{base}obs/{index}", "text", 3)
    assert said(file, f"{base}X") == said(file, f"{base}layers/n") == said(file, f"{base}varp/d") == [var]
    assert said(file, f"{base}obsp/d") == [obs]
    assert said(file, f"{base}varm/p") == said(file, f"{base}obsm/p") == []
    assert said(file, f"{base}varm/p", (f"{base}varm/p",)) == [(0, f"{base}var/{index}", "text", 3)]


def test_an_index_may_have_a_mask(file):
    file["X"] = X
    file["var/_index/values"], file["var/_index/mask"] = ["a", "b", "c"], [False] * 3
    assert said(file, "X") == [(1, "var/_index/values", "text", 3)]


@pytest.mark.parametrize("dtype", ["S4", h5py.string_dtype()], ids=["fixed", "variable"])
def test_old_tables_are_compounds(file, dtype):
    file["X"] = X
    file["var"] = np.array([("a", 1), ("b", 1), ("c", 2)], [("index", dtype), ("n", "i4")])
    assert said(file, "X") == [(1, "var[index]", "text", 3)]


def test_shared_labels_are_read_once(file):
    write_matrix(file)
    read = []

    class Counting(ValueReader):
        def dataset(self, did):
            read.append(did.shape)
            return super().dataset(did)

    finder = LabelFinder(file.id, Counting(reads_text=True))
    found = [finder.find(DatasetInfo.of(file[path].id), path)[0] for path in ("X", "layers/n")]
    assert found[0] == found[1] != ()
    assert len(read) == 1


# ── pandas, lists in attributes ──────────────────────────────────────────────────────────────────────


def test_blocks_of_pandas_have_items(file):
    file["df/block0_values"], file["df/block1_values"] = X, X
    file["df/block0_items"], file["df/block1_items"] = np.array([b"a", b"b", b"c"]), [5, 6, 7]
    assert said(file, "df/block0_values") == [(1, "df/block0_items", "text", 3)]
    assert said(file, "df/block1_values") == [(1, "df/block1_items", "numbers", 3)]


def test_columns_of_tables_that_are_arrays_have_labels(file):
    file["t"] = np.zeros(4, [("index", "i8"), ("values_block_0", "f8", (2,)), ("b", "f8", (2, 2))])
    file["t"].attrs["values_block_0_kind"] = np.bytes_(b"(lp0\nVu\np1\naVv\np2\na.")
    file["t"].attrs["index_kind"] = np.bytes_(b"integer")
    file["t"].attrs["b_kind"] = np.bytes_(b"(lp0\nVu\np1\naVv\np2\na.")
    (found,), _ = find(file, "t")
    assert (found.axis, found.path, found.member) == (1, "t@values_block_0_kind", "values_block_0")


@pytest.mark.parametrize("name", ["columns", "feature_names", "channel_names", "ch_names", "names"])
def test_lists_in_attributes_name_columns(file, name):
    file["x"], file["image"] = X, np.zeros((2, 5, 5, 3))
    for path in ("x", "image"):
        file[path].attrs[name] = ["a", "b", "c"]
    assert said(file, "x") == [(1, f"x@{name}", "text", 3)]
    assert said(file, "image") == [(3, f"image@{name}", "text", 3)]


ALIKE = {
    "another length": {"columns": ["a", "b"]},
    "numbers": {"columns": [1, 2, 3], "coordinates": 3},
    "one text": {"columns": "abc", "names": "a"},
    "empty": {"columns": h5py.Empty("S3"), "DIMENSION_LABELS": h5py.Empty("f4")},
    "no references": {"DIMENSION_LIST": [1, 2], "DIMENSION_LABELS": 5},
    "text": {"DIMENSION_LIST": "time lat"},
    "unrelated": {"scale_factor": 1.0, "units": "m", "offset": 3},
}


@pytest.mark.parametrize("attrs", ALIKE.values(), ids=ALIKE)
def test_attributes_that_look_alike_name_nothing(file, attrs):
    file["x"] = X
    file["x"].attrs.update(attrs)
    assert find(file, "x") == ((), ())


@pytest.mark.parametrize("path", ["X", "layers/n", "df/block0_values", "obsm/p", "x"])
def test_paths_alone_name_nothing(file, path):
    file[path] = X
    assert find(file, path) == ((), ())


def test_rows_of_numbers_have_no_columns(file):
    file["y"], file["z"] = np.arange(4), 5.0
    attach(file, "y", 0, "time", np.arange(4))
    assert find(file, "y") == find(file, "z") == ((), ())
    assert said(file, "y", ("y",)) == [(0, "time", "numbers", 4)]


def test_labels_that_are_not_compared_are_reported(file):
    file["X"] = np.zeros((1, 600_000), "f4")
    file["var/index"] = np.arange(600_000.0)
    labels, (remark,) = find(file, "X")
    assert labels == ()
    assert "'/var/index', which is too large" in remark
    assert "access.same" in remark
