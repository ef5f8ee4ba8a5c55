"""The seed of a run: given, of a checkpoint, or of the environment."""

from __future__ import annotations

import pytest
from lightning.pytorch import seed_everything
from module_runs import IDLE_WARNINGS, quiet_trainer, trained, training
from recording import Recorder

from h5lightning import H5DataModule
from h5lightning.datamodule.seed import RunSeed
from h5lightning.errors import OptionError

pytestmark = pytest.mark.filterwarnings(*IDLE_WARNINGS)


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


@pytest.mark.parametrize("seed", ["abc", "-1", "1.5", "", str(2**63)])
def test_a_seed_of_the_environment_that_is_no_seed_is_named(write_files, monkeypatch, seed) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", seed)
    dm = H5DataModule(write_files())
    with pytest.raises(OptionError, match="PL_GLOBAL_SEED must be an integer"):
        _ = dm.seed
    assert H5DataModule(write_files(), seed=3).seed == 3


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
