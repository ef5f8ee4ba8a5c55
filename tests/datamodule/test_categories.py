"""Categories in a DataModule: one vocabulary for all splits, classes of a model, balanced draws, files to predict."""

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, Split
from h5lightning.errors import FieldError, MissingFieldError, NotSetUpError
from tests.support.composing import composed

pytestmark = pytest.mark.timeout(240)

LABELS = {
    "train_0": ["healthy"] * 12 + ["ill"] * 2,
    "train_1": ["healthy"] * 5,
    "val": ["rare", "healthy", "ill"],
    "test": ["ill", "common", "healthy"],
}


@pytest.fixture
def labelled(tmp_path):
    """Files of each split; ``common`` and ``rare`` occur in one of them alone, and ``predict`` has no label."""
    for number, (name, labels) in enumerate({**LABELS, "predict": ["?"] * 2}.items()):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = np.full(len(labels), number, "f4")
            if name != "predict":
                file.create_dataset("label", data=labels, dtype=h5py.string_dtype())
            file.attrs["site"] = name[:3]
    return tmp_path


def files_of(folder):
    return {split: f"{folder}/{split}*.h5" for split in ("train", "val", "test", "predict")}


def test_all_splits_have_one_vocabulary_and_predict_adds_nothing(labelled, ready):
    fields = {
        "x": "x",
        "y": Field("label", categories=True),
        "site": Field(attr="site", categories=True, unknown=-1),
    }
    dm = ready(H5DataModule(files_of(labelled), fields, batch_size=4))
    assert dm.num_classes("y") == 4
    assert dm.sample_spec["y"].classes == ("common", "healthy", "ill", "rare")
    for stage, labels in (("val", LABELS["val"]), ("test", LABELS["test"])):
        found = getattr(dm, f"{stage}_dataset").read_batch(range(3))["y"]
        assert [dm.sample_spec["y"].classes[number] for number in found] == labels
    batch = dm.predict_dataset.read_batch(range(2))
    assert batch["site"].tolist() == [-1, -1]
    assert "y" not in batch
    assert dm.sample_spec["site"].classes == ("tes", "tra", "val")
    with pytest.raises(FieldError, match="'x' has no categories"):
        dm.num_classes("x")
    with pytest.raises(MissingFieldError, match="did you mean 'y'"):
        dm.num_classes("Y")


@pytest.mark.parametrize("workers", [0, 1])
def test_draws_are_balanced_by_categories(labelled, ready, workers):
    fields = {"x": "x", "y": Field("label", categories=True)}
    options = {"batch_size": 19, "num_workers": workers, "shuffle": {"balance": "y"}}
    files = {split: f"{labelled}/{split}*.h5" for split in ("train", "val")}
    dm = ready(H5DataModule(files, fields, seed=0, **options))
    counts = torch.zeros(3)
    for epoch in range(20):
        dm.set_epoch(epoch)
        counts += sum(torch.bincount(batch["y"], minlength=3) for batch in dm.train_dataloader())
    # healthy and ill, of which there are 17 and 2; rare is in val alone.
    assert counts[2] == 0
    assert 0.35 < counts[1] / counts.sum() < 0.65


def test_a_value_of_unlabelled_files_alone_is_named(labelled):
    with h5py.File(labelled / "predict.h5", "a") as file:
        file.create_dataset("label", data=["il", "ill"], dtype=h5py.string_dtype())
    dm = H5DataModule(files_of(labelled), {"x": "x", "y": Field("label", categories=True)})
    with pytest.raises(FieldError, match=r"holds 'il' at row 0 of .*predict\.h5.*'ill'"):
        dm.setup()


