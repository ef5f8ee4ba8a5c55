"""Weighted and balanced training: read from a field, checked, and drawn the same for any number of workers."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from recording import Recorder, check_values

from h5lightning import Field, H5DataModule, H5Dataset, Shuffle, Windows
from h5lightning.config import register
from h5lightning.errors import FieldError, MissingFieldError
from h5lightning.loading.sample_weights import read_weights

pytestmark = pytest.mark.timeout(60)
LENGTHS = (40, 25, 33, 10)
RARE = 4  # in every file, this label is rare


@pytest.fixture
def files(write_files):
    """Files with weights `w` from 0 to 1 and classes `c`, of which one is rare."""
    pattern = write_files(LENGTHS, options={"chunks": (8, 2, 3), "compression": "gzip"})
    for number, rows in enumerate(LENGTHS):
        with h5py.File(pattern.replace("*", f"run-{number:03}"), "r+") as file:
            file["w"] = np.linspace(0, 1, rows)
            file["c"] = np.where(np.arange(rows) == RARE, 7, -2)
            file["wide"] = np.zeros((rows, 1), "f4") + number
            file["complex"] = np.zeros(rows, "c8")
            file["bad"] = np.where(np.arange(rows) == number, [-1, np.nan, np.inf, 1][number], 1.0)
    return pattern


@pytest.fixture
def make(ready):
    usual = {"fields": ["x", "y", "c", "w"], "batch_size": 7, "provenance": True, "split": {"test": 0}}
    return lambda files, shuffle, **options: ready(H5DataModule(files, shuffle=shuffle, **(usual | options)))


def ids_of(dm, epoch=0):
    loader = dm.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [number for batch in loader for number in batch["sample_id"].tolist()]


def weights_of(files, shuffle, fields, samples=None):
    dataset = H5Dataset(files, fields, samples)
    try:
        return read_weights(dataset, shuffle)
    finally:
        dataset.close()


@pytest.mark.parametrize("mode", ["full", "block"])
def test_classes_are_equally_likely(make, files, mode):
    dm = make(files, Shuffle(mode, balance="c"))
    classes = []
    for batch in dm.train_dataloader():
        check_values(dm, batch)
        classes += batch["c"].tolist()
    assert len(classes) == len(dm.train_dataset)
    assert abs(classes.count(7) - len(classes) / 2) <= 1
    assert abs(classes.count(-2) - len(classes) / 2) <= 1


def test_samples_come_by_weight(make, files):
    dm = make(files, {"weights": "w"})
    found = np.zeros(len(dm.train_dataset.index))
    for epoch in range(50):
        found += np.bincount(ids_of(dm, epoch), minlength=len(found))
    ids = dm.train_dataset.sample_ids(np.arange(len(dm.train_dataset)))
    weights = dm.train_dataset.read_batch(np.arange(len(ids)), ["w"])["w"].numpy()
    expected = 50 * len(ids) * weights / weights.sum()
    assert found.sum() == 50 * len(ids), "evaluation samples are never drawn"
    assert np.abs(found[ids] - expected).max() < 4 * np.sqrt(50)
    assert not found[ids][weights == 0].any()


def test_the_same_draws_for_any_number_of_workers_and_reader(make, files):
    expected = ids_of(make(files, {"balance": "c"}), epoch=3)
    assert ids_of(make(files, {"balance": "c"}, num_workers=2), epoch=3) == expected
    assert ids_of(make(files, {"balance": "c"}, reader="h5py"), epoch=3) == expected
    assert ids_of(make(files, {"balance": "c"}, seed=1), epoch=3) != expected


def test_evaluation_is_never_weighted(make, files):
    dm = make(files, {"balance": "c"}, split={"val": 0.3, "test": 0.2})
    for loader, dataset in ((dm.val_dataloader(), dm.val_dataset), (dm.test_dataloader(), dm.test_dataset)):
        found = [number for batch in loader for number in batch["sample_id"].tolist()]
        assert found == dataset.sample_ids(np.arange(len(dataset))).tolist()


def test_an_attribute_weighs_whole_files(make, files):
    dm = make(files, {"weights": "number"}, fields={"x": "x", "number": "attr:number"})
    drawn = {location.file[-6:-3] for location in dm.locate(ids_of(dm))}
    assert "000" not in drawn
    assert drawn


@pytest.mark.parametrize("fit", [False, True], ids=["alone", "under a Trainer"])
def test_weights_are_read_once_and_only_for_training(files, fit):
    dm = H5DataModule(files, ["x", "bad"], shuffle={"weights": "bad"}, provenance=True)
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.test(Recorder(), datamodule=dm, verbose=False)
    with pytest.raises(FieldError, match=r"shuffle\.weights: field 'bad'"):
        trainer.fit(Recorder(), datamodule=dm) if fit else dm.train_dataloader()
    dm.teardown()


def test_a_resumed_run_takes_over_seed_and_split_of_its_weights(make, files):
    """The split of the checkpoint has other samples: their weights are read again."""
    trained = make(files, {"balance": "c"}, split={"by": "sample"}, seed=5)
    resumed = make(files, {"balance": "c"}, split={"by": "sample"})
    assert ids_of(resumed) != ids_of(trained)
    resumed.load_state_dict(trained.state_dict())
    assert ids_of(resumed) == ids_of(trained)


@pytest.mark.parametrize(
    ("shuffle", "error", "message"),
    [
        (Shuffle(balance="lable"), MissingFieldError, "shuffle.balance must name one of the fields, found 'lable'"),
        (Shuffle(weights="x"), FieldError, r"shuffle.weights needs one value for each sample.*\(2, 3\)"),
        (Shuffle(balance="w"), FieldError, "needs classes, which are integers or booleans; field 'w' is float64"),
        (Shuffle(weights="complex"), FieldError, "field 'complex' is complex64"),
        (Shuffle(weights="bad"), FieldError, r"field 'bad' is -1 at row 0 of .*run-000.h5 \(and wrong for 2 more"),
        (Shuffle(weights="zero"), FieldError, "field 'zero' is 0 for each of the 108 training samples"),
    ],
    ids=["missing", "shape", "float classes", "complex", "values", "all 0"],
)  # fmt: skip
def test_what_is_refused(files, shuffle, error, message):
    fields = {name: name for name in ("x", "w", "complex", "bad")}
    fields["zero"] = Field("c", dtype="float32")
    if shuffle.weights == "zero":
        for number, rows in enumerate(LENGTHS):
            with h5py.File(files.replace("*", f"run-{number:03}"), "r+") as file:
                file["c"][:] = np.zeros(rows)
    with pytest.raises(error, match=message):
        weights_of(files, shuffle, fields)


@pytest.mark.parametrize(
    ("shuffle", "fields", "samples", "expected"),
    [
        (Shuffle(weights="w"), {"x": "x", "w": "wide"}, None, np.repeat(range(4), LENGTHS)),
        (Shuffle(weights="w"), {"x": "x", "w": Field("w", dtype="bfloat16")}, None, None),
        (
            Shuffle(weights="w"),
            {"x": "x", "w": Field("wide", steps=(2, 3))},
            Windows(10),
            np.repeat(range(4), [rows - 9 for rows in LENGTHS]),
        ),
    ],
    ids=["one column", "bfloat16", "a step of a window"],
)
def test_one_value_of_any_shape(files, shuffle, fields, samples, expected):
    found = weights_of(files, shuffle, fields, samples)
    if expected is None:
        weights = np.concatenate([np.linspace(0, 1, rows) for rows in LENGTHS])
        expected = torch.from_numpy(weights).to(torch.bfloat16).double().numpy()
    assert found.tolist() == expected.tolist()


def test_each_sample_once_needs_no_weights(files):
    assert weights_of(files, Shuffle(), ["x"]) is None


def test_from_hydra(files):
    register()
    ConfigStore.instance().store(name="app", node={"defaults": [{"data": "h5"}, "_self_"]})
    with initialize(config_path=None, version_base="1.3"):
        config = compose("app", ["data.fields={x: x, c: c}", "data.shuffle={balance: c}"]).data
    GlobalHydra.instance().clear()
    config.files = files
    dm = instantiate(config)
    assert dm.hparams["shuffle"]["balance"] == "c"
    dm.setup()
    classes = torch.cat([batch["c"] for batch in dm.train_dataloader()]).tolist()
    assert abs(classes.count(7) - classes.count(-2)) <= 2
    dm.teardown()


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("mode", ["full", "block"])
def test_an_interrupted_run_goes_on_with_the_same_draws(files, tmp_path, mode):
    def fit(checkpoint=None):
        shuffle = {"mode": mode, "balance": "c"}
        dm = H5DataModule(files, ["x", "y", "c"], shuffle=shuffle, batch_size=9, provenance=True)
        folder = tmp_path / ("resumed" if checkpoint else "whole")
        saver = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=4, save_top_k=-1)
        trainer = Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_progress_bar=False, callbacks=[saver],
            enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        model = Recorder()
        trainer.fit(model, datamodule=dm, ckpt_path=checkpoint)
        return [number for epoch in model.seen["train"] for number in epoch]

    whole = fit()
    assert fit(tmp_path / "whole" / "step=4.ckpt") == whole[4 * 9 :]
