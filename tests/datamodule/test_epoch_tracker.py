"""Where training is: real runs in one process that are stopped and resumed; those of several in ``multiprocess``."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from module_runs import IDLE_WARNINGS, quiet_trainer, set_up, trained, training
from recording import Recorder

from h5lightning.datamodule.epoch_tracker import EpochTracker
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.sampling.training_shards import TrainingShards


def test_without_a_trainer_an_epoch_begins() -> None:
    progress = EpochTracker()
    progress.begin_fit()
    progress.prepare(TrainingShards(10, 2))
    assert progress.next(None, None) == progress.now() == TrainingProgress()
    progress.end(None)


# ── runs that were ended inside of an epoch ──────────────────────────────────────────────────────────


pytestmark = pytest.mark.filterwarnings(*IDLE_WARNINGS)
quiet = partial(quiet_trainer, num_sanity_val_steps=0)


class Ids(LightningModule):
    """Keeps the ids of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.ids = []

    def training_step(self, batch, number):
        self.ids.append(batch["sample_id"].tolist())
        return self.weight * batch["x"].mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stopping(Callback):
    """Asks the Trainer to stop after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, *rest) -> None:
        trainer.should_stop = trainer.global_step == self.steps


def ended(files, folder, *, how: str, steps: int, saved: str, val: float) -> tuple[list[int], str]:
    """What a run has seen that something ended after some steps, and its checkpoint."""
    model, callbacks = Recorder(), []
    if how == "should_stop":
        callbacks.append(Stopping(steps))
    if saved == "at its end":
        callbacks.append(ModelCheckpoint(folder, "end", save_on_train_epoch_end=True))
    limit = steps if how == "max_steps" else -1
    trainer = quiet(
        max_epochs=9, max_steps=limit, callbacks=callbacks, enable_checkpointing=saved == "at its end"
    )
    trainer.fit(model, datamodule=training(files, val=val))
    path = str(folder / ("end.ckpt" if saved == "at its end" else "after.ckpt"))
    if saved == "afterwards":
        trainer.save_checkpoint(path)
    return trained(model), path


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("saved", ["afterwards", "at its end"])
@pytest.mark.parametrize("how", ["max_steps", "should_stop"])
def test_a_run_that_was_ended_inside_an_epoch_goes_on_there(write_files, tmp_path, how, saved) -> None:
    """Lightning counts the epoch as done."""
    files = write_files([50, 46])
    for number, (steps, limit, (batch_size, val)) in enumerate(
        itertools.product((5, 15), (-1, 600), [(8, 0), (4, 0.25)])
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        first, path = ended(files, folder, how=how, steps=steps, saved=saved, val=val)
        model = Recorder()
        again = quiet(max_epochs=4, max_steps=limit)
        again.fit(model, datamodule=training(files, val=val, batch_size=batch_size), ckpt_path=path)
        numbers, size = first + trained(model), 96 if val == 0 else 72
        epochs = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        assert len(epochs) > 1
        assert {len(epoch) for epoch in epochs} == {size}
        assert all(len(set(epoch)) == size for epoch in epochs)


@pytest.mark.timeout(120)
def test_a_run_may_be_ended_again_and_again(write_files, tmp_path) -> None:
    files, numbers, path = write_files([50, 46]), [], None
    for steps in (5, 7, 11, 16, 24):
        model, trainer = Recorder(), quiet(max_steps=steps)
        trainer.fit(model, datamodule=training(files), ckpt_path=path)
        numbers += trained(model)
        path = str(tmp_path / "again.ckpt")
        trainer.save_checkpoint(path)
    assert sorted(numbers[:96]) == sorted(numbers[96:]) == list(range(96))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("asks", [False, True], ids=["plain", "asks for steps"])
@pytest.mark.parametrize("saved", ["afterwards", "at its end"])
def test_no_epoch_is_left_out_behind_the_end_of_another(write_files, tmp_path, saved, asks) -> None:
    """With max_steps, Lightning keeps the counter of steps of the epoch before (lightning#19617)."""
    files = write_files([50, 46])
    first, path = ended(files, tmp_path, how="max_steps", steps=12, saved=saved, val=0)
    for batch_size, limit in itertools.product((8, 4, 16), (-1, 600)):
        model = Asking() if asks else Recorder()
        again = quiet(max_epochs=3, max_steps=limit)
        again.fit(model, datamodule=training(files, batch_size=batch_size), ckpt_path=path)
        numbers = trained(model)
        assert len(numbers) == 2 * 96
        assert sorted(numbers[:96]) == sorted(numbers[96:]) == sorted(first) == list(range(96))


class Asking(Recorder):
    """Has the loader made before Lightning has restored its counters (lightning#20550)."""

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches
        return super().configure_optimizers()


class SavingAtStart(Callback):
    """Saves when the second epoch begins, before its first batch is asked for."""

    def on_train_epoch_start(self, trainer, module) -> None:
        if trainer.current_epoch == 1:
            trainer.save_checkpoint(trainer.default_root_dir + "/start.ckpt")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("batch_size", [8, 4, 16])
@pytest.mark.parametrize("limit", [-1, 600])
def test_what_was_saved_at_the_start_of_an_epoch_begins_it(write_files, tmp_path, batch_size, limit) -> None:
    files, model = write_files([50, 46]), Recorder()
    callbacks = [SavingAtStart()]
    quiet(max_epochs=2, callbacks=callbacks, default_root_dir=str(tmp_path)).fit(
        model, datamodule=training(files)
    )
    rest, path = Recorder(), str(tmp_path / "start.ckpt")
    quiet(max_epochs=3, max_steps=limit).fit(
        rest, datamodule=training(files, batch_size=batch_size), ckpt_path=path
    )
    assert trained(rest)[:96] == trained(model)[96:]
    assert [len(epoch) for epoch in rest.seen["train"]] == [96, 96]


class Looking(Callback):
    """Looks at batches of any size of any loader in the middle of training."""

    def on_train_batch_end(self, trainer, module, outputs, batch, number) -> None:
        dm = trainer.datamodule
        if number == 4:
            dm.batch_size = 40
            for loader in (dm.train_dataloader(), dm.val_dataloader(), trainer.train_dataloader):
                next(iter(loader))
                loader.state_dict()
            dm.train_dataset.read_batch([0, 1])
            dm.batch_size = 8
        if (trainer.current_epoch, number) == (0, 7):
            trainer.save_checkpoint(trainer.default_root_dir + "/looked.ckpt")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [0, 2])