def test_conditions_leave_out_rows_that_have_no_category(tmp_path, ready):
    """Then such rows are no error, and ``unknown`` may be the number of a category."""
    cells, numbers = list("TBMTBXTT"), [0, 4, 7, 0, 4, 9, 0, 0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(8.0)
        file.create_dataset("cell", data=cells, dtype=h5py.string_dtype())
        file["number"] = numbers

    def batch_of(fields, where):
        split = Split(val=None, test=None)
        dm = H5DataModule(f"{tmp_path}/a.h5", fields, where=where, split=split, batch_size=9, shuffle="none")
        return next(iter(ready(dm).train_dataloader()))

    coded = {
        "x": "x",
        "y": Field("cell", categories=["T", "B"], dtype="uint8"),
        "n": Field("number", categories=[4, 0]),
    }
    for where in ({"y": ["T", "B"]}, {"n": [0, 4]}, {"cell": ["B", "T", "?"]}, {"number": (0, 5)}):
        batch = batch_of(coded, where)
        assert batch["x"].tolist() == [0, 1, 3, 4, 6, 7]
        assert batch["y"].tolist() == [0, 1, 0, 1, 0, 0]
        assert batch["n"].tolist() == [1, 0, 1, 0, 1, 1]
    unknown = {"x": "x", "y": Field("cell", categories=["T", "B"], unknown=0)}
    assert batch_of(unknown, {"y": ["T"]})["x"].tolist() == [0, 3, 6, 7]
    with pytest.raises(FieldError, match=r"holds 'M' at row 2 of .*a\.h5"):
        batch_of(coded, {"x": (0, 3)})


@pytest.mark.parametrize(
    ("text", "classes"),
    [("true", ("healthy", "ill")), ("[ill, healthy, rare, common]", ("ill", "healthy", "rare", "common"))],
)
def test_categories_stand_in_yaml(labelled, ready, text, classes):
    yaml = (
        "defaults:\n  - data: h5\n  - _self_\ndata:\n"
        f"  files: {labelled}/t*_*.h5\n"
        f"  fields:\n    x: x\n    y: {{path: label, categories: {text}, unknown: -1}}\n"
    )
    assert ready(composed(yaml)).sample_spec["y"].classes == classes


@pytest.mark.filterwarnings("ignore:the checkpoint was trained with another split")
def test_files_without_a_train_split_need_the_categories_of_training(labelled, ready):
    fields = {"x": "x", "y": Field("label", categories=True)}
    trained = ready(H5DataModule(files_of(labelled), fields, batch_size=4))
    for role in ("test", "predict"):
        files = {role: f"{labelled}/test.h5"}
        new = ready(H5DataModule(files, fields, batch_size=4))
        batches = getattr(new, f"{role}_dataloader")
        with pytest.raises(
            NotSetUpError, match=r"categories=True.*no train split.*ckpt_path=.*list the categor"
        ):
            next(iter(batches()))
        assert new.sample_spec["y"].dtype == "int64"
        assert "classes" not in new.state_dict()  # what no training has numbered
        new.load_state_dict(trained.state_dict())
        assert next(iter(batches()))["y"].tolist() == [2, 0, 1]
        listed = fields | {"y": Field("label", categories=["ill", "healthy", "common"])}
        new = ready(H5DataModule(files, listed, batch_size=4))
        assert next(iter(getattr(new, f"{role}_dataloader")()))["y"].tolist() == [0, 2, 1]


def test_a_list_that_the_categories_of_a_checkpoint_replace_is_named(labelled, ready):
    fields = {"x": "x", "y": Field("label", categories=["ill", "healthy", "common", "rare"])}
    trained = ready(H5DataModule(files_of(labelled), fields, batch_size=4))
    other = fields | {"y": Field("label", categories=["common", "healthy", "ill", "rare"])}
    new = ready(H5DataModule(files_of(labelled), other, batch_size=4))
    with pytest.warns(
        UserWarning, match=r"field 'y': .*\['ill', 'healthy', .*instead of .*\['common', 'healthy'"
    ):
        new.load_state_dict(trained.state_dict())
    assert next(iter(new.test_dataloader()))["y"].tolist() == [0, 2, 1]
