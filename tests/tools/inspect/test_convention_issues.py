"""Issues with conventions, and the fields that are inferred from them: with hand-made annotations."""

import dataclasses

import h5py
import numpy as np
import pytest

from h5lightning.errors import UnsupportedFieldError
from h5lightning.options import Field
from h5lightning.planning.catalog.annotations import Annotations, AxisLabels, Encoding, Found
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.storage.scanning import ScanRequest, scan_file
from h5lightning.tools.inspect.convention_issues import find_convention_issues
from h5lightning.tools.inspect.snippets import code_for
from h5lightning.tools.overview.dataset_summary import summarize_datasets
from h5lightning.tools.overview.infer_fields import infer_fields
from h5lightning.tools.overview.suggest import suggest

PACKED = Annotations(Encoding("cf", 0.01, 273.0, said_by=("scale_factor=0.01", "add_offset=273.0")))
MASKING = Annotations(Encoding("cf", fills=(-999,), said_by=("_FillValue=-999",)))
MASKED = dataclasses.replace(MASKING, masked=Found(3, "holds -999, which _FillValue marks as missing"))
UNKNOWN = Annotations(Encoding("cf", problem="has a scale_factor that is text"))
CODES = Annotations(Encoding("codes"), missing=Found(2, "holds -1, which is no category"))


@pytest.fixture
def catalog_of(tmp_path):
    """A catalog of three real files, with the annotations that a test gives to their datasets."""

    def make(said, **datasets):
        datasets = datasets or {
            "t2m": np.ones((40, 6, 5), "i2"),
            "lat": np.arange(6.0),
            "label": np.zeros(40, "i8"),
        }
        schemas = []
        for number in range(3):
            path = str(tmp_path / f"{number}.h5")
            with h5py.File(path, "w") as file:
                for name, values in datasets.items():
                    file[name] = values
            found = scan_file(path, ScanRequest(None))
            annotated = [
                dataclasses.replace(dataset, annotations=said.get(dataset.path, dataset.annotations))
                for dataset in found.datasets
            ]
            schemas.append(dataclasses.replace(found, datasets=tuple(annotated)))
        stamps = np.zeros((3, 4), np.int64)
        return Catalog.of(str(tmp_path), ["0.h5", "1.h5", "2.h5"], stamps, schemas)

    return make


def guessed(catalog):
    return infer_fields(summarize_datasets(catalog), len(catalog), {})


def issues_of(catalog):
    return {issue.kind: issue for issue in find_convention_issues(summarize_datasets(catalog), catalog)}


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (PACKED, "packed", "is packed (scale_factor=0.01, add_offset=273.0)"),
        (MASKED, "missing values", "holds -999, which _FillValue marks as missing (row 3)"),
        (UNKNOWN, "packed", "has a scale_factor that is text"),
    ],
    ids=["packed", "masked", "undecodable"],
)
def test_issues_have_the_text_of_the_error(catalog_of, said, kind, words):
    issue = issues_of(catalog_of({"t2m": said}))[kind]
    assert issue.severity == "problem"
    assert issue.text.startswith("'/t2m' in ")
    assert words in issue.text
    assert "decode='stored'" in issue.text
    assert (issue.paths, issue.files) == (("t2m",), 3)


def test_values_that_may_be_missing_but_are_not_are_no_issue(catalog_of):
    assert issues_of(catalog_of({"t2m": MASKING})) == {}


@pytest.mark.parametrize("said", [PACKED, MASKED], ids=["packed", "masked"])
def test_packed_and_masked_data_are_decoded_in_all_three_codes(catalog_of, tmp_path, said):
    catalog = catalog_of({"t2m": said})
    found = guessed(catalog)
    assert found.fields == {"x": Field("t2m", decode="cf"), "y": Field("label")}
    code = code_for(suggest([str(tmp_path / "*.h5")], catalog, found))
    assert 'Field("t2m", decode="cf")' in code.python
    assert "{path: t2m, decode: cf}" in code.yaml
    assert "{path: t2m, decode: cf}" in code.command


