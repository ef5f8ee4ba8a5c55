"""The DataModule: every sample where it belongs, with the values that its file holds."""

from __future__ import annotations

import itertools
import pickle
import shutil
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.utilities.parsing import lightning_getattr, lightning_setattr
from recording import Recorder, check_values
from torch.utils.data import DataLoader, Subset

from h5lightning import Access, Field, H5DataModule, Shuffle, Split, Windows
from h5lightning.errors import (
    NonFiniteError,
    NotSetUpError,
    OptionError,
    ShardingError,
    SplitMismatchError,
)

pytestmark = pytest.mark.timeout(120)
SAMPLES = {
    "rows": None,
    "windows": {"kind": "windows", "length": 4},
    "dilated": {"kind": "windows", "length": 3, "stride": 2, "dilation": 3},
}


@pytest.fixture
def make() -> Iterator[Callable[..., H5DataModule]]:
    """A function that makes DataModules and sets them up; they are torn down in the end."""
    made = []

    def setup(files, **options) -> H5DataModule:
        options = {"fields": ["x", "y"], "batch_size": 7, "provenance": True} | options
        dm = H5DataModule(files, **options)
        made.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    yield setup
    for dm in made:
        dm.teardown()


def ids_of(loader) -> list[int]:
    return [number for batch in loader for number in batch["sample_id"].tolist()]


def trainer(**options) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", enable_model_summary=False, **{**quiet, **options})


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


@pytest.mark.parametrize(
    ("context", "persistent"),
    [
        # Processes that import everything again take seconds: each way to start once here, all in campaigns.
        pytest.param(
            context, persistent, id=f"{'persistent' if persistent else 'fresh'}-{context}", marks=marks
        )
        for context in ("fork", "forkserver", "spawn")
        for persistent in (False, True)
        for marks in [
            [] if context == "fork" or persistent == (context == "spawn") else [pytest.mark.campaign]
        ]
    ],
)
@pytest.mark.slow
def test_workers_deliver_the_same_batches(make, write_files, context, persistent) -> None:
    files = write_files()
    alone = make(files).train_dataloader()
    helped = make(
        files, num_workers=2, multiprocessing_context=context, persistent_workers=persistent, timeout_s=60
    ).train_dataloader()
    for epoch in range(2):
        alone.sampler.set_epoch(epoch)
        helped.sampler.set_epoch(epoch)
        for expected, found in itertools.zip_longest(alone, helped):
            assert torch.equal(expected["x"], found["x"])
            assert torch.equal(expected["sample_id"], found["sample_id"])


