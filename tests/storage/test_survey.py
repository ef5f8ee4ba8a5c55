"""From patterns to an index: what is scanned, which files are left out, and what unlabelled files may lack."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, MissingFieldError
from h5lightning.options import Access, Field, Rows
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.survey import survey

FIELDS = {"x": Field("x"), "y": Field("y"), "number": Field(attr="number")}


def look(files, fields=FIELDS, **options) -> DataSurvey:
    return survey(files, fields, Rows(), access=options.pop("access", Access()), **options)


def names(found: DataSurvey, role: str) -> list[str]:
    return [Path(found.index.path(file)).name for file in found.roles[role].tolist()]


def test_rows_and_fields_of_all_files(write_files) -> None:
    found = look(write_files((3, 5)))
    assert found.index.series_rows.tolist() == [3, 5]
    assert [plan.key for plan in found.fields.plans] == ["x", "y", "number"]
    assert found.predict_fields is found.roles is found.labels is None
    assert found.scanned == 2


def test_the_attribute_that_keeps_files_together_is_read(write_files) -> None:
    files = write_files((3, 5, 4))
    with h5py.File(Path(files).parent / "run-001.h5", "a") as file:
        del file.attrs["machine"]
    assert look(files, keep_together="attr:machine").labels == ("m0", None, "m1")


def test_roles_are_kept_when_files_are_left_out(write_files, tmp_path) -> None:
    train, val = write_files((3, 5, 4), folder="train"), write_files((6, 7), folder="val")
    (tmp_path / "train" / "run-001.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    with pytest.raises(BadFileError, match=r"run-001\.h5"):
        look({"train": train, "val": val})
    found = look({"train": train, "val": val}, access=Access(on_bad_file="skip", max_bad_fraction=0.5))
    assert names(found, "train") == ["run-000.h5", "run-002.h5"]
    assert names(found, "val") == ["run-000.h5", "run-001.h5"]
    assert found.index.series_rows[found.roles["val"]].tolist() == [6, 7]
    assert [skipped.name for skipped in found.catalog.skipped] == ["train/run-001.h5"]


def unlabelled(path: Path, **attrs: float) -> str:
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((9, 2, 3), dtype="float32")
        file.attrs.update(attrs)
    return str(path)


def test_predict_files_may_lack_datasets_and_attributes(write_files, tmp_path) -> None:
    files = {"train": write_files((3, 5)), "predict": unlabelled(tmp_path / "new.h5")}
    found = look(files)
    assert [plan.key for plan in found.predict_fields.plans] == ["x"]
    assert found.index.series_rows[found.roles["predict"]].tolist() == [9]
    files["predict"] = unlabelled(tmp_path / "known.h5", number=3)
    assert [plan.key for plan in look(files).predict_fields.plans] == ["x", "number"]


def test_predict_alone_is_planned_like_any(write_files) -> None:
    found = look({"predict": write_files((3, 5))})
    assert found.predict_fields is found.fields
    with pytest.raises(MissingFieldError, match="'/z'"):
        look({"predict": write_files((3, 5))}, {"z": Field("z")})


def test_predict_files_alone_may_lack_the_labels_too(tmp_path, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="h5lightning"):
        found = look({"predict": unlabelled(tmp_path / "new.h5")})
    assert [plan.key for plan in found.predict_fields.plans] == ["x"]
    assert caplog.messages == ["files.predict lack 'y', 'number': their batches do not have them"]


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside train"])
def test_predict_files_without_any_rows_name_what_is_missing(write_files, tmp_path, alone) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["elsewhere"] = np.zeros(3)
        file.attrs["number"] = 3
    with pytest.raises(MissingFieldError, match=r"field 'x': .*other\.h5 holds no dataset '/x'"):
        look({"predict": str(other)} | ({} if alone else {"train": write_files((3, 5))}))


def test_a_missing_dataset_is_explained_by_what_is_there(write_files) -> None:
    with pytest.raises(MissingFieldError, match="did you mean 'grid'"):
        look(write_files((3,)), {"x": Field("x"), "g": Field("grids", constant=True)})


@pytest.mark.parametrize(
    ("field", "lacks"),
    [
        (Field(attr="viscosty"), "the attribute 'viscosty'; did you mean 'viscosity'"),
        (Field("x", attr="scal"), "the attribute 'scal' of 'x'; did you mean 'scale'"),
        (Field("z", attr="scale"), "the attribute 'scale' of 'z'$"),
    ],
    ids=["of the file", "of a dataset", "of nothing"],
)
def test_a_missing_attribute_is_explained_by_what_is_there(write_files, field, lacks) -> None:
    files = write_files((3,))
    with h5py.File(Path(files).parent / "run-000.h5", "a") as file:
        file["x"].attrs["scale"] = 0.5
    with pytest.raises(MissingFieldError, match=rf"run-000\.h5 lacks {lacks}"):
        look(files, {"x": Field("x"), "f": field})


@pytest.mark.parametrize(
    ("options", "rows"),
    [({"chunks": (4, 2, 3), "compression": "gzip"}, 4), ({"chunks": (4, 2, 3)}, 1), ({}, 1)],
    ids=["compressed", "chunked", "contiguous"],
)
def test_what_must_be_decoded_together(write_files, options, rows) -> None:
    layout = look(write_files((9, 9), options=options)).row_layout()
    assert layout.chunk_rows.tolist() == [rows, rows]
    assert layout.row_bytes == 6 * 4 + 8


def test_labels_of_one_file_alone_are_not_looked_for(tmp_path, monkeypatch) -> None:
    """They lie in the heap of the file, which takes a process of its own: one large file starts at once."""
    with h5py.File(tmp_path / "a.nc", "w") as file:
        for name, length in (("time", 4), ("lat", 3)):
            file[name] = np.arange(length)
            file[name].make_scale(name)
        file["t"] = np.zeros((4, 3))
        for axis, name in enumerate(("time", "lat")):
            file["t"].dims[axis].attach_scale(file[name])
    started: list[str] = []
    monkeypatch.setattr(
        "h5lightning.storage.scanning.parallel_scan.scan_by_workers",
        lambda paths, *_, **__: started.extend(paths) or [],
    )
    assert len(survey(str(tmp_path / "*.nc"), {"t": Field("t")}, Rows(), access=Access()).index) == 4
    assert not started
