"""Columns that mean something else in some files: an error, or a remark."""

import dataclasses

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule, H5Dataset
from h5lightning.errors import SchemaError
from h5lightning.options import Access, Field
from h5lightning.planning.catalog.annotations import Annotations, AxisLabels
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.conventions.column_labels import (
    LabelDifference,
    check_labels,
    find_other_labels,
    label_differences,
)

GENES = ("text", "abc", "abc")
ORDER = ("text", "cba", "abc")
OTHERS = ("text", "abd", "abd")
LAT, FLIPPED, TILE = ("numbers", "123", "123"), ("numbers", "321", "123"), ("numbers", "789", "789")
NAMES, SWAPPED, RENAMED = ("axes", "xy", "xy"), ("axes", "yx", "xy"), ("axes", "uv", "uv")


def labels(what, axis=1, path="s", member=None):
    kind, in_order, as_set = what
    return AxisLabels(axis, path, kind, 3, in_order, as_set, member)


def catalog_of(*files):
    """Files that say these labels of ``x``; None for one without ``x``."""
    schemas = []
    for found in files:
        said = None if found is None else Annotations(labels=tuple(found))
        datasets = () if said is None else (DatasetSchema("x", "<f4", (4, 3, 3), annotations=said),)
        schemas.append(FileSchema(datasets))
    return Catalog.of(
        "/d", [f"{number}.h5" for number in range(len(files))], np.zeros((len(files), 4)), schemas
    )


def no_difference(*_):
    return ""


def differences(*files, field=None):
    """What differs along which axis, in which files, from which."""
    found = label_differences(catalog_of(*files), field or Field("x"), np.arange(len(files)))
    return [(one.what, one.axis, one.files.tolist(), one.expected) for one in found]


KINDS = {
    "equal": (GENES, GENES, None),
    "order": (GENES, ORDER, "order"),
    "names": (GENES, OTHERS, "names"),
    "flipped": (LAT, FLIPPED, "order"),
    "tiles": (LAT, TILE, "numbers"),
    "text and numbers": (GENES, LAT, "names"),
}


@pytest.mark.parametrize(("expected", "found", "what"), KINDS.values(), ids=KINDS)
def test_labels_are_compared(expected, found, what):
    files = [[labels(expected)], [labels(found)], [labels(expected)]]
    assert differences(*files) == ([(what, 1, [1], 0)] if what else [])


def test_most_files_are_right():
    assert differences([labels(ORDER)], [labels(GENES)], [labels(GENES)]) == [("order", 1, [0], 1)]


def test_axes_may_be_swapped_and_renamed():
    assert differences([labels(NAMES, -1)], [labels(SWAPPED, -1)]) == [("order", -1, [1], 0)]
    assert differences([labels(NAMES, -1)], [labels(RENAMED, -1)]) == []
    assert differences([labels(NAMES, -1)], []) == []


def test_labels_in_some_files_only_are_a_remark_and_the_others_are_compared():
    none = []
    assert differences(none, none, [labels(GENES)]) == [("none", 1, [0, 1], 2)]
    assert differences(none, none, none, [labels(GENES)], [labels(ORDER)]) == [
        ("order", 1, [4], 3),
        ("none", 1, [0, 1, 2], 3),
    ]


def test_a_source_may_have_another_name():
    assert differences([labels(GENES)], [labels(GENES, path="t")]) == []
    assert differences([labels(GENES)], [labels(ORDER, path="t")]) == [("order", 1, [1], 0)]


def test_each_of_several_sources_counts():
    one = [labels(LAT), labels(GENES, path="t")]
    assert differences(one, one, [labels(LAT), labels(ORDER, path="t")]) == [("order", 1, [2], 0)]
    assert differences(one, one, [labels(LAT)]) == []
    two = [labels(LAT, 1), labels(GENES, 2, "t")]
    assert differences(two, two, [labels(TILE, 1), labels(ORDER, 2, "t")]) == [
        ("order", 2, [2], 0),
        ("numbers", 1, [2], 0),
    ]