def test_what_cannot_be_decoded_is_not_suggested(catalog_of):
    with pytest.raises(UnsupportedFieldError, match="'/t2m', which has a scale_factor that is text"):
        guessed(catalog_of({"t2m": UNKNOWN}))
    # Other datasets may be larger.
    found = guessed(
        catalog_of({"spikes": UNKNOWN}, spikes=np.ones(70), data=np.ones((40, 3)), label=np.ones(40))
    )
    assert found.fields == {"x": Field("data"), "y": Field("label")}


def test_masked_labels_keep_their_numbers_and_packed_ones_do_not(catalog_of, tmp_path):
    masked = guessed(catalog_of({"label": MASKED}))
    assert masked.fields["y"] == Field("label", decode="stored")
    assert masked.is_categorical
    catalog = catalog_of({"label": PACKED})
    packed = guessed(catalog)
    assert packed.fields["y"] == Field("label", decode="cf")
    assert not packed.is_categorical
    assert suggest([str(tmp_path / "*.h5")], catalog, packed).fields == packed.fields


def test_a_constant_label_that_is_packed(catalog_of):
    found = guessed(catalog_of({"target": PACKED}, u=np.ones((40, 3), "f4"), target=np.int16(7)))
    assert found.fields["y"] == Field("target", constant=True, decode="cf")


def test_codes_with_gaps_are_chosen_as_stored_numbers_only(catalog_of):
    assert guessed(catalog_of({"label": CODES})).fields["y"] == Field("label", decode="stored")


GENES = AxisLabels(1, "genes", "text", 6, "a", "s")


def test_columns_in_another_order_are_an_issue(catalog_of):
    catalog = catalog_of({"t2m": Annotations(labels=(GENES,))})
    assert issues_of(catalog) == {}
    others = [Annotations(labels=(GENES,)), Annotations(labels=(dataclasses.replace(GENES, in_order="b"),))]
    numbers = np.where(catalog.annotation_of == 1, np.arange(len(catalog.annotation_of)) // 8 + 1, 0)
    catalog = dataclasses.replace(
        catalog, annotations=(catalog.annotations[0], *others), annotation_of=numbers.astype(np.int32)
    )
    assert set(numbers.tolist()) == {0, 1, 2}
    issue = issues_of(catalog)["labels"]
    assert issue.severity == "problem"
    assert "'/genes', are in another order than in" in issue.text
    assert "decode='stored'" in issue.text


def test_tiles_with_different_coordinates_are_a_remark(catalog_of):
    lat = [AxisLabels(1, "lat", "numbers", 6, name, name) for name in "ab"]
    catalog = catalog_of({"t2m": Annotations(labels=(lat[0],))})
    others = [Annotations(labels=(one,)) for one in lat]
    numbers = np.where(catalog.annotation_of == 1, np.arange(len(catalog.annotation_of)) // 8 + 1, 0)
    catalog = dataclasses.replace(
        catalog, annotations=(catalog.annotations[0], *others), annotation_of=numbers.astype(np.int32)
    )
    issue = issues_of(catalog)["remark"]
    assert issue.severity == "note"
    assert "other numbers in '/lat'" in issue.text


def test_missing_values_of_columns_are_an_issue_and_chosen_as_stored(catalog_of, tmp_path):
    rows = np.zeros(40, [("energy", "f4"), ("kind", "i1"), ("charge", "i4")])
    gap = Annotations(missing_columns=(Found(7, "holds -1, which is no category", "kind"),))
    catalog = catalog_of({"events": gap}, events=rows)
    issue = issues_of(catalog)["missing values"]
    assert "row 7 of '/events' (column 'kind')" in issue.text
    found = guessed(catalog)
    assert {key: field.decode for key, field in found.fields.items()} == {
        "charge": None, "energy": None, "kind": "stored",
    }  # fmt: skip
    code = code_for(suggest([str(tmp_path / "*.h5")], catalog, found))
    assert "decode: stored" in code.command


def test_remarks_and_ends_are_reported(catalog_of):
    issue = issues_of(catalog_of({"t2m": Annotations(remarks=("lies on a tile of its own",))}))["remark"]
    assert (issue.severity, issue.text) == ("note", "{} lies on a tile of its own")
    issue = issues_of(catalog_of({"t2m": Annotations(ends_with_fill=True)}))["half written"]
    assert (issue.severity, issue.files) == ("warning", 3)
    assert "its last row holds only the fill value, in all files" in issue.text
    assert "h5lightning check" in issue.text
