"""The DataModule: every sample where it belongs, with the values that its file holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.parsing import lightning_getattr, lightning_setattr
from module_runs import ids_of, quiet_trainer
from recording import Recorder, check_values
from torch.utils.data import DataLoader, Subset

from h5lightning import Access, Field, H5DataModule, Split, Windows
from h5lightning.errors import (
    NonFiniteError,
)

pytestmark = pytest.mark.timeout(120)
SAMPLES = {
    "rows": None,
    "windows": {"kind": "windows", "length": 4},
    "dilated": {"kind": "windows", "length": 3, "stride": 2, "dilation": 3},
}


@pytest.mark.parametrize("samples", SAMPLES.values(), ids=SAMPLES)
def test_every_sample_once_with_its_values(make, write_files, samples) -> None:
    dm = make(write_files(), samples=samples)
    seen = []
    for loader in (dm.train_dataloader(), dm.val_dataloader(), dm.test_dataloader()):
        for batch in loader:
            check_values(dm, batch)
            seen.extend(batch["sample_id"].tolist())
    assert sorted(seen) == list(range(len(dm.train_dataset.index)))


@pytest.mark.parametrize("shuffle", ["full", "block", "none", "auto"])
def test_orders_deliver_the_same_samples(make, write_files, shuffle) -> None:
    dm = make(write_files(options={"chunks": (8, 2, 3), "compression": "gzip"}), shuffle=shuffle)
    loader = dm.train_dataloader()
    first = ids_of(loader)
    loader.sampler.set_epoch(1)
    second = ids_of(loader)
    assert sorted(first) == sorted(second)
    assert (first == second) == (shuffle == "none")


def test_one_file_of_ten_rows_works_with_the_defaults(make, write_files) -> None:
    dm = make(write_files([10]), batch_size=32)
    sizes = {name: len(getattr(dm, f"{name}_dataset")) for name in ("train", "val", "test")}
    assert sizes == {"train": 8, "val": 1, "test": 1}
    assert next(iter(dm.train_dataloader()))["x"].shape == (8, 2, 3)


def test_a_list_of_batches_holds_distinct_batches(make, write_files) -> None:
    dm = make(write_files())
    for batch in list(dm.train_dataloader()):
        check_values(dm, batch)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_trainer_sees_every_sample_once(write_files, num_workers) -> None:
    dm = H5DataModule(
        write_files(), ["x", "y"], batch_size=9, provenance=True, num_workers=num_workers, timeout_s=60
    )
    model = Recorder()
    runner = quiet_trainer(max_epochs=2, num_sanity_val_steps=0)
    runner.fit(model, datamodule=dm)
    runner.test(model, datamodule=dm, verbose=False)
    predicted = torch.cat(runner.predict(model, datamodule=dm)).tolist()
    index = dm.train_dataset.index
    for epoch in range(2):
        ids = model.seen["train"][epoch] + model.seen["val"][epoch] + model.seen["test"][0]
        assert Counter(ids) == Counter(range(len(index)))
    assert model.seen["train"][0] != model.seen["train"][1]
    assert sorted(predicted) == sorted(model.seen["test"][0])


def test_new_files_move_no_known_file(make, write_files, tmp_path) -> None:
    dm = make(write_files())
    dm.save_split(tmp_path / "split.json")
    files = write_files((*(40, 25, 33, 10, 52, 18, 27, 36), 20, 21, 22))
    later = make(files, split={"manifest": str(tmp_path / "split.json"), "on_new": "split"})
    for name, paths in dm.splits.items():
        assert set(paths) <= set(later.splits[name])
    assert sum(map(len, later.splits.values())) == 11


def test_predict_files_may_lack_the_labels(make, write_files, tmp_path) -> None:
    labelled = write_files()
    unlabelled = tmp_path / "unlabelled.h5"
    with h5py.File(unlabelled, "w") as file:
        file["x"] = np.arange(30, dtype="float32").reshape(5, 2, 3)
    dm = make({"train": labelled, "predict": str(unlabelled)})
    (batch,) = dm.predict_dataloader()
    assert set(batch) == {"x", "sample_id"}
    assert dm.locate(batch["sample_id"])[4] == (str(unlabelled), "", 4)
    assert dm.val_dataloader() == dm.test_dataloader() == []


def test_an_explicit_mapping_is_taken_as_it_is(make, write_files) -> None:
    train, val = write_files(folder="train"), write_files([5, 6], folder="val")
    dm = make({"train": train, "val": val})
    assert [Path(path).parent.name for path in dm.splits["val"]] == ["val", "val"]
    assert len(dm.train_dataset) == 241
    assert dm.test_dataset is None


FIELDS = {
    "x": Field("x", steps=(0, 2)),
    "y": Field("x", steps=(1, 3), dtype="float64"),
    "viscosity": "attr:viscosity",
    "grid": Field("grid", constant=True),
    "label": {"path": "y", "dtype": "float32"},
}


def test_fields_of_every_kind(make, write_files) -> None:
    dm = make(write_files(), fields=FIELDS, samples=Windows(3, dilation=2))
    spec = {key: (found.shape, found.dtype) for key, found in dm.sample_spec.items()}
    assert spec == {
        "x": ((2, 2, 3), "float32"),
        "y": ((2, 2, 3), "float64"),
        "viscosity": ((), "float32"),
        "grid": ((2, 2), "float32"),
        "label": ((3,), "float32"),
    }
    batch = next(iter(dm.train_dataloader()))
    for number, (path, _, row) in enumerate(dm.locate(batch["sample_id"])):
        with h5py.File(path) as file:
            np.testing.assert_array_equal(batch["x"][number], file["x"][row : row + 4 : 2])
            np.testing.assert_array_equal(batch["y"][number], file["x"][row + 2 : row + 6 : 2])
            np.testing.assert_array_equal(batch["label"][number], file["y"][row : row + 6 : 2])
            assert batch["viscosity"][number] == file.attrs["viscosity"]
            np.testing.assert_array_equal(batch["grid"][number], file["grid"])


def noisy(sample, info):
    return {**sample, "noise": torch.rand((), generator=info.generator), "epoch": info.epoch}


def test_transforms_are_seeded_by_sample_and_epoch(make, write_files) -> None:
    files = write_files()
    alone = noise_of(make(files, transform={"train": noisy}))
    assert alone == noise_of(make(files, transform=noisy, num_workers=2, persistent_workers=True))
    assert alone[0].keys() == alone[1].keys()
    assert all(alone[0][number] != alone[1][number] for number in alone[0])


def noise_of(dm) -> list[dict[int, float]]:
    """What `noisy` drew for each sample in two epochs, while the global random state stays."""
    loader = dm.train_dataloader()
    before = torch.random.get_rng_state()
    noise = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        found = {}
        for batch in loader:
            assert batch["epoch"].tolist() == [epoch] * len(batch["x"])
            found |= dict(zip(batch["sample_id"].tolist(), batch["noise"].tolist(), strict=True))
        noise.append(found)
    assert torch.equal(before, torch.random.get_rng_state())
    return noise


def test_batch_transforms_see_whole_batches(make, write_files) -> None:
    def stack(batch, info):
        return {"sum": batch["x"].sum(dim=(1, 2)), "ids": torch.tensor(info.ids)}

    dm = make(write_files(), batch_transform=[stack], provenance=False)
    batch = next(iter(dm.train_dataloader()))
    assert set(batch) == {"sum", "ids"}
    assert dm.sample_spec["sum"].shape == ()


def test_values_that_are_not_finite_are_named(make, tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        values = np.zeros((20, 3), dtype="float32")
        values[13, 1] = np.nan
        file["x"] = values
    dm = make(
        str(tmp_path / "a.h5"), fields=["x"], access=Access(on_nonfinite="raise"), split=Split(None, None)
    )
    with pytest.raises(NonFiniteError, match=r"'x'.*row 13 of .*a\.h5"):
        list(dm.train_dataloader())


def test_the_tuner_may_change_the_batch_size(make, write_files) -> None:
    dm = make(write_files())
    dm.batch_size = 3
    assert next(iter(dm.train_dataloader()))["x"].shape[0] == 3


def test_lightning_finds_the_batch_size_where_it_looks(make, write_files) -> None:
    class Model(LightningModule):
        pass

    model = Model()
    model._trainer = type("Attached", (), {"datamodule": make(write_files())})()
    lightning_setattr(model, "batch_size", 5)
    assert lightning_getattr(model, "batch_size") == 5
    assert next(iter(model._trainer.datamodule.train_dataloader()))["x"].shape[0] == 5


# ── samples by their numbers ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["file", "block", "sample"])
@pytest.mark.parametrize("samples", list(SAMPLES))
def test_batches_are_read_again_by_their_ids(make, write_files, samples, by) -> None:
    if by == "sample" and samples != "rows":
        pytest.skip("windows are not split row by row")
    split = {"by": by, "val": 0.3, "test": 0.3}
    options = {"samples": SAMPLES[samples], "split": split, "transform": noisy}
    dm = make(write_files(), **options)
    for stage in ("train", "val", "test", "predict"):
        dataset = getattr(dm, f"{stage}_dataset")
        for batch in getattr(dm, f"{stage}_dataloader")():
            again = dataset.read_ids(batch["sample_id"])
            assert again.keys() == batch.keys()
            assert all(torch.equal(again[key], batch[key]) for key in batch)
        for batch in DataLoader(Subset(dataset, [2, 0]), 2):
            assert torch.equal(dataset.read_ids(batch["sample_id"])["x"], batch["x"])


def test_an_id_of_another_split_is_refused_by_name(make, write_files) -> None:
    dm = make(write_files(), split={"by": "file", "train": 0.5, "val": 0.1, "test": 0.1})
    ids = {name: getattr(dm, f"{name}_dataset").sample_ids([0])[0] for name in ("train", "val", "test")}
    unused = np.setdiff1d(
        np.arange(len(dm.train_dataset.index)),
        np.concatenate(
            [d.sample_ids(range(len(d))) for d in (dm.train_dataset, dm.val_dataset, dm.test_dataset)]
        ),
    )
    for name, other in (("train", "val"), ("val", "test"), ("test", "train")):
        dataset = getattr(dm, f"{name}_dataset")
        with pytest.raises(
            IndexError, match=rf"id {ids[other]} \(row 0 of .*\.h5\) is not .*'{name}'.*in '{other}'"
        ):
            dataset.read_ids([ids[name], ids[other]])
        with pytest.raises(IndexError, match=rf"id {unused[0]} .*in no split"):
            dataset.read_ids(unused)
        with pytest.raises(IndexError, match="sample ids must lie in"):
            dataset.read_ids([len(dataset.index)])


def test_ids_of_data_to_predict_are_read_again(make, write_files) -> None:
    files = {"train": write_files([9, 8]), "predict": write_files([7], folder="new")}
    dm = make(files)
    ids = torch.cat([batch["sample_id"] for batch in dm.predict_dataloader()])
    assert dm.predict_dataset.read_ids(ids)["sample_id"].tolist() == ids.tolist()
    with pytest.raises(IndexError, match="in 'predict': read it from the predict_dataset"):
        dm.train_dataset.read_ids(ids)


@pytest.mark.parametrize(
    "ids", [np.array([True, False]), "3", [0.9], None, [[0]], torch.tensor([1.0])], ids=repr
)
def test_locate_takes_numbers(make, write_files, ids) -> None:
    dm = make(write_files())
    with pytest.raises(TypeError, match="ids must be whole numbers"):
        dm.locate(ids)
    assert dm.locate(torch.tensor(3)) == dm.locate(3) == dm.locate(np.uint8(3)) == dm.locate([3])
    with pytest.raises(IndexError):
        dm.locate([2**63])
