"""Checkpoints, configurations and command lines of earlier runs keep working.

The files in ``earlier`` were written by version 0.1.0. Do not write them again: a release that cannot read them breaks
the runs of its users. The HDF5 files of those runs are written here, with the same values.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.cli import LightningCLI
from omegaconf import OmegaConf

from h5lightning import H5DataModule
from h5lightning.config import H5DataConfig

EARLIER = Path(__file__).parent / "earlier"
LENGTHS = (19, 13, 24)
OPTIONS = {
    "files": "*.h5",
    "fields": {"x": "x", "y": {"path": "y", "dtype": "float32"}},
    "samples": {"kind": "windows", "length": 2},
    "split": {"val": 0.2, "test": None, "by": "block"},
    "batch_size": 3,
    "provenance": True,
    "index_dir": "index",
}

pytestmark = [
    pytest.mark.timeout(120),
    # Other versions of Lightning wrote these files.
    pytest.mark.filterwarnings("ignore:The loaded checkpoint was produced with Lightning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
]


class TinyModel(LightningModule):
    """One weight; keeps the ids of the samples that it was trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained: list[list[int]] = []

    def training_step(self, batch, number):
        if number == 0 or not self.trained:
            self.trained.append([])
        self.trained[-1].extend(batch["sample_id"].tolist())
        return self.weight * batch["x"].mean()

    def validation_step(self, batch, _):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(autouse=True)
def _in_folder_of_files(tmp_path, monkeypatch) -> None:
    """The earlier run had relative patterns."""
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)


def write_files(folder: Path) -> None:
    for number, rows in enumerate(LENGTHS):
        with h5py.File(folder / f"run-{number}.h5", "w") as file:
            file["x"] = (np.arange(rows * 2) + 100 * number).reshape(rows, 2).astype("float32")
            file["y"] = np.arange(rows) % 3


def quiet(**options) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def trained_afterwards() -> list[list[int]]:
    """Ids of the samples that the earlier run trained with after it had saved its checkpoint, epoch by epoch."""
    return json.loads((EARLIER / "inside_epoch.json").read_text())


def test_a_checkpoint_goes_on_with_the_samples_that_were_left() -> None:
    seed_everything(99, verbose=False)  # the checkpoint's seed counts
    model, dm = TinyModel(), H5DataModule(**OPTIONS)
    quiet(max_epochs=3).fit(model, datamodule=dm, ckpt_path=EARLIER / "inside_epoch.ckpt")
    assert model.trained == trained_afterwards()
    assert dm.seed == 7


def test_a_checkpoint_goes_on_with_batches_of_another_size() -> None:
    model, dm = TinyModel(), H5DataModule(**{**OPTIONS, "batch_size": 2})
    quiet(max_epochs=2).fit(model, datamodule=dm, ckpt_path=EARLIER / "inside_epoch.ckpt")
    rest = trained_afterwards()[0]
    assert model.trained[0] == rest[: len(model.trained[0])]
    assert len(rest) - len(model.trained[0]) < 2


def test_the_state_in_a_checkpoint_goes_on_in_a_loop_without_a_trainer() -> None:
    checkpoint = torch.load(EARLIER / "inside_epoch.ckpt", weights_only=True)
    dm = H5DataModule(**OPTIONS)
    dm.load_state_dict(checkpoint["H5DataModule"])
    dm.prepare_data()
    dm.setup()
    epochs = [
        [one for batch in dm.train_dataloader() for one in batch["sample_id"].tolist()] for _ in range(2)
    ]
    dm.teardown()
    assert epochs == trained_afterwards()


def test_a_state_is_written_as_it_was() -> None:
    state = torch.load(EARLIER / "inside_epoch.ckpt", weights_only=True)["H5DataModule"]
    dm = H5DataModule(**OPTIONS)
    dm.load_state_dict(state)
    dm.prepare_data()
    dm.setup()
    now = dm.state_dict()
    dm.teardown()
    assert {**now, "position": None} == {**state, "position": None}
    assert now["position"].keys() == state["position"].keys()


def test_a_checkpoint_makes_the_same_datamodule() -> None:
    checkpoint = torch.load(EARLIER / "inside_epoch.ckpt", weights_only=True)
    dm = H5DataModule.load_from_checkpoint(EARLIER / "inside_epoch.ckpt")
    options = checkpoint["datamodule_hyper_parameters"]
    assert without_new(dict(dm.hparams), options) == options
    assert without_new(dict(H5DataModule(**OPTIONS).hparams), options) == options


