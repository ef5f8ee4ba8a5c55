"""Numbers of categories agree with what h5py finds in the files, and a number of another category is found."""

import h5py
import numpy as np
import pytest
from check_runs import check_run, ignore

from h5lightning.options import Field, Split, Windows
from h5lightning.planning.kept_rows import KeptRows
from h5lightning.planning.values.category_decoder import CategoryDecoder
from h5lightning.tools.check.category_check import check_categories, has_categories

pytestmark = pytest.mark.timeout(60)
TEXTS = ["T", "B", "NK", "B", "T", "T", "NK"]
FIELDS = {
    "text": Field("text", categories=True),
    "enum": Field("enum", categories=["B", "T", "NK"]),
    "cell": Field("cell", categories=True),
    "flags": Field("flags", categories=True),
    "refers": Field("obs/cell", categories=["NK", "B"], unknown=7),
    "column": Field("table", member="kind", categories=True),
    "number": Field("number", categories=[2, 0, 1]),
    "one": Field("one", constant=True, categories=True),
}


@pytest.fixture
def files(tmp_path):
    for number, names in enumerate((["T", "B", "NK"], ["NK", "T", "B"])):
        codes = np.asarray([names.index(text) for text in TEXTS], "i1")
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("text", data=TEXTS, dtype=h5py.string_dtype())
            kinds = h5py.enum_dtype({name: 3 * n for n, name in enumerate(names)}, basetype="i2")
            file.create_dataset("enum", data=codes * 3, dtype=kinds)
            group = file.create_group("cell")
            group.attrs["encoding-type"], group.attrs["encoding-version"] = "categorical", "0.2.0"
            group["codes"] = codes
            group.create_dataset("categories", data=names, dtype=h5py.string_dtype())
            file["obs/cell"] = codes
            file.create_dataset("obs/__categories/cell", data=names, dtype=h5py.string_dtype())
            file["obs/cell"].attrs["categories"] = file["obs/__categories/cell"].ref
            flags = file.create_dataset("flags", data=codes)
            flags.attrs["flag_values"], flags.attrs["flag_meanings"] = (
                np.arange(3, dtype="i1"),
                " ".join(names),
            )
            table = np.zeros(len(TEXTS), [("kind", "S4"), ("e", "f4")])
            table["kind"] = [text.encode() for text in TEXTS]
            file["table"] = table
            file["number"] = codes.astype("f4")
            file["one"] = np.bytes_(names[0])
    return str(tmp_path / "*.h5")


@pytest.mark.parametrize("samples", [None, Windows(3)])
def test_all_that_files_call_categories_is_compared(files, samples):
    with check_run(files, fields=FIELDS, samples=samples, split=Split(val=None, test=None)) as run:
        assert has_categories(run)
        result = check_categories(run, ignore)
    assert not result.failures
    assert result.scope.startswith("8 fields")


def swapped(method):
    return lambda *args: method(*args)[::-1]


@pytest.mark.parametrize(
    ("kind", "name", "wrong"), [(KeptRows, "places", "'/text'"), (CategoryDecoder, "of", "'/number'")]
)
def test_numbers_of_other_rows_are_found(files, monkeypatch, kind, name, wrong):
    monkeypatch.setattr(kind, name, swapped(getattr(kind, name)))
    with check_run(files, fields=FIELDS) as run:
        failures = check_categories(run, ignore).failures
    assert any(wrong in failure and "other numbers are delivered" in failure for failure in failures)


def test_fields_without_categories_need_no_check(files):
    with check_run(files, fields={"x": Field("number")}) as run:
        assert not has_categories(run)
