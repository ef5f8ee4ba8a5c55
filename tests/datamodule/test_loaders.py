"""The loaders of a DataModule: the same batches from threads and from workers, as dicts and as tuples."""

from __future__ import annotations

import itertools
import threading
import warnings

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from module_runs import quiet_trainer
from recording import Recorder

from h5lightning import H5DataModule
from h5lightning.errors import OptionError, ShardingError

pytestmark = pytest.mark.timeout(120)


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


def test_more_ranks_than_samples_is_an_error(make, write_files) -> None:
    dm = make(write_files([10]))
    dm.trainer = type("Ranks", (), {"distributed_sampler_kwargs": {"rank": 0, "num_replicas": 9}})()
    with pytest.raises(ShardingError, match="9 ranks"):
        dm.train_dataloader()


def test_lightning_features_that_touch_the_loader(write_files) -> None:
    files = write_files()
    for options in ({"overfit_batches": 2}, {"limit_train_batches": 3}, {"fast_dev_run": True}):
        model = Recorder()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quiet_trainer(max_epochs=1, num_sanity_val_steps=0, **options).fit(
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
    quiet_trainer(max_epochs=1).fit(model, dm.train_dataloader())
    assert model.count == len(dm.train_dataset)


@pytest.mark.parametrize(
    ("reader", "threads", "expected"), [("h5py", None, 1), ("h5py", 3, 3), ("auto", 2, 2)]
)
def test_one_thread_reads_through_h5py_unless_a_number_is_given(ready, tmp_path, reader, threads, expected):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(40)
    dm = ready(H5DataModule(str(tmp_path / "*.h5"), reader=reader, threads=threads, split={"test": None}))
    assert dm.train_dataloader().threads == expected
    assert dm.val_dataloader().threads == expected
