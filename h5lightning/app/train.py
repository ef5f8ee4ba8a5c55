"""The main job: makes data and model from a configuration, fits, tests, and prints the results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf
from rich.table import Table
from torch import distributed

from h5lightning.callbacks.throughput import ThroughputMeter
from h5lightning.config import conf_dir
from h5lightning.core.terminal import Terminal
from h5lightning.datamodule.module import H5DataModule
from h5lightning.errors import OptionError
from h5lightning.options.checks import did_you_mean

__all__ = ["print_results", "train"]

# No user can act upon these: a class that torch is about to rename, and splits that are not there.
_IDLE_WARNINGS = (r".*isinstance\(treespec, LeafSpec\)", r"Total length of `list` across ranks is zero")
_PERSISTENCE = "_persistence"


def train(config: DictConfig) -> float | None:
    """Fit and test as ``conf/train.yaml`` says; rank 0 prints the results.

    Args:
        config: the composed configuration.

    Returns:
        The metric that ``objective`` names, for sweepers.

    Raises:
        OptionError: no files or no model were chosen.
    """
    _check_choices(config)
    for message in _IDLE_WARNINGS:
        warnings.filterwarnings("ignore", message)
    if config.seed is not None:
        seed_everything(config.seed, workers=True, verbose=False)
    try:
        return _fit_and_test(config)
    finally:
        # Lightning leaves its process group open: the next job of a sweep would use it.
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def _fit_and_test(config: DictConfig) -> float | None:
    datamodule: H5DataModule = instantiate(config.data)
    model: LightningModule = instantiate(config.model)
    meter = ThroughputMeter()
    trainer = _make_trainer(config, meter)
    trainer.fit(model, datamodule=datamodule, ckpt_path=config.ckpt_path)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics |= _test(trainer, model, datamodule)
    if trainer.is_global_zero:
        rate = meter.samples_per_second * trainer.world_size
        print_results(metrics, rate, meter.waiting_share, _paths(trainer, Path(config.output_dir)))
    return _objective(config.objective, metrics)


def _objective(name: str | None, metrics: Mapping[str, float]) -> float | None:
    if name is None:
        return None
    if name not in metrics:
        raise OptionError(f"objective must be a logged metric, found {name!r}{did_you_mean(name, metrics)}")
    return metrics[name]


def _check_choices(config: DictConfig) -> None:
    """Raise unless data and a model are chosen."""
    if OmegaConf.is_missing(config.data, "files"):
        raise OptionError(
            "data.files is missing. Give a pattern, for example data.files='runs/*.h5'; "
            "without any data.* option the demo is trained"
        )
    if config.get("model") is None:
        models = sorted(file.stem for file in (conf_dir() / "model").glob("*.yaml"))
        raise OptionError(f"no model is chosen. Add one of: {', '.join(f'model={name}' for name in models)}")


def _make_trainer(config: DictConfig, meter: ThroughputMeter) -> Trainer:
    chosen: Mapping[str, Callback | None] = instantiate(config.callbacks, _convert_="all")
    callbacks = [meter, *(callback for callback in chosen.values() if callback is not None)]
    trainer: Trainer = instantiate(
        config.trainer, callbacks=callbacks, logger=instantiate(config.logger), _convert_="all"
    )
    return trainer


def _test(trainer: Trainer, model: LightningModule, datamodule: H5DataModule) -> dict[str, float]:
    """Test the best checkpoint, or the current model where validation chose none."""
    # Spawned ranks have set up their own copies: this one may not be set up.
    datamodule.prepare_data()
    datamodule.setup()
    if datamodule.test_dataset is None:
        return {}
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    results = trainer.test(model, datamodule=datamodule, ckpt_path=best or None, verbose=False)
    return {name: value for result in results for name, value in result.items()}


def _paths(trainer: Trainer, output_dir: Path) -> dict[str, str]:
    """Kind of output → its path."""
    checkpoint: Any = trainer.checkpoint_callback
    paths = {
        "checkpoint": getattr(checkpoint, "best_model_path", "")
        or getattr(checkpoint, "last_model_path", ""),
        "picture": ", ".join(sorted(str(file) for file in output_dir.glob("*.png"))),
        "all outputs": str(output_dir),
    }
    return {name: path for name, path in paths.items() if path}


def print_results(
    metrics: Mapping[str, float],
    samples_per_second: float = 0,
    waiting_share: float = 0,
    paths: Mapping[str, str] | None = None,
    console: Terminal | None = None,
) -> None:
    """Print the metrics of validation and test, the speed of all ranks together, and below the table the paths."""
    console = console or Terminal()
    table = Table("result", title="h5lightning train", title_justify="left")
    table.add_column("value", justify="right")
    for name, value in _lines(metrics).items():
        table.add_row(name, f"{value:.4g}")
    if samples_per_second:
        table.add_row("training speed", f"{samples_per_second:,.0f} samples/s")
        table.add_row("waiting for data", f"{waiting_share:.1%} of the time")
    console.print(table)
    for name, path in (paths or {}).items():
        # soft_wrap: a path broken over two lines cannot be copied.
        console.print(f"{name}: {path}", soft_wrap=True)


def _lines(metrics: Mapping[str, float]) -> dict[str, float]:
    """Readable name → value; where the error of a forecast "nothing changes" is logged, the ratio to it too."""
    lines, known = {}, {name: value for name, value in metrics.items() if name.startswith(("test", "val"))}
    for name, value in known.items():
        lines[_readable(name)] = value
        if (plain := name.removesuffix(_PERSISTENCE)) != name and plain in known and value > 0:
            lines["ratio of the two"] = known[plain] / value
    return lines


def _readable(name: str) -> str:
    if name.endswith(_PERSISTENCE):
        return f"{_readable(name.removesuffix(_PERSISTENCE))} if nothing changed"
    return name.replace("_", " ")