def without_new(now, then):
    """Options of now, without those that were unknown then and say nothing."""
    if not isinstance(now, dict) or not isinstance(then, dict):
        return now
    return {
        name: without_new(value, then.get(name))
        for name, value in now.items()
        if name in then or not says_nothing(value)
    }


def says_nothing(value) -> bool:
    return all(map(says_nothing, value.values())) if isinstance(value, dict) else value is None


# ── LightningCLI ─────────────────────────────────────────────────────────────────────────────────────


def command_line(monkeypatch, *arguments: str, run: bool = True) -> LightningCLI:
    monkeypatch.setattr(sys, "argv", ["cli.py", *arguments])
    return LightningCLI(
        TinyModel, H5DataModule, save_config_callback=None, seed_everything_default=3, run=run
    )


def test_a_configuration_of_lightning_cli_trains(monkeypatch) -> None:
    quiet = ["accelerator=cpu", "max_epochs=1", "logger=false", "enable_checkpointing=false"]
    quiet += ["enable_progress_bar=false", "enable_model_summary=false"]
    given = [f"--trainer.{option}" for option in quiet]
    cli = command_line(monkeypatch, "fit", f"--config={EARLIER / 'print_config.yaml'}", *given)
    assert cli.datamodule.hparams["samples"] == OPTIONS["samples"]
    assert cli.datamodule.hparams["split"]["val"] == 0.25
    assert cli.datamodule.hparams["access"]["max_open_files"] == 9
    assert cli.datamodule.batch_size == 5
    assert len(cli.model.trained[0]) == 39


def test_print_config_prints_the_same_data(monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        command_line(monkeypatch, "fit", f"--config={EARLIER / 'print_config.yaml'}", "--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    options = yaml.safe_load((EARLIER / "print_config.yaml").read_text())["data"]
    assert without_new(printed["data"], options) == options


# ── a foreign application of Hydra ───────────────────────────────────────────────────────────────────

APPLICATION = """
import hydra
from hydra.utils import instantiate

@hydra.main(config_path=".", config_name="hydra_app", version_base="1.3")
def main(config):
    dm = instantiate(config.data)
    dm.setup()
    batch = next(iter(dm.train_dataloader()))
    dm.teardown()
    print(dm.batch_size, len(batch["x"]), dm.hparams["split"]["val"], dm.hparams["samples"]["kind"])

main()
"""
OVERRIDES = [
    "data.files=*.h5",
    "data.fields={x: x, y: {path: y, dtype: float32}}",
    "data.split.val=0.3",
    "data.access.locking=true",
    "data.shuffle={mode: block, window_bytes: 4096}",
    "data.seed=11",
]


def run_application(folder: Path, *arguments: str) -> str:
    (folder / "main.py").write_text(APPLICATION)
    (folder / "hydra_app.yaml").write_text((EARLIER / "hydra_app.yaml").read_text())
    command = [sys.executable, "main.py", *OVERRIDES, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_foreign_application_of_hydra_trains(tmp_path) -> None:
    assert run_application(tmp_path).split() == ["6", "6", "0.3", "windows"]


def test_a_foreign_application_shows_the_same_job(tmp_path) -> None:
    options = yaml.safe_load((EARLIER / "hydra_job.yaml").read_text())
    assert without_new(yaml.safe_load(run_application(tmp_path, "--cfg", "job")), options) == options


def test_the_schema_of_hydra_has_the_same_nodes() -> None:
    """Types, defaults and interpolations: what an override may be, and what ``--cfg job`` shows."""
    expected = yaml.safe_load((EARLIER / "hydra_nodes.yaml").read_text())
    found = nodes_of(OmegaConf.structured(H5DataConfig))
    assert {name: found.get(name) for name in expected} == expected
    for name in found.keys() - expected.keys():
        assert found[name] == "DictConfig, optional" or found[name].endswith(", optional: None"), name


def nodes_of(config) -> dict[str, str]:
    """Dotted name of each node → its type, whether it may be None, and its value."""
    found = {}
    for name in config:
        node = config._get_node(name)
        kind = type(node).__name__
        optional = ", optional" if node._metadata.optional else ""
        if kind == "DictConfig":
            found[name] = f"{kind}{optional}"
            found |= {f"{name}.{inner}": text for inner, text in nodes_of(node).items()}
        else:
            found[name] = f"{kind}{optional}: {node._value()!r}"
    return found