@pytest.mark.parametrize("threads", [0, 1, 3, None])
def test_threads_deliver_the_same_batches(make, write_files, threads) -> None:
    files = write_files()
    expected = list(make(files, threads=0).train_dataloader())
    found = list(make(files, threads=threads).train_dataloader())
    for one, other in zip(expected, found, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_an_error_in_a_transform_reaches_the_loop(make, write_files) -> None:
    def stops(sample):
        raise StopIteration

    def fails(sample):
        raise LookupError("the transform fails")

    files = write_files()
    with pytest.raises(LookupError, match="the transform fails"):
        list(make(files, transform=fails).train_dataloader())
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(make(files, transform=stops).train_dataloader())


def test_a_loop_that_is_left_leaves_no_thread(make, write_files) -> None:
    def working() -> int:
        return sum(thread.name == "h5lightning-read-ahead" for thread in threading.enumerate())

    dm = make(write_files(), batch_size=2)
    for _ in dm.train_dataloader():
        break
    loader = dm.val_dataloader()
    batches = iter(loader)
    next(batches)
    dm.teardown()
    assert working() == 0


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
    runner = trainer(max_epochs=2, num_sanity_val_steps=0)
    runner.fit(model, datamodule=dm)
    runner.test(model, datamodule=dm, verbose=False)
    predicted = torch.cat(runner.predict(model, datamodule=dm)).tolist()
    index = dm.train_dataset.index
    for epoch in range(2):
        ids = model.seen["train"][epoch] + model.seen["val"][epoch] + model.seen["test"][0]
        assert Counter(ids) == Counter(range(len(index)))
    assert model.seen["train"][0] != model.seen["train"][1]
    assert sorted(predicted) == sorted(model.seen["test"][0])


def test_a_resumed_run_keeps_its_seed_and_split(write_files, tmp_path) -> None:
    files = write_files()
    seed_everything(11)
    first, model = H5DataModule(files, ["x", "y"], provenance=True), Recorder()
    runner = trainer(max_epochs=1)
    runner.fit(model, datamodule=first)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    seed_everything(12)
    second, again = H5DataModule(files, ["x", "y"], provenance=True), Recorder()
    trainer(max_epochs=2).fit(again, datamodule=second, ckpt_path=tmp_path / "last.ckpt")
    assert second.seed == 11
    assert second.splits == first.splits
    restored = H5DataModule.load_from_checkpoint(tmp_path / "last.ckpt")
    restored.prepare_data()
    restored.setup()
    assert restored.splits == first.splits


def test_a_run_is_not_resumed_with_another_split(write_files, tmp_path) -> None:
    files = write_files()
    runner = trainer(max_epochs=1)
    runner.fit(Recorder(), datamodule=H5DataModule(files, ["x", "y"], provenance=True))
    runner.save_checkpoint(tmp_path / "last.ckpt")
    other = H5DataModule(files, ["x", "y"], provenance=True, split={"val": 0.4})
    with pytest.raises(SplitMismatchError, match=r"another split.*run-0"):
        trainer(max_epochs=2).fit(Recorder(), datamodule=other, ckpt_path=tmp_path / "last.ckpt")


def test_a_copy_keeps_split_manifest_and_checkpoint(make, write_files, tmp_path) -> None:
    files = write_files()
    dm = H5DataModule(files, ["x", "y"], provenance=True)
    runner = trainer(max_epochs=1)
    runner.fit(Recorder(), datamodule=dm)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    dm.save_split(tmp_path / "split.json")
    copy = tmp_path / "scratch"
    shutil.copytree(Path(files).parent, copy)
    moved = H5DataModule(str(copy / "*.h5"), ["x", "y"], provenance=True)
    trainer(max_epochs=2).fit(Recorder(), datamodule=moved, ckpt_path=tmp_path / "last.ckpt")
    known = make(str(copy / "*.h5"), split={"manifest": str(tmp_path / "split.json")}, seed=99)
    for other in (moved, known):
        found = {name: [Path(path).name for path in paths] for name, paths in other.splits.items()}
        assert found == {name: [Path(path).name for path in paths] for name, paths in dm.splits.items()}


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


def test_batches_as_tuples(make, write_files) -> None:
    files = write_files()
    x, y = next(iter(make(files, as_tuple=["x", "y"]).train_dataloader()))
    assert x.shape == (7, 2, 3)
    assert y.shape == (7,)
    with pytest.raises(OptionError, match=r"as_tuple names \['z'\]"):
        next(iter(make(files, as_tuple=["x", "z"]).train_dataloader()))


def test_tuples_of_unlabelled_data_lack_the_labels(make, write_files, tmp_path) -> None:
    with h5py.File(tmp_path / "unlabelled.h5", "w") as file:
        file["x"] = np.zeros((5, 2, 3), dtype="float32")
    files = {"train": write_files(), "predict": str(tmp_path / "unlabelled.h5")}
    dm = make(files, as_tuple=["y", "x", "sample_id"])
    assert [tensor.shape for tensor in next(iter(dm.train_dataloader()))] == [(7,), (7, 2, 3), (7,)]
    assert [tensor.shape for tensor in next(iter(dm.predict_dataloader()))] == [(5, 2, 3), (5,)]


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": -1}, "batch_size must be"),
        ({"tail": "cut"}, "tail must be one of 'drop', 'repeat'"),
        ({"split": {"vall": 0.1}}, "did you mean 'val'"),
        ({"split": {"val": float("nan")}}, "fraction of the rows"),
        ({"shuffle": "fully"}, r"shuffle\.mode must be"),
        ({"dtype": "int8"}, "dtype is for floating fields"),
        ({"access": {"on_missing": "zero"}}, "on_missing"),
        ({"transform": {"training": noisy}}, "did you mean 'train'"),
        ({"num_workers": -1}, "num_workers"),
        ({"seed": 1.5}, "seed must be an integer of at least 0, found 1.5"),
        ({"index_dir": 3}, "index_dir must be text, found 3"),
        ({"as_tuple": "xy"}, "as_tuple must list keys of the batch.*found 'xy'"),
        ({"as_tuple": []}, r"as_tuple must list keys of the batch.*found \[\]"),
        ({"as_tuple": [1, 2]}, r"as_tuple must list keys of the batch.*found \[1, 2\]"),
        ({"multiprocessing_context": "thread"}, "multiprocessing_context"),
        ({"batch_size": True}, "batch_size must be an integer of at least 1, found True"),
        ({"batch_size": "8"}, "batch_size must be an integer of at least 1, found '8'"),
        ({"batch_size": 2**63}, "batch_size must be an integer of at most"),
        ({"seed": 2**63}, "seed must be an integer of at most 9223372036854775807"),
        ({"seed": True}, "seed must be"),
        ({"provenance": "False"}, "provenance must be true or false, found 'False'"),
        ({"drop_last": "False"}, "drop_last must be true or false, found 'False'"),
        ({"pin_memory": "no"}, "pin_memory must be true or false, found 'no'"),
        ({"persistent_workers": 1}, "persistent_workers must be true or false, found 1"),
        ({"num_workers": "2"}, "num_workers must be an integer"),
        ({"num_workers": 10**6}, "num_workers must be an integer of at most"),
        ({"threads": 10**6}, "threads must be an integer of at most"),
        ({"threads": True}, "threads must be an integer"),
        ({"prefetch_factor": 2**63}, "prefetch_factor must be an integer of at most"),
        ({"timeout_s": "5"}, "timeout_s must be a number of seconds"),
        ({"timeout_s": float("nan")}, "timeout_s must be a number of seconds.*found nan"),
        ({"timeout_s": float("inf")}, "timeout_s must be .*where 0 means no limit; found inf"),
        ({"timeout_s": -1}, "timeout_s must be a number of seconds"),
        ({"timeout_s": True}, "timeout_s must be a number of seconds"),
        ({"access": {"cache_bytes": 2**63}}, r"access\.cache_bytes must be an integer of at most"),
        ({"shuffle": {"window_bytes": 2**63}}, r"shuffle\.window_bytes must be an integer of at most"),
        ({"samples": {"length": 2**62, "dilation": 2**62}}, "the span of a window"),
    ],
    ids=lambda value: " ".join(map(str, *value.items())) if isinstance(value, dict) else "",
)
def test_wrong_options_are_refused_at_once(options, message) -> None:
    with pytest.raises(OptionError, match=message):
        H5DataModule("nowhere/*.h5", **options)


