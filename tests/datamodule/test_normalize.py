"""Normalised batches: the formula of float64 with NumPy's statistics of train, undone, and kept by checkpoints."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from module_runs import IDLE_WARNINGS, quiet_trainer

from h5lightning import Field, H5DataModule, Normalize, Whole, Windows
from h5lightning.errors import (
    FieldError,
    MissingFieldError,
    NotSetUpError,
    OptionError,
    ResumeError,
    SplitError,
)

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings(*IDLE_WARNINGS),
    pytest.mark.filterwarnings("ignore:The dataloader, .*, does not have many workers"),
    pytest.mark.filterwarnings("ignore:the checkpoint was trained with another split"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`"),
]
LENGTHS = (30, 17, 25, 41, 9, 22)
quiet = partial(quiet_trainer, num_sanity_val_steps=0)


def write(folder: Path, lengths=LENGTHS, far=1e6) -> str:
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(lengths):
        rng = np.random.default_rng([number, rows])
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["x"] = (rng.normal(size=(rows, 3)) * [1, 2, 0] + [far, 0, 4]).astype("f4")
            file["y"] = rng.normal(size=(rows, 2)) + 5
            file["image"] = rng.integers(0, 256, (rows, 4, 5, 3)).astype("u1")
            file["along"] = rng.normal(size=(7, rows)).astype("f4") + np.arange(7, dtype="f4")[:, None]
            file["packed"] = rng.integers(-90, 90, (rows, 2)).astype("i2")
            file["packed"].attrs["scale_factor"], file["packed"].attrs["add_offset"] = 0.01, 250.0
            file["valid"] = rng.integers(0, 2, rows).astype(bool)
            file["count"] = rng.integers(0, 9, rows)
            file["label"] = np.asarray(["cat", "dog", "eel"], dtype=object)[rng.integers(0, 3, rows)]
            file.attrs["mass"] = np.float32(number)
    return str(folder / "*.h5")


def of_train(dm, path):
    return [h5py.File(file)[path][()] for file in dm.splits["train"]]


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "runs")


@pytest.fixture
def make(files, ready):
    usual = {"split": {"by": "file", "val": 0.3, "test": None}, "batch_size": 16, "shuffle": "none"}
    return lambda fields, normalize, **options: ready(
        H5DataModule(files, fields, normalize=normalize, **usual | options)
    )


def read(dm, stage="train"):
    """The batches of a stage."""
    return [dict(batch) for batch in getattr(dm, f"{stage}_dataloader")()]


def test_each_kind_is_the_formula_with_the_statistics_of_train(make) -> None:
    fields = {"x": "x", "y": Field("y", dtype="float32"), "image": "image", "a": Field("along", axis=1)}
    fields |= {"t": Field("packed", decode="cf"), "m": Field(attr="mass"), "one": "y", "valid": "valid"}
    options = {"x": "standard", "y": "minmax", "image": {"per": "last"}, "a": "standard", "t": "quantile"}
    with pytest.warns(UserWarning, match="numbers of 'x' do not differ in the train split at 2: scale 1"):
        dm = make(fields, {**options, "m": "standard", "one": Normalize(per="all", where="valid")})
    stored = {key: np.concatenate(of_train(dm, path)).astype("f8") for key, path in [("x", "x"), ("y", "y")]}
    stored["image"] = np.concatenate(of_train(dm, "image")).astype("f8")
    stored["a"] = np.concatenate(of_train(dm, "along"), axis=1).T.astype("f8")
    stored["t"] = np.concatenate(of_train(dm, "packed")) * 0.01 + 250
    valid = np.concatenate(of_train(dm, "valid"))
    expected = {
        key: (stored[key] - stored[key].mean(axis)) / np.where((std := stored[key].std(axis)) > 0, std, 1)
        for key, axis in [("x", 0), ("image", (0, 1, 2)), ("a", 0)]
    }
    low, high = stored["y"].min(0), stored["y"].max(0)
    expected["y"] = (stored["y"] - low) / (high - low) * 2 - 1
    expected["one"] = (stored["y"] - stored["y"][valid].mean()) / stored["y"][valid].std()
    batches = read(dm)
    for key, values in expected.items():
        found = torch.cat([batch[key] for batch in batches])
        assert found.dtype is (torch.float64 if key == "one" else torch.float32)
        np.testing.assert_allclose(np.sort(found.numpy(), 0), np.sort(values, 0), rtol=2e-6, atol=2e-6)
    quantiles = dm.statistics["t"].quantiles
    t = torch.cat([batch["t"] for batch in batches])
    middle, half = (quantiles[0.99] + quantiles[0.01]) / 2, (quantiles[0.99] - quantiles[0.01]) / 2
    np.testing.assert_allclose(
        np.sort(t, 0), np.sort((stored["t"] - middle.numpy()) / half.numpy(), 0), atol=2e-6
    )
    mass = torch.cat([batch["m"] for batch in batches]).double()
    assert (mass.mean().item(), mass.std(correction=0).item()) == pytest.approx((0, 1), abs=1e-5)
    spec = dm.sample_spec
    assert {key: (spec[key].shape, spec[key].dtype) for key in ("image", "t", "one")} == {
        "image": ((4, 5, 3), "float32"),
        "t": ((2,), "float32"),
        "one": ((2,), "float64"),
    }
    undone = dm.denormalize(batches[0])
    assert torch.equal(undone["valid"], batches[0]["valid"])
    np.testing.assert_allclose(undone["x"][:3], of_train(dm, "x")[0][:3], rtol=1e-6)
    np.testing.assert_allclose(undone["image"][:3], of_train(dm, "image")[0][:3], atol=1e-4)


def test_windows_that_are_padded_and_samples_of_different_lengths(make) -> None:
    fields = {"x": "x", "a": Field("along", axis=1), "pad": "pad:x"}
    with pytest.warns(UserWarning, match="scale 1"):
        dm = make(fields, {"x": "standard", "a": "standard"}, samples=Windows(4, stride=3, pad="zero"))
    batch = read(dm)[0]
    assert batch["a"].shape[1:] == (7, 4)
    assert (batch["x"][batch["pad"]] == 0).all()
    assert batch["pad"].any()
    undone = dm.denormalize(batch)
    row = of_train(dm, "x")[0]
    np.testing.assert_allclose(undone["x"][0], row[:4], rtol=1e-6)
    np.testing.assert_allclose(undone["a"][0], of_train(dm, "along")[0][:, :4], atol=1e-5)
    for mode in ("list", "pad", "concat"):
        fields = {"x": Field("x", ragged=mode), "length": "length:x"}
        with pytest.warns(UserWarning, match="scale 1"):
            whole = make(fields, {"x": "standard"}, samples=Whole(), batch_size=2)
        batch = read(whole)[0]
        first, length = of_train(whole, "x")[0], int(batch["length"][0])
        found = whole.denormalize(batch)["x"]
        found = found[:length] if mode == "concat" else found[0][:length]
        np.testing.assert_allclose(found, first, rtol=1e-6)


def test_transforms_see_normalised_numbers_and_workers_deliver_the_same(make) -> None:
    options = {"y": "standard"}
    alone = read(make(["y"], options))
    seen = []

    def note(sample):
        seen.append(sample["y"].abs().max().item())
        return sample

    changed = read(make(["y"], options, transform=note))
    assert 0 < max(seen) < 5
    for other in (changed, read(make(["y"], options, num_workers=1))):
        assert all(torch.equal(one["y"], two["y"]) for one, two in zip(alone, other, strict=True))


def test_predictions_are_denormalised_with_their_gradient(make) -> None:
    with pytest.warns(UserWarning, match="scale 1"):
        dm = make(["x", "y"], {"x": "standard"}, as_tuple=["x", "y"])
    x, y = next(iter(dm.train_dataloader()))
    undone = dm.denormalize((x, y))
    assert undone[1] is y
    prediction = torch.randn(5, 7, 3, dtype=torch.bfloat16, requires_grad=True)
    far = dm.denormalize(prediction, key="x")
    assert far.dtype is torch.float32
    far.sum().backward()
    std = dm.statistics["x"].std
    torch.testing.assert_close(
        prediction.grad[0, 0].double(), torch.where(std > 0, std, 1), rtol=1e-2, atol=0
    )
    assert torch.equal(dm.denormalize(x, key="x"), undone[0])
    with pytest.raises(FieldError, match=r"shape \(5, 2\) does not have the last axes of field 'x'.*\(3,\)"):
        dm.denormalize(torch.zeros(5, 2), key="x")
    with pytest.raises(MissingFieldError, match="'y' is not normalised"):
        dm.denormalize(y, key="y")
    with pytest.raises(TypeError, match="say the field: key="):
        dm.denormalize(x)


@pytest.mark.parametrize(
    ("fields", "normalize", "error", "what"),
    [
        (
            ["count"],
            {"count": "standard"},
            OptionError,
            "is int64, and normalised numbers are floats.*float32",
        ),
        (["valid"], {"valid": "standard"}, OptionError, "holds no numbers to be normalised"),
        (["x"], {"xx": "standard"}, OptionError, "no field 'xx'.*'x'"),
        (["x"], {"x": {"where": "valid"}}, OptionError, "normalize.x.where: there is no field 'valid'"),
        (
            {"label": Field("label", categories=True)},
            {"label": "standard"},
            OptionError,
            "numbers of 3 categories, which have no mean",
        ),
    ],
)
def test_what_cannot_be_normalised(make, fields, normalize, error, what) -> None:
    with pytest.raises(error, match=what):
        make(fields, normalize)


def test_numbers_of_which_none_is_finite(tmp_path, ready) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.full((20, 2), np.nan, "f4")
    with pytest.raises(FieldError, match=r"no number of field 'x'.* is finite \(32 are NaN or infinite\)"):
        ready(H5DataModule(str(tmp_path / "a.h5"), ["x"], normalize={"x": "standard"}, split={"by": "block"}))


def test_a_number_beyond_float16_is_named(tmp_path, ready) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.asarray([0, 1] * 20 + [1e6] * 5, "f4")
    split = {"by": "block", "val": 0.1, "test": None}
    fields = {"x": Field("x", dtype="float16")}
    dm = ready(H5DataModule(str(tmp_path / "a.h5"), fields, normalize={"x": "standard"}, split=split))
    with pytest.raises(FieldError, match=r"at row 4\d of .*a.h5 is so far from those of the train split"):
        read(dm, "val")


def test_weights_are_those_of_the_files(files, ready) -> None:
    fields = {"w": Field("count", dtype="float32"), "y": "y"}
    options = {"split": {"val": None, "test": None}, "provenance": True, "shuffle": {"weights": "w"}}
    plain = ready(H5DataModule(files, fields, **options))
    other = ready(H5DataModule(files, fields, normalize={"w": "standard"}, **options))
    pairs = zip(plain.train_dataloader(), other.train_dataloader(), strict=True)
    assert all(torch.equal(one["sample_id"], two["sample_id"]) for one, two in pairs)


def test_class_weights_are_by_the_rows_of_train(make) -> None:
    dm = make({"label": Field("label", categories=True), "y": "y"}, None)
    labels = np.concatenate(of_train(dm, "label")).astype(str)
    counts = np.asarray([(labels == name).sum() for name in ("cat", "dog", "eel")])
    np.testing.assert_allclose(dm.class_weights("label"), len(labels) / (3 * counts), rtol=1e-6)
    assert dm.num_classes("label") == 3
    with pytest.raises(FieldError, match="'y' has no categories"):
        dm.class_weights("y")
    more = make({"label": Field("label", categories=["cat", "dog", "eel", "fox"])}, None)
    with pytest.raises(FieldError, match="'fox' of field 'label' does not occur in the train split"):
        more.class_weights("label")


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────


class Keeps(LightningModule):
    """One weight; keeps what it predicts of: the numbers as it got them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, number):
        return self.weight * batch["y"].mean()

    def predict_step(self, batch, number):
        return batch

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