def test_the_first_axis_counts_for_constants():
    files = [labels(GENES, 0)], [labels(ORDER, 0)]
    assert differences(*files) == []
    assert differences(*files, field=Field("x", constant=True)) == [("order", 0, [1], 0)]


def test_labels_of_another_column_do_not_count():
    files = [labels(GENES, member="a")], [labels(ORDER, member="a")]
    assert differences(*files, field=Field("x", member="b")) == []
    assert differences(*files, field=Field("x", member="a")) == [("order", 1, [1], 0)]


def test_stored_numbers_and_attributes_are_not_looked_at():
    files = [labels(GENES)], [labels(ORDER)]
    assert differences(*files, field=Field("x", decode="stored")) == []
    assert differences(*files, field=Field("x", attr="a")) == []


def test_files_without_the_dataset_do_not_count():
    assert differences(None, [labels(GENES)], None, [labels(ORDER)]) == [("order", 1, [3], 1)]
    assert differences(None, None) == []


def test_ten_thousand_tiles_are_one_remark():
    files = [[labels(("numbers", str(number), str(number)))] for number in range(10_000)]
    (remark,) = check_labels(
        catalog_of(*files), {"x": Field("x"), "y": Field("x")}, np.arange(10_000), difference_of=no_difference
    )
    assert remark.startswith("'/x', axis 1: 9,999 files have other numbers in '/s' than 0.h5, as tiles")


def test_an_error_says_what_to_do():
    catalog = catalog_of([labels(GENES)], [labels(ORDER)], [labels(GENES)], [labels(ORDER)])
    asked = []

    def difference_of(*arguments):
        asked.append(arguments)
        return "row 0: 'c', expected 'a'"

    with pytest.raises(SchemaError) as caught:
        check_labels(catalog, {"image": Field("x")}, np.arange(4), difference_of=difference_of)
    assert str(caught.value) == (
        "field 'image': in /d/1.h5 the labels of axis 1 of '/x', '/s', are in another order than in /d/0.h5: "
        "row 0: 'c', expected 'a' (and 1 more file). Columns of different meaning would be stacked. Write all "
        "files with the same order of labels; or, if the labels mean nothing here, use Field('x', decode='stored')"
    )
    assert asked == [(1, 0, "s")]


def test_files_that_differ_from_most_are_found():
    catalog = catalog_of([labels(GENES)], [labels(ORDER)], [labels(GENES)], [labels(LAT)], [])
    found = find_other_labels(catalog, {"x": Field("x")}, np.arange(5), difference_of=no_difference)
    assert [one.name for one in found] == ["1.h5", "3.h5"]
    assert "in another order than in most files" in found[0].reason


# ── real files ───────────────────────────────────────────────────────────────────────────────────────


def write(path, names, *, name="names"):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((6, 3), "f4")
        if names is not None:
            file[name] = names
            file[name].make_scale(name)
            file["x"].dims[1].attach_scale(file[name])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("H5LIGHTNING_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.timeout(120)
def test_another_order_is_an_error_with_a_way_out(folder):
    write(folder / "a.h5", ["a", "b", "c"])
    write(folder / "b.h5", np.array([b"a", b"c", b"b"]))
    pattern = str(folder / "*.h5")
    with pytest.raises(SchemaError, match=r"row 1: 'c', expected 'b'.*decode='stored'"):
        H5Dataset(pattern, ["x"])
    assert len(H5Dataset(pattern, {"x": Field("x", decode="stored")})) == 12
    assert len(H5Dataset(pattern, ["x"], access=Access(on_bad_file="skip", max_bad_fraction=0.5))) == 6


@pytest.mark.timeout(120)
def test_tiles_are_read_and_the_summary_says_so(folder):
    write(folder / "a.h5", np.array([1.0, 2.0, 3.0]))
    write(folder / "b.h5", np.array([7.0, 8.0, 9.0]))
    module = H5DataModule(files=str(folder / "*.h5"), fields=["x"], split={"by": "sample"}, batch_size=2)
    module.prepare_data()
    module.setup("fit")
    assert "other numbers in '/names' than a.h5" in str(module.summary())
    assert len(module.summary().to_plain()["remarks"]) == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ["test", "predict"])