def test_without_setup_it_says_what_to_do() -> None:
    dm = H5DataModule("nowhere/*.h5")
    with pytest.raises(NotSetUpError, match=r"dm\.setup"):
        dm.train_dataloader()
    assert "None" in str(dm)


def test_more_ranks_than_samples_is_an_error(make, write_files) -> None:
    dm = make(write_files([10]))
    dm.trainer = type("Ranks", (), {"distributed_sampler_kwargs": {"rank": 0, "num_replicas": 9}})()
    with pytest.raises(ShardingError, match="9 ranks"):
        dm.train_dataloader()


def test_hyperparameters_are_plain(write_files, tmp_path) -> None:
    dm = H5DataModule(
        Path(write_files()),
        fields={"x": Field("x")},
        samples=Windows(2),
        split=Split(val=np.float64(0.2)),
        shuffle=Shuffle("block"),
        access=Access(locking=True),
    )
    torch.save(dict(dm.hparams), tmp_path / "hparams.pt")
    loaded = torch.load(tmp_path / "hparams.pt", weights_only=True)
    assert loaded["samples"] == {"kind": "windows", "length": 2, "stride": 1, "dilation": 1}
    H5DataModule(**loaded)


def test_the_tuner_may_change_the_batch_size(make, write_files) -> None:
    dm = make(write_files())
    dm.batch_size = 3
    assert next(iter(dm.train_dataloader()))["x"].shape[0] == 3


