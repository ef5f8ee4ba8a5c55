"""What a saved state says, whether a run may continue it, and which seed counts then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lightning.pytorch import seed_everything
from module_runs import IDLE_WARNINGS, quiet_trainer, trained, training
from recording import Recorder

from h5lightning import H5DataModule
from h5lightning.datamodule.resume import (
    RunRecord,
    RunSeed,
    SavedRun,
    check_same_data,
    differences_between_runs,
)
from h5lightning.errors import OptionError, ResumeError, SplitMismatchError
from h5lightning.planning.sampling.training_progress import TrainingProgress

SAVED = RunRecord(
    seed=1, samples={"kind": "rows"}, shuffle={"mode": "full"}, order="f", split={"fingerprint": "a"}
)
POSITION = TrainingProgress(epoch=2, steps=3, samples=12)
IDLE = pytest.mark.filterwarnings(*IDLE_WARNINGS)


def test_nothing_differs() -> None:
    assert differences_between_runs(SAVED, replace(SAVED)) == {}


@pytest.mark.parametrize("name", ["seed", "samples", "shuffle"])
def test_what_differs_is_said(name) -> None:
    differences = differences_between_runs(SAVED, replace(SAVED, **{name: "other", "order": "g"}))
    assert list(differences) == [name]
    assert differences[name] == f"{name} was {getattr(SAVED, name)!r}, is 'other'"


def test_another_order_of_the_same_options_is_said_too() -> None:
    assert "other chunks or weights" in differences_between_runs(SAVED, replace(SAVED, order="g"))["order"]


def test_an_older_checkpoint_says_less() -> None:
    older = SavedRun.of_state({"seed": 1, "split": {"fingerprint": "a"}}, continues=True, is_own=False)
    assert older.position is None
    assert differences_between_runs(older.record, SAVED) == {}


def test_training_does_not_continue_with_other_data() -> None:
    with pytest.raises(ResumeError, match=r"seed was 1.*on_other_data='restart_epoch'"):
        check_same_data({"seed": "seed was 1, is 2"}, is_training=True, on_other_data="raise")
    with pytest.raises(SplitMismatchError, match="a moved"):
        check_same_data({"split": "a moved"}, is_training=True, on_other_data="raise")


def test_it_continues_if_the_option_allows_it() -> None:
    with pytest.warns(UserWarning, match="from the beginning of the epoch: seed was 1"):
        check_same_data({"seed": "seed was 1, is 2"}, is_training=True, on_other_data="restart_epoch")


def test_an_evaluation_warns_of_another_split_only() -> None:
    check_same_data({"seed": "seed was 1, is 2"}, is_training=False, on_other_data="raise")
    with pytest.warns(UserWarning, match="another split: a moved"):
        check_same_data({"split": "a moved"}, is_training=False, on_other_data="raise")


# ── the state ────────────────────────────────────────────────────────────────────────────────────────


def test_a_state_is_read_as_it_was_written() -> None:
    saved = SavedRun.of_state(SAVED.to_state(POSITION), continues=True, is_own=True)
    assert saved == SavedRun(SAVED, POSITION, is_own=True)


def test_the_position_counts_only_where_training_continues() -> None:
    state = {**SAVED.to_state(POSITION), "position": "of no use"}
    assert SavedRun.of_state(state, continues=False, is_own=False).position is None
    with pytest.raises(ResumeError, match="of no use"):
        SavedRun.of_state(state, continues=True, is_own=False)


def test_an_empty_state_is_explained() -> None:
    with pytest.raises(ResumeError, match=r"empty, because it was taken before setup\(\)"):
        SavedRun.of_state({}, continues=True, is_own=True)


@pytest.mark.parametrize(
    "state",
    [{"seed": 1}, {"split": {}}, {"seed": "1", "split": {}}, {"seed": 1, "split": "a"}, [1], "state"],
    ids=repr,
)
def test_what_is_not_a_state_is_refused(state) -> None:
    with pytest.raises(
        ResumeError, match=r"not the state of an H5DataModule: found .*loader\.load_state_dict\(\)"
    ):
        SavedRun.of_state(state, continues=True, is_own=True)


def test_the_position_of_the_same_data_is_that_of_the_state() -> None:
    saved = SavedRun(SAVED, POSITION, is_own=False)
    assert saved.position_in(SAVED, on_other_data="raise") == POSITION


def test_the_position_in_other_data_has_all_samples_left() -> None:
    saved = SavedRun(SAVED, POSITION, is_own=False)
    with pytest.warns(UserWarning, match="from the beginning of the epoch: seed was 1"):
        position = saved.position_in(replace(SAVED, seed=2), on_other_data="restart_epoch")
    assert position == replace(POSITION, samples=0)


# ── the seed ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_given_seed_is_kept() -> None:
    seed = RunSeed(3)
    assert not seed.take_over(4, is_kept=True)
    assert not seed.begin_fit()
    assert seed.value == 3


def test_the_seed_of_a_checkpoint_counts_until_the_next_fit() -> None:
    seed = RunSeed(None)
    assert not seed.take_over(0, is_kept=False)
    assert seed.take_over(4, is_kept=False)
    assert seed.value == 4
    assert seed.begin_fit()
    assert seed.value == 0


def test_the_seed_of_a_loaded_state_is_kept() -> None:
    seed = RunSeed(None)
    assert seed.take_over(4, is_kept=True)
    assert not seed.begin_fit()
    assert seed.value == 4


@IDLE
@pytest.mark.parametrize("seed", ["abc", "-1", "1.5", "", str(2**63)])
def test_a_seed_of_the_environment_that_is_no_seed_is_named(write_files, monkeypatch, seed) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", seed)
    dm = H5DataModule(write_files())
    with pytest.raises(OptionError, match="PL_GLOBAL_SEED must be an integer"):
        _ = dm.seed
    assert H5DataModule(write_files(), seed=3).seed == 3


@IDLE
@pytest.mark.timeout(120)
def test_the_seed_of_a_checkpoint_stays_for_its_own_run_alone(write_files, tmp_path) -> None:
    files, path = write_files([50, 46]), str(tmp_path / "seed.ckpt")
    seed_everything(5, verbose=False)
    trainer, own = quiet_trainer(max_epochs=1, num_sanity_val_steps=0), training(files, val=0.25)
    trainer.fit(Recorder(), datamodule=own)
    trainer.save_checkpoint(path)
    seed_everything(6, verbose=False)
    dm, first, again = training(files, val=0.25), Recorder(), Recorder()
    quiet_trainer(max_epochs=1, num_sanity_val_steps=0).fit(first, datamodule=dm)
    quiet_trainer(max_epochs=2, num_sanity_val_steps=0).fit(Recorder(), datamodule=dm, ckpt_path=path)
    assert dm.seed == 5
    assert set(dm.val_dataset.sample_ids(range(24))) == set(own.val_dataset.sample_ids(range(24)))
    quiet_trainer(max_epochs=1, num_sanity_val_steps=0).fit(again, datamodule=dm)
    assert dm.seed == 6
    assert trained(again) == trained(first)


def states(make, write_files):
    dm = make(write_files())
    return dm, dm.state_dict()


def test_a_seed_may_be_an_integer_of_numpy(make, write_files) -> None:
    dm, state = states(make, write_files)
    dm.load_state_dict({**state, "seed": np.int64(dm.seed)})


@pytest.mark.parametrize("name", ["samples", "shuffle", "order"])
def test_a_value_of_none_differs_and_an_absent_one_does_not(make, write_files, name) -> None:
    dm, state = states(make, write_files)
    with pytest.raises(ResumeError, match="another order"):
        dm.load_state_dict({**state, name: None})
    dm.load_state_dict({key: value for key, value in state.items() if key != name})


@pytest.mark.parametrize("change", [{"seed": "5"}, {"split": None}], ids=str)
def test_what_is_wrong_in_a_state_is_named(make, write_files, change) -> None:
    dm, state = states(make, write_files)
    with pytest.raises(ResumeError, match=r"found seed=.* and a split of type \w+, expected"):
        dm.load_state_dict({**state, **change})
