"""h5lightning, end to end: batches from ``dm.train_dataloader()``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from h5lightning import H5DataModule, Split
from loading.data import BATCH, Dataset
from loading.measure import Batch

__all__ = ["batches", "data_module"]


@contextmanager
def data_module(dataset: Dataset, **options: Any) -> Iterator[H5DataModule]:
    """A DataModule that trains with all samples of a data set, set up, and closed in the end."""
    dm = H5DataModule(
        dataset.pattern,
        fields={"data": "data", "label": "label"},
        split=Split(val=None, test=None),
        as_tuple=["data", "label"],
        index_dir=str(dataset.folder.with_suffix(".index")),
        **{"batch_size": BATCH, **options},
    )
    dm.prepare_data()
    dm.setup()
    try:
        yield dm
    finally:
        dm.teardown()


def batches(dm: H5DataModule, epoch: int, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
    """An epoch's batches of one rank."""
    dm.trainer = _trainer(rank, world_size) if world_size > 1 else None
    loader = dm.train_dataloader()
    loader.sampler.set_epoch(epoch)
    yield from (Batch(*batch) for batch in loader)


def _trainer(rank: int, world_size: int) -> Any:
    """What a DataModule asks a Trainer for: which rank it is, and where training is."""
    current = SimpleNamespace(processed=0)
    return SimpleNamespace(
        distributed_sampler_kwargs={"rank": rank, "num_replicas": world_size},
        fit_loop=SimpleNamespace(epoch_progress=SimpleNamespace(current=current)),
    )