FIELDS = {"y": "y", "label": Field("label", categories=True)}


@pytest.fixture
def trained(files, tmp_path):
    """A DataModule that was trained with, and its checkpoint."""
    dm = H5DataModule(
        files, FIELDS, normalize={"y": "standard"}, split={"by": "file", "val": 0.3, "test": None}
    )
    runner = quiet(max_epochs=1)
    runner.fit(Keeps(), datamodule=dm)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    return dm, tmp_path / "last.ckpt"


def elsewhere(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    with h5py.File(folder / "0.h5", "w") as file:
        file["y"] = np.random.default_rng(9).normal(size=(12, 2)) * 3
        file["label"] = np.asarray(["eel", "cat"] * 6, dtype=object)
    return str(folder / "*.h5")


def check_predicted(batches, other, dm):
    with h5py.File(other.replace("*", "0")) as file:
        y = torch.from_numpy(file["y"][()])
    torch.testing.assert_close(
        torch.cat([batch["y"] for batch in batches]), (y - dm.statistics["y"].mean) / dm.statistics["y"].std
    )
    assert torch.cat([batch["label"] for batch in batches]).tolist() == [2, 0] * 6  # dog is 1


def test_predicting_elsewhere_uses_statistics_and_categories_of_training(trained, tmp_path) -> None:
    dm, path = trained
    other = elsewhere(tmp_path)
    new = H5DataModule({"predict": other}, FIELDS, normalize={"y": "standard"})
    check_predicted(quiet().predict(Keeps(), datamodule=new, ckpt_path=path), other, dm)
    assert torch.equal(new.statistics["y"].mean, dm.statistics["y"].mean)
    loaded = H5DataModule.load_from_checkpoint(path, files={"predict": other}, split=None)
    check_predicted(quiet().predict(Keeps(), datamodule=loaded), other, dm)
    loaded = H5DataModule.load_from_checkpoint(path, files={"predict": other}, split=None)
    loaded.prepare_data()
    loaded.setup("predict")
    check_predicted(list(loaded.predict_dataloader()), other, dm)
    loaded.teardown()
    state = io.BytesIO()
    torch.save(loaded.state_dict(), state)
    state.seek(0)
    again = torch.load(state, weights_only=True)
    assert again["normalize"] == dm.state_dict()["normalize"]
    assert again["classes"] == {"label": ["cat", "dog", "eel"]}


def test_a_field_that_these_files_lack_is_denormalised_too(files, tmp_path, ready) -> None:
    split = {"by": "file", "val": None, "test": None}
    dm = ready(
        H5DataModule(files, ["image", "y"], normalize={"image": "standard", "y": "standard"}, split=split)
    )
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    with h5py.File(folder / "0.h5", "w") as file, h5py.File(files.replace("*", "0")) as source:
        file["image"] = source["image"][()]
    options = {"image": "standard", "y": "standard"}
    new = H5DataModule({"predict": str(folder / "*.h5")}, ["image", "y"], normalize=options)
    new.prepare_data()
    new.setup("predict")
    new.load_state_dict(dm.state_dict())
    assert next(iter(new.predict_dataloader())).keys() == {"image"}
    prediction = torch.randn(4, 2)
    assert torch.equal(new.denormalize(prediction, key="y"), dm.denormalize(prediction, key="y"))
    new.teardown()


def test_without_statistics_the_first_batch_says_what_to_do(tmp_path) -> None:
    new = H5DataModule({"predict": elsewhere(tmp_path)}, FIELDS, normalize={"y": "standard"})
    with pytest.raises(NotSetUpError, match=r"no train split, and no checkpoint.*ckpt_path="):
        quiet().predict(Keeps(), datamodule=new)
    assert new.sample_spec["y"].dtype == "float64"
    with pytest.raises(SplitError, match="there is no 'train'"):
        new.class_weights("label")


def test_a_channel_without_a_finite_number_is_named(tmp_path, ready) -> None:
    with h5py.File(tmp_path / "dead.h5", "w") as file:
        file["x"] = np.array([[1, np.nan, 5], [3, np.nan, 5]])
    with pytest.warns(UserWarning, match="normalize: ") as found:
        dm = ready(
            H5DataModule(
                f"{tmp_path}/dead.h5", ["x"], normalize={"x": "standard"}, split={"val": 0, "test": 0}
            )
        )
    assert [str(one.message).partition("'x' ")[2] for one in found] == [
        "do not differ in the train split at 2: scale 1",
        "in the train split is finite at 1: they are delivered as they are",
    ]
    values = dm.train_dataset.read_batch([0, 1])["x"]
    assert torch.equal(values[:, ::2], torch.tensor([[-1, 0], [1, 0]], dtype=torch.float64))
    assert values[:, 1].isnan().all()


def test_a_resumed_run_keeps_its_statistics_and_a_new_one_has_its_own(trained, files, tmp_path) -> None:
    dm, path = trained
    changed = write(tmp_path / "changed", far=0)
    with h5py.File(changed.replace("*", "0"), "r+") as file:
        file["y"][...] += 100
    options = {"split": {"by": "file", "val": 0.3, "test": None}, "on_other_data": "restart_epoch"}
    new = H5DataModule(changed, FIELDS, normalize={"y": "standard"}, **options)
    quiet(max_epochs=2).fit(Keeps(), datamodule=new, ckpt_path=path)
    assert torch.equal(new.statistics["y"].mean, dm.statistics["y"].mean)
    quiet(max_epochs=1).fit(Keeps(), datamodule=new)
    own = np.concatenate(of_train(new, "y")).mean(0)
    np.testing.assert_allclose(new.statistics["y"].mean, own, rtol=1e-9)
    assert not torch.equal(new.statistics["y"].mean, dm.statistics["y"].mean)


@pytest.mark.parametrize("now", [None, {"y": "minmax"}])
def test_numbers_that_are_normalised_in_another_way_are_refused(trained, files, now) -> None:
    _, path = trained
    split = {"by": "file", "val": 0.3, "test": 0.2}
    text = (
        r"'y' was normalised by Normalize\(kind='standard'.*, and is (not normalised|normalised by .*minmax)"
    )
    with pytest.raises(ResumeError, match=text):
        quiet(max_epochs=2).fit(
            Keeps(), datamodule=H5DataModule(files, FIELDS, normalize=now), ckpt_path=path
        )
    with pytest.raises(ResumeError, match=text):
        quiet().predict(
            Keeps(), datamodule=H5DataModule(files, FIELDS, normalize=now, split=split), ckpt_path=path
        )


def test_damaged_statistics_are_said(trained) -> None:
    dm, _ = trained
    state = dm.state_dict()
    del state["normalize"]["y"]["statistics"]["mean"]
    with pytest.raises(ResumeError, match="statistics of field 'y' in the checkpoint are damaged"):
        dm.load_state_dict(state)
