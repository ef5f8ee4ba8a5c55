"""Loaders that reach a run of two ranks in all ways but by a Trainer that holds the DataModule.

Run under torchrun, with a folder of data and a folder for results: each rank writes ``NAME-RANK.json``, the samples of
each scenario by stage.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from torch import distributed
from torch.utils.data import DataLoader

from h5lightning import H5DataModule
from h5lightning.errors import H5LightningError

SPLIT = {"val": 0.3, "test": 0.2, "by": "sample"}


class Model(LightningModule):
    """Writes down which samples it sees."""

    def __init__(self, loaders: Callable[[], Any] | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[list[int]]] = {"train": [], "val": []}
        self.loaders = loaders

    def train_dataloader(self) -> Any:
        return self.loaders() if self.loaders else super().train_dataloader()

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        batch = batch.get("a", batch)
        self.seen["train"].append(batch["sample_id"].tolist())
        return self.weight * batch["x"].float().mean()

    def validation_step(self, batch: Any, number: int) -> None:
        self.seen["val"].append(batch["sample_id"].tolist())
        self.all_gather(batch["x"].float().sum())

    def predict_step(self, batch: Any, number: int) -> torch.Tensor:
        self.seen.setdefault("predict", []).append(batch["sample_id"].tolist())
        return batch["sample_id"]

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Wrapper(LightningDataModule):
    """Another DataModule around ours."""

    def __init__(self, inner: H5DataModule) -> None:
        super().__init__()
        self.inner = inner

    def train_dataloader(self) -> Any:
        return self.inner.train_dataloader()

    def val_dataloader(self) -> Any:
        return self.inner.val_dataloader()


class Slow:
    """Something of a user's around a loader."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Any:
        yield from self.loader

    def __len__(self) -> int:
        return len(self.loader)


def trainer(**options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


def ids(batches: Iterable[Any]) -> list[list[int]]:
    return [batch["sample_id"].tolist() for batch in batches]


def given_to_fit(dm: H5DataModule) -> Any:
    model = Model()
    trainer().fit(model, dm.train_dataloader(), dm.val_dataloader())
    return model.seen


def hook_of_the_model(dm: H5DataModule) -> Any:
    model = Model(dm.train_dataloader)
    trainer().fit(model, val_dataloaders=dm.val_dataloader())
    return model.seen


def wrapped_datamodule(dm: H5DataModule) -> Any:
    model = Model()
    trainer().fit(model, datamodule=Wrapper(dm))
    return model.seen


def combined(dm: H5DataModule) -> Any:
    model = Model()
    trainer().fit(model, CombinedLoader({"a": dm.train_dataloader()}), dm.val_dataloader())
    return model.seen


def wrapped_loader(dm: H5DataModule) -> Any:
    model = Model()
    trainer().fit(model, Slow(dm.train_dataloader()), dm.val_dataloader())
    return model.seen


def own_trainer(dm: H5DataModule) -> Any:
    model = Model()
    trainer().fit(model, datamodule=dm)
    trainer().predict(model, datamodule=dm)
    return model.seen


def fabric(dm: H5DataModule) -> Any:
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    train, val = fabric.setup_dataloaders(dm.train_dataloader(), dm.val_dataloader())
    return {"train": [*ids(train), *ids(train)], "val": ids(val)}


def plain(dm: H5DataModule) -> Any:
    train, val = dm.train_dataloader(), dm.val_dataloader()
    return {"train": [*ids(train), *ids(train)], "val": ids(val), "again": ids(dm.val_dataloader())}


def with_workers(dm: H5DataModule) -> Any:
    dm = module(dm.hparams["files"], num_workers=2, persistent_workers=True)
    return plain(dm)


def explicit(dm: H5DataModule) -> Any:
    every = dm.val_dataloader(rank=0, world_size=1)
    rank = distributed.get_rank()
    train = dm.train_dataloader(rank=1 - rank, world_size=2)
    return {"all": ids(every), "train": [*ids(train), *ids(train)]}


def torch_loader(dm: H5DataModule) -> Any:
    """A DataLoader that is not ours, over our sampler."""
    ours = dm.train_dataloader()
    own = DataLoader(ours.dataset, batch_size=3, sampler=ours.sampler, collate_fn=ours.collate_fn)
    return {"train": [*ids(own), *ids(own)]}


def repeated(dm: H5DataModule) -> Any:
    dm = module(dm.hparams["files"], eval_tail="repeat", batch_size=2)
    batches = list(dm.val_dataloader())
    marks = [batch["is_repeat"].tolist() for batch in batches]
    return {"val": ids(batches), "marks": marks}


def module(files: str, **options: Any) -> H5DataModule:
    dm = H5DataModule(files, ["x"], provenance=True, split=SPLIT, **{"batch_size": 4, **options})
    dm.prepare_data()
    dm.setup()
    return dm


SCENARIOS = (
    plain, with_workers, explicit, torch_loader, repeated, given_to_fit, hook_of_the_model, wrapped_datamodule,
    combined, wrapped_loader, own_trainer, fabric,
)  # fmt: skip


def early(dm: H5DataModule) -> tuple[Any, str]:
    """A loader that is made before there is a process group; and what happens if it is used then."""
    loader = dm.train_dataloader()
    try:
        next(iter(loader))
    except H5LightningError as error:
        return loader, f"{type(error).__name__}: {error}"
    return loader, "nothing"


def main(files: str, results: Path) -> None:
    rank = os.environ["RANK"]
    loader, error = early(module(files))
    distributed.init_process_group("gloo")
    found = {"early": {"error": error, "train": [*ids(loader), *ids(loader)]}}
    for scenario in SCENARIOS:
        dm = module(files)
        found[scenario.__name__] = scenario(dm)
        dm.teardown()
    (results / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]))
