"""LightningCLI drives the DataModule from the command line and from YAML, with the same names as Python."""

from __future__ import annotations

import sys
from collections.abc import Callable

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI

from h5lightning import H5DataModule
from h5lightning.errors import SchemaError

pytestmark = [
    pytest.mark.timeout(120),
    # Lightning calls jsonargparse in ways that jsonargparse is about to change.
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
]
QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=1",
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]


class Mean(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shapes: set[tuple[int, ...]] = set()

    def training_step(self, batch, _):
        self.shapes.add(tuple(batch["x"].shape[1:]))
        return self.weight * batch["x"].mean()

    def validation_step(self, batch, _):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.fixture
def run(monkeypatch) -> Callable[..., LightningCLI]:
    """A function that runs the command line ``fit …``."""

    def fit(*arguments: str) -> LightningCLI:
        monkeypatch.setattr(sys, "argv", ["cli.py", "fit", *QUIET, *arguments])
        return LightningCLI(Mean, save_config_callback=None, seed_everything_default=3)

    return fit


def test_options_on_the_command_line(run, write_files) -> None:
    files = write_files()
    cli = run(
        "--data=h5lightning.H5DataModule",
        f"--data.files={files}",
        "--data.fields={x: x, y: y}",
        "--data.split.val=0.2",
        "--data.split.test=0",
        "--data.shuffle={mode: block, balance: y}",
        "--data.access.locking=true",
    )
    assert isinstance(cli.datamodule, H5DataModule)
    assert cli.datamodule.hparams.split["val"] == 0.2
    assert cli.datamodule.hparams.shuffle["mode"] == "block"
    assert cli.datamodule.hparams.shuffle["balance"] == "y"
    assert set(cli.datamodule.splits) == {"train", "val"}
    assert cli.model.shapes == {(2, 3)}


@pytest.mark.parametrize("is_mapping", [True, False], ids=["mapping", "keys"])
def test_a_given_split_is_named(run, tmp_path, is_mapping) -> None:
    with h5py.File(tmp_path / "demos.h5", "w") as file:
        for number in range(4):
            file[f"data/demo_{number}/obs"] = np.zeros((5, 2), np.float32)
        file["mask/train"], file["mask/valid"] = np.asarray([b"demo_0", b"demo_2"]), np.asarray([b"demo_1"])
    keys = "--data.split.given.train=mask/train", "--data.split.given.val=mask/valid"
    given = ["--data.split.given={train: mask/train, val: mask/valid}"] if is_mapping else keys
    cli = run(
        "--data=h5lightning.H5DataModule",
        f"--data.files={tmp_path}/*.h5",
        "--data.fields={x: data/*/obs}",
        *given,
    )
    assert [split.series for split in cli.datamodule.summary().splits] == [2, 1]
    cli.datamodule.teardown()


@pytest.mark.parametrize("same", ["[grid]", "grid"], ids=["list", "text"])
def test_what_must_be_the_same_is_compared(run, write_files, same) -> None:
    arguments = f"--data.files={write_files()}", "--data.fields=[x, y]", f"--data.access.same={same}"
    with pytest.raises(SchemaError, match="'/grid' in"):
        run("--data=h5lightning.H5DataModule", *arguments)


def test_options_in_yaml(run, write_files, tmp_path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"""
        data:
          class_path: h5lightning.H5DataModule
          init_args:
            files: ["{write_files()}", "!*run-000.h5"]
            fields: {{x: x, y: {{path: y, dtype: float32}}}}
            samples: {{kind: windows, length: 16}}
            split: {{val: 0.2, test: null}}
        """,
        encoding="utf-8",
    )
    cli = run(f"--config={config}")
    assert cli.model.shapes == {(16, 2, 3)}
    assert sum(len(paths) for paths in cli.datamodule.splits.values()) == 7


def test_lists_of_files_and_of_datasets(run, write_files, tmp_path) -> None:
    (tmp_path / "train.txt").write_text(f"# the good ones\n{write_files()}\n")
    cli = run(
        "--data=h5lightning.H5DataModule",
        f"--data.files=@{tmp_path / 'train.txt'}",
        "--data.fields={x: {path: [x, x], steps: [0, 1], join: first}, y: {path: [y, y]}}",
        "--data.samples={length: 2}",
    )
    assert cli.model.shapes == {(1, 2, 2, 3)}


def test_help_explains_every_option(run, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("--data.help=h5lightning.H5DataModule")
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--data.num_workers" in text
    assert "worker processes; 0 reads in the training process" in text


def test_a_mistyped_option_is_refused(run, write_files) -> None:
    with pytest.raises(ValueError, match="did you mean 'val'"):
        run("--data=h5lightning.H5DataModule", f"--data.files={write_files()}", "--data.split={vall: 0.2}")


def test_a_null_that_jsonargparse_makes_a_text_is_refused(run, write_files) -> None:
    """It also drops the other keys of the split: without an error, the split would silently be another one."""
    with pytest.raises(ValueError, match=r"split\.test.*found 'None'.*write 0"):
        run("--data=h5lightning.H5DataModule", f"--data.files={write_files()}", "--data.split.test=null")


def test_samples_of_each_stage(run, write_files, tmp_path) -> None:
    split = "--data.split={val: 0.3, test: 0.3, by: block}"
    arguments = f"--data.files={write_files()}", "--data.fields={x: x}", split
    given = "--data.samples={train: {length: 4}, test: {length: 7}}"
    cli = run("--data=h5lightning.H5DataModule", *arguments, given, "--data.samples.test.length=8")
    cli.datamodule.setup()
    assert cli.model.shapes == {(4, 2, 3)}
    assert cli.datamodule.test_dataset.sample_spec()["x"].shape == (8, 2, 3)
    config = tmp_path / "run.yaml"
    config.write_text(
        """
        data:
          class_path: h5lightning.H5DataModule
          init_args:
            samples: {train: {length: 4}, test: {kind: windows, length: 7}}
        """,
        encoding="utf-8",
    )
    cli = run(f"--config={config}", *arguments)
    cli.datamodule.setup()
    assert cli.model.shapes == {(4, 2, 3)}
    assert cli.datamodule.test_dataset.sample_spec()["x"].shape == (7, 2, 3)