def test_all_roles_must_agree(folder, role):
    write(folder / "a.h5", [1, 2, 3])
    write(folder / "b.h5", [3, 2, 1])
    files = {"train": str(folder / "a.h5"), role: str(folder / "b.h5")}
    module = H5DataModule(files=files, fields=["x"], split={"by": "sample"}, batch_size=2)
    with pytest.raises(SchemaError, match="row 0: 3, expected 1"):
        module.setup()


@pytest.mark.timeout(120)
def test_the_index_remembers_labels(folder):
    write(folder / "a.h5", [1, 2, 3])
    write(folder / "b.h5", [4, 5, 6])
    for _ in range(2):
        write(folder / "b.h5", [3, 2, 1])
        with pytest.raises(SchemaError, match="in another order"):
            H5Dataset(str(folder / "*.h5"), ["x"])
    with pytest.raises(SchemaError, match="in another order"):
        H5Dataset(str(folder / "*.h5"), ["x"])


def test_the_remedy_for_other_text_is_no_order_and_warns_that_nothing_is_decoded():
    catalog = catalog_of([labels(("text", "u", "u"))], [labels(("text", "v", "v"))])
    with pytest.raises(SchemaError) as caught:
        check_labels(
            catalog, {"x": Field("x", constant=True, decode="cf")}, np.arange(2), difference_of=no_difference
        )
    text = str(caught.value)
    assert "Write all files with the same labels; or" in text
    assert (
        "Field('x', constant=True, decode='stored'), which also delivers the stored numbers without decoding"
        in text
    )


CATALOG = Catalog.of("/d", ["0.h5", "1.h5", "2.h5"], np.zeros((3, 4)), [FileSchema(())] * 3)
NUMBERS = LabelDifference("x", 1, "lat", "lat", "numbers", np.array([1, 2]), 0)
ONE = np.array([2])
TILES = (
    "'/x', axis 1: 2 files have other numbers in '/lat' than 0.h5, as tiles with different coordinates do: they are "
    "stacked by position"
)


def changed(**changes):
    return dataclasses.replace(NUMBERS, **changes)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (
            NUMBERS,
            TILES,
        ),
        (
            changed(what="none", source="", files=ONE),
            "'/x', axis 1: 1 file has no labels, 0.h5 has them in '/lat': the labels are not compared",
        ),
        (
            changed(what="none", files=ONE),
            "'/x', axis 1: 1 file has labels in '/lat', 0.h5 has none: the labels are not compared",
        ),
    ],
    ids=["numbers", "no labels", "labels in some files only"],
)
def test_remarks(difference, expected):
    assert difference.remark_text(CATALOG) == expected


@pytest.mark.parametrize(
    ("what", "is_error"), [("order", True), ("names", True), ("numbers", False), ("none", False)]
)
def test_other_text_and_another_order_are_errors(what, is_error):
    assert changed(what=what).is_error is is_error


def test_an_error_names_both_sources_if_they_differ():
    difference = changed(what="names", source="gene", expected_source="genes", files=ONE)
    assert difference.error_text(CATALOG, "k", Field("x"), lambda *_: "never asked") == (
        "field 'k': in /d/2.h5 the labels of axis 1 of '/x', '/gene', are not those in '/genes' of /d/0.h5. Columns of "
        "different meaning would be stacked. Write all files with the same labels; or, if the labels mean nothing "
        "here, use Field('x', decode='stored')"
    )


def test_names_of_axes_and_what_is_not_decoded():
    difference = changed(what="order", axis=-1)
    assert difference.reason == "the axes of '/x', named by '/lat', are in another order than in most files"
    text = difference.error_text(CATALOG, "k", Field("x", decode="cf"), no_difference)
    assert "(and 1 more file)" in text
    assert text.endswith("without decoding them: decode those in a transform")
