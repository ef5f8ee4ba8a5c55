"""h5lightning, end to end: batches from ``dm.train_dataloader()``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from lightning.pytorch import Trainer

from h5lightning import H5DataModule, Split
from loading.data import BATCH, Dataset, Files
from loading.measure import Batch

__all__ = ["batches", "data_module", "training"]


def data_module(dataset: Dataset, **options: Any) -> AbstractContextManager[H5DataModule]:
    """A DataModule that trains with all samples of a data set, set up, and closed in the end."""
    fields = {"data": "data", "label": "label"}
    return training(dataset, fields=fields, as_tuple=["data", "label"], **{"batch_size": BATCH, **options})


@contextmanager
def training(files: Files, **arguments: Any) -> Iterator[H5DataModule]:
    """A DataModule that trains with all samples of some files, set up, and closed in the end."""
    dm = H5DataModule(files.pattern, split=Split(val=None, test=None), index_dir=files.index_dir, **arguments)
    dm.prepare_data()
    dm.setup()
    try:
        yield dm
    finally:
        dm.teardown()


def batches(dm: H5DataModule, epoch: int, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
    """An epoch's batches of one rank."""
    dm.trainer = _OneOfMany(rank, world_size) if world_size > 1 else None
    loader = dm.train_dataloader()
    loader.sampler.set_epoch(epoch)
    yield from (Batch(*batch) for batch in loader)


class _OneOfMany(Trainer):
    """A Trainer that trains nothing, and says that it is one rank of several."""

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        self._place = {"rank": rank, "num_replicas": world_size}

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """What a DataModule asks for."""
        return self._place