def test_looking_at_batches_moves_no_position(write_files, tmp_path, workers) -> None:
    files, model, rest = write_files([50, 46]), Recorder(), Recorder()
    options = {"val": 0.25, "num_workers": workers}
    quiet(max_epochs=2, callbacks=[Looking()], default_root_dir=str(tmp_path)).fit(
        model, datamodule=training(files, **options)
    )
    dm = training(files, **options)
    quiet(max_epochs=2).fit(rest, datamodule=dm, ckpt_path=str(tmp_path / "looked.ckpt"))
    assert trained(rest) == trained(model)[8 * 8 :]
    state = dm.state_dict()["position"]
    next(iter(dm.train_dataloader()))
    assert dm.state_dict()["position"] == state
    dm.teardown()


class Making(Callback):
    """Makes loaders of other sizes in the middle of each epoch."""

    def on_train_batch_end(self, trainer, module, outputs, batch, number) -> None:
        dm, size = trainer.datamodule, trainer.datamodule.batch_size
        for other in (1, 40, 96):
            dm.batch_size = other
            dm.train_dataloader()
        dm.batch_size = size


@pytest.mark.timeout(120)
@pytest.mark.parametrize("batch_size", [8, 4])
def test_making_loaders_changes_no_later_epoch(write_files, tmp_path, batch_size) -> None:
    """A resumed epoch of another length needs a new loader behind it."""
    files, model = write_files([50, 46]), Recorder()
    _, path = ended(files, tmp_path, how="max_steps", steps=5, saved="afterwards", val=0)
    quiet(max_epochs=4, callbacks=[Making()]).fit(
        model, datamodule=training(files, batch_size=batch_size), ckpt_path=path
    )
    assert [len(epoch) for epoch in model.seen["train"]] == [56, 96, 96]


@pytest.mark.timeout(120)
def test_loaders_that_are_given_to_fit_go_on_alone(write_files, tmp_path) -> None:
    """Lightning saves the state of a loader, and loads it into the new one."""
    files, whole = write_files([50, 46]), Ids()

    def loader():
        dm = set_up(files)
        return dm, dm.train_dataloader()

    dm, first = loader()
    saving = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    quiet(max_epochs=3, callbacks=[saving], enable_checkpointing=True).fit(whole, train_dataloaders=first)
    dm.teardown()
    for step, limit in itertools.product((1, 5, 11, 12, 13, 24, 30, 35), (-1, 36)):
        rest, (dm, again) = Ids(), loader()
        quiet(max_epochs=3, max_steps=limit).fit(
            rest, train_dataloaders=again, ckpt_path=str(tmp_path / f"step={step}.ckpt")
        )
        assert rest.ids == whole.ids[step:], step
        dm.teardown()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["max_steps", "should_stop"])
def test_a_run_that_goes_on_in_the_rest_of_an_epoch_may_be_saved_there(write_files, tmp_path, how) -> None:
    files = write_files([50, 46])
    first, path = ended(files, tmp_path, how=how, steps=3, saved="afterwards", val=0)
    limit = 600 if how == "max_steps" else -1
    for steps in (1, 2, 5, 8, 9, 10):
        saving = ModelCheckpoint(tmp_path / f"{steps}", "mid", every_n_train_steps=3 + steps)
        middle = Stopped(first_steps=3 + steps)
        with pytest.raises(KeyError):
            quiet(max_epochs=4, max_steps=limit, callbacks=[saving], enable_checkpointing=True).fit(
                middle, datamodule=training(files), ckpt_path=path
            )
        rest = Recorder()
        quiet(max_epochs=4, max_steps=limit).fit(
            rest, datamodule=training(files), ckpt_path=str(tmp_path / f"{steps}" / "mid.ckpt")
        )
        numbers = first + middle.trained[: 8 * steps] + trained(rest)
        assert sorted(numbers[:96]) == sorted(numbers[96:192]) == list(range(96)), steps


class Stopped(Recorder):
    """Fails two steps after a number of them."""

    def __init__(self, first_steps: int) -> None:
        super().__init__()
        self.first_steps = first_steps
        self.trained = []

    def training_step(self, batch, number):
        if self.global_step == self.first_steps + 2:
            raise KeyError("enough")
        self.trained += batch["sample_id"].tolist()
        return super().training_step(batch, number)