@pytest.mark.parametrize("size", [0, -1, True, "8", 8.0, None, [4], 2**63], ids=repr)
def test_a_batch_size_that_is_set_later_is_checked_like_the_argument(make, write_files, size) -> None:
    dm = make(write_files())
    with pytest.raises(OptionError, match="batch_size must be an integer of at"):
        dm.batch_size = size
    assert dm.batch_size == 7


@pytest.mark.parametrize(
    "size", [np.int64(3), np.uint8(3), torch.tensor(3)], ids=lambda size: type(size).__name__
)
def test_a_batch_size_may_be_an_integer_of_numpy_or_torch(make, write_files, size, tmp_path) -> None:
    dm = make(write_files(), batch_size=size)
    assert next(iter(dm.train_dataloader()))["x"].shape[0] == 3
    dm.batch_size = size
    assert (type(dm.batch_size), type(dm.hparams["batch_size"])) == (int, int)


def test_lightning_finds_the_batch_size_where_it_looks(make, write_files) -> None:
    class Model(LightningModule):
        pass

    model = Model()
    model._trainer = type("Attached", (), {"datamodule": make(write_files())})()
    lightning_setattr(model, "batch_size", 5)
    assert lightning_getattr(model, "batch_size") == 5
    assert next(iter(model._trainer.datamodule.train_dataloader()))["x"].shape[0] == 5


@pytest.mark.parametrize("seed", ["abc", "-1", "1.5", "", str(2**63)])
def test_a_seed_of_the_environment_that_is_no_seed_is_named(write_files, monkeypatch, seed) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", seed)
    dm = H5DataModule(write_files())
    with pytest.raises(OptionError, match="PL_GLOBAL_SEED must be an integer"):
        _ = dm.seed
    assert H5DataModule(write_files(), seed=3).seed == 3


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


def test_datasets_travel_without_open_files(make, write_files) -> None:
    dm = make(write_files())
    next(iter(dm.train_dataloader()))
    dataset = pickle.loads(pickle.dumps(dm.train_dataset))
    assert torch.equal(dataset[0]["x"], dm.train_dataset[0]["x"])
    dataset.close()


def test_a_datamodule_and_its_loaders_travel_while_they_work(make, write_files) -> None:
    dm = make(write_files(), batch_size=2)
    loader = dm.train_dataloader()
    batches = iter(loader)
    next(batches)
    copies = pickle.loads(pickle.dumps((dm, loader)))
    first, second = ids_of(copies[1]), ids_of(copies[0].train_dataloader())
    assert first != second, "the copies count their epochs together"
    assert sorted(first) == sorted(second)
    copies[0].teardown()


def test_files_are_closed_in_the_end(write_files) -> None:
    class Failing(Recorder):
        def training_step(self, batch, number):
            raise RuntimeError("the model fails")

    files = write_files()

    def open_h5() -> int:
        folder = str(Path(files).parent)
        return sum(1 for entry in Path("/dev/fd").iterdir() if _target(entry).startswith(folder))

    dm = H5DataModule(files, ["x", "y"], provenance=True)
    with pytest.raises(RuntimeError, match="the model fails"):
        trainer(max_epochs=1).fit(Failing(), datamodule=dm)
    assert open_h5() == 0
    trainer(max_epochs=1).fit(Recorder(), datamodule=dm)
    assert open_h5() == 0


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def test_lightning_features_that_touch_the_loader(write_files) -> None:
    files = write_files()
    for options in ({"overfit_batches": 2}, {"limit_train_batches": 3}, {"fast_dev_run": True}):
        model = Recorder()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer(max_epochs=1, num_sanity_val_steps=0, **options).fit(
                model, datamodule=H5DataModule(files, ["x", "y"], provenance=True)
            )
        assert model.seen["train"]


def test_a_plain_module_may_give_loaders_of_its_own(make, write_files) -> None:
    """The loaders work when they are passed to fit without the DataModule."""

    class Plain(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.count = 0

        def training_step(self, batch, _):
            self.count += len(batch["x"])
            return self.weight * batch["x"].mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    dm, model = make(write_files()), Plain()
    trainer(max_epochs=1).fit(model, dm.train_dataloader())
    assert model.count == len(dm.train_dataset)
