"""The data of a DataModule from hook to hook: set up, saved, loaded, copied, closed."""

from __future__ import annotations

import itertools
import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import seed_everything
from module_runs import IDLE_WARNINGS, ids_of, quiet_trainer, set_up, training
from recording import Recorder

from h5lightning import H5DataModule
from h5lightning.errors import NotSetUpError, ResumeError, SplitMismatchError

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings(*IDLE_WARNINGS)]
quiet = partial(quiet_trainer, num_sanity_val_steps=0)


def test_without_setup_it_says_what_to_do() -> None:
    dm = H5DataModule("nowhere/*.h5")
    with pytest.raises(NotSetUpError, match=r"dm\.setup"):
        dm.train_dataloader()
    assert "None" in str(dm)


def test_a_resumed_run_keeps_its_seed_and_split(write_files, tmp_path) -> None:
    files = write_files()
    seed_everything(11)
    first, model = H5DataModule(files, ["x", "y"], provenance=True), Recorder()
    runner = quiet_trainer(max_epochs=1)
    runner.fit(model, datamodule=first)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    seed_everything(12)
    second, again = H5DataModule(files, ["x", "y"], provenance=True), Recorder()
    quiet_trainer(max_epochs=2).fit(again, datamodule=second, ckpt_path=tmp_path / "last.ckpt")
    assert second.seed == 11
    assert second.splits == first.splits
    restored = H5DataModule.load_from_checkpoint(tmp_path / "last.ckpt")
    restored.prepare_data()
    restored.setup()
    assert restored.splits == first.splits


def test_a_run_is_not_resumed_with_another_split(write_files, tmp_path) -> None:
    files = write_files()
    runner = quiet_trainer(max_epochs=1)
    runner.fit(Recorder(), datamodule=H5DataModule(files, ["x", "y"], provenance=True))
    runner.save_checkpoint(tmp_path / "last.ckpt")
    other = H5DataModule(files, ["x", "y"], provenance=True, split={"val": 0.4})
    with pytest.raises(SplitMismatchError, match=r"another split.*run-0"):
        quiet_trainer(max_epochs=2).fit(Recorder(), datamodule=other, ckpt_path=tmp_path / "last.ckpt")


def test_a_copy_keeps_split_manifest_and_checkpoint(make, write_files, tmp_path) -> None:
    files = write_files()
    dm = H5DataModule(files, ["x", "y"], provenance=True)
    runner = quiet_trainer(max_epochs=1)
    runner.fit(Recorder(), datamodule=dm)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    dm.save_split(tmp_path / "split.json")
    copy = tmp_path / "scratch"
    shutil.copytree(Path(files).parent, copy)
    moved = H5DataModule(str(copy / "*.h5"), ["x", "y"], provenance=True)
    quiet_trainer(max_epochs=2).fit(Recorder(), datamodule=moved, ckpt_path=tmp_path / "last.ckpt")
    known = make(str(copy / "*.h5"), split={"manifest": str(tmp_path / "split.json")}, seed=99)
    for other in (moved, known):
        found = {name: [Path(path).name for path in paths] for name, paths in other.splits.items()}
        assert found == {name: [Path(path).name for path in paths] for name, paths in dm.splits.items()}


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
        quiet_trainer(max_epochs=1).fit(Failing(), datamodule=dm)
    assert open_h5() == 0
    quiet_trainer(max_epochs=1).fit(Recorder(), datamodule=dm)
    assert open_h5() == 0


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


@pytest.mark.timeout(120)
def test_what_is_not_a_resume_begins_at_the_beginning(write_files, tmp_path) -> None:
    """Validation and `load_from_checkpoint` load the same state; a new fit without it knows nothing of it."""
    seed_everything(3, verbose=False)
    files, path = write_files(), tmp_path / "mid.ckpt"

    class Saving(Recorder):
        def on_train_batch_end(self, outputs, batch, number):
            if (self.current_epoch, number) == (0, 2):
                self.trainer.save_checkpoint(path)

    dm, model = H5DataModule(files, ["x", "y"], batch_size=7, provenance=True), Saving()
    quiet(max_epochs=1).fit(model, datamodule=dm)
    whole = model.seen["train"][0]
    resumed = H5DataModule(files, ["x", "y"], batch_size=7, provenance=True)
    rest = Recorder()
    quiet(max_epochs=1).fit(rest, datamodule=resumed, ckpt_path=path)
    assert rest.seen["train"][0] == whole[3 * 7 :]
    again = Recorder()
    quiet(max_epochs=1).fit(again, datamodule=resumed)
    assert again.seen["train"][0] == whole
    loaded, fresh = H5DataModule.load_from_checkpoint(path), Recorder()
    quiet(max_epochs=1).fit(fresh, datamodule=loaded)
    assert fresh.seen["train"][0] == whole


# ── without a Trainer ────────────────────────────────────────────────────────────────────────────────


def test_a_loop_of_ones_own_goes_on(write_files) -> None:
    files = write_files([50, 46])
    dm = set_up(files)
    epochs = [ids_of(dm.train_dataloader()) for _ in range(3)]
    dm.teardown()
    dm = set_up(files)
    list(dm.train_dataloader())
    assert dm.state_dict()["position"]["epoch"] == 1
    batches = iter(dm.train_dataloader())
    assert ids_of(itertools.islice(batches, 5)) == epochs[1][:40]
    state = json.loads(json.dumps(dm.state_dict()))
    other = set_up(files)
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert [ids_of(other.train_dataloader()) for _ in range(2)] == [epochs[1][40:], epochs[2]]
    later = training(files)
    later.load_state_dict(state)
    later.prepare_data()
    later.setup()
    assert ids_of(later.train_dataloader()) == epochs[1][40:]
    for one in (dm, other, later):
        one.teardown()


def test_several_iterators_have_no_one_position(write_files) -> None:
    dm = set_up(write_files([50, 46]))
    first, second = iter(dm.train_dataloader()), iter(dm.train_dataloader())
    next(first)
    assert dm.state_dict()["position"]["steps"] == 1, "the other has delivered nothing"
    next(second)
    with pytest.raises(ResumeError, match=r"2 iterators.*loader\.state_dict\(\)"):
        dm.state_dict()
    del first
    assert dm.state_dict()["position"]["epoch"] == 1
    dm.teardown()


def test_other_data_are_refused_without_a_trainer_too(write_files) -> None:
    files = write_files([50, 46])
    dm, other = set_up(files), set_up(files, shuffle="none")
    next(iter(dm.train_dataloader()))
    with pytest.raises(ResumeError, match="shuffle was"):
        other.load_state_dict(dm.state_dict())
    for one in (dm, other):
        one.teardown()
