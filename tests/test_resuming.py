"""Whether a run may go on: what differs, in words; real runs are resumed in ``multiprocess``."""

from __future__ import annotations

import pytest
from lightning.pytorch import Trainer, seed_everything
from recording import Recorder

from h5lightning import H5DataModule
from h5lightning.errors import ResumeError, SplitMismatchError
from h5lightning.position import Position
from h5lightning.resuming import Progress, check_same_data, explain_difference
from h5lightning.sharding import TrainingShards

SAVED = {
    "split": {"fingerprint": "a"},
    "seed": 1,
    "samples": {"kind": "rows"},
    "shuffle": {"mode": "full"},
    "order": "f",
}


def test_nothing_differs() -> None:
    assert explain_difference(SAVED, dict(SAVED)) == {}


@pytest.mark.parametrize("name", ["seed", "samples", "shuffle"])
def test_what_differs_is_said(name) -> None:
    differences = explain_difference(SAVED, {**SAVED, name: "other", "order": "g"})
    assert list(differences) == [name]
    assert differences[name] == f"{name} was {SAVED[name]!r}, is 'other'"


def test_another_order_of_the_same_options_is_told_too() -> None:
    assert "other chunks or weights" in explain_difference(SAVED, {**SAVED, "order": "g"})["order"]


def test_a_checkpoint_of_before_says_less() -> None:
    old = {name: SAVED[name] for name in ("split", "seed")}
    assert explain_difference(old, SAVED) == {}


def test_training_does_not_go_on_with_other_data() -> None:
    with pytest.raises(ResumeError, match=r"seed was 1.*on_other_data='restart_epoch'"):
        check_same_data({"seed": "seed was 1, is 2"}, is_training=True, on_other_data="raise")
    with pytest.raises(SplitMismatchError, match="a moved"):
        check_same_data({"split": "a moved"}, is_training=True, on_other_data="raise")


def test_it_goes_on_if_it_is_told_to() -> None:
    with pytest.warns(UserWarning, match="from the beginning of the epoch: seed was 1"):
        check_same_data({"seed": "seed was 1, is 2"}, is_training=True, on_other_data="restart_epoch")


def test_an_evaluation_minds_the_split_alone() -> None:
    check_same_data({"seed": "seed was 1, is 2"}, is_training=False, on_other_data="raise")
    with pytest.warns(UserWarning, match="another split: a moved"):
        check_same_data({"split": "a moved"}, is_training=False, on_other_data="raise")


def test_without_a_trainer_an_epoch_begins() -> None:
    progress = Progress()
    progress.begin_fit()
    progress.prepare(TrainingShards(10, 2))
    assert progress.next(None, None) == progress.now() == Position()
    progress.end(None)


def quiet(**options) -> Trainer:
    return Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


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
