"""Batches of the user's files through `H5DataModule`, as in training."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from h5lightning.callbacks.throughput import samples_of
from h5lightning.datamodule.module import H5DataModule
from h5lightning.errors import OptionError
from h5lightning.options import Split
from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.timing import Candidate, whole_epochs

__all__ = ["Source", "check_can_evict", "contestant", "evict"]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What is loaded, whatever the way.

    Args:
        files: paths.
        arguments: of `H5DataModule`, those that say what a sample is.
        share: of the rows of each file, its first ones.
        forgets: an epoch starts with nothing decoded: what was kept of the one before may be all that is measured.
        full_cache_bytes: what may be kept in full order, where each batch takes rows from anywhere: the same share of
            what is measured as `Access.cache_bytes` is of all data. Else all of a small part would fit.
    """

    files: Sequence[str]
    arguments: Mapping[str, Any]
    share: float
    forgets: bool
    full_cache_bytes: int

    def data_module(self, way: LoaderConfig, mode: str) -> H5DataModule:
        """A DataModule that trains with all of it, set up.

        Args:
            way: how it is loaded.
            mode: what its order comes to.
        """
        split = (
            Split(val=None, test=None)
            if self.share == 1
            else Split(train=self.share, val=None, test=None, by="block")
        )
        options = dict(self.arguments) | way.options()
        if mode == "full":
            options["access"] = replace(options["access"], cache_bytes=self.full_cache_bytes)
        # The name of a file is taken as it stands, whatever wildcards are in it.
        dm = H5DataModule(list(self.files), split=split, **options)
        dm.prepare_data()
        dm.setup()
        return dm


def contestant(
    name: str, source: Source, way: LoaderConfig, mode: str, *, least_s: float, is_cold: bool
) -> Candidate:
    """One way to load, which starts with nothing open in each turn and leaves nothing open.

    Args:
        name: what tables call it.
        source: what is loaded.
        way: how.
        mode: what its order comes to.
        least_s: a turn ends with an epoch, after so many seconds.
        is_cold: put the files out of the page cache before each turn, which has one epoch.
    """
    dm = source.data_module(way, mode)
    epochs = partial(_turn, dm, forgets=source.forgets, least_s=0.0 if is_cold else least_s)
    prepare = partial(evict, source.files) if is_cold else gc.collect
    # What is decoded before the first batch is needed later: it counts, and with it the start of processes.
    counts_start = source.forgets or not way.num_workers
    return Candidate(name, epochs, samples_of, prepare, counts_start)


def _turn(dm: H5DataModule, number: int, *, forgets: bool, least_s: float) -> Iterator[Any]:
    try:
        yield from whole_epochs(partial(_epoch, dm, forgets=forgets), number, least_s)
    finally:
        dm.teardown()


def _epoch(dm: H5DataModule, number: int, *, forgets: bool) -> Iterator[Any]:
    loader: Any = dm.train_dataloader()
    loader.sampler.set_epoch(number)
    yield from loader
    if forgets:
        dm.teardown()


# ── the page cache ───────────────────────────────────────────────────────────────────────────────────


def check_can_evict() -> None:
    """Raise unless this system can put files out of its page cache.

    Raises:
        OptionError: it cannot.
    """
    if not hasattr(os, "posix_fadvise"):
        raise OptionError("--cold needs posix_fadvise, which this system lacks: leave it out, or use Linux")


def evict(paths: Sequence[str], *, syncs: bool = False) -> None:
    """Put files out of the page cache; the system keeps what somebody maps, and what it has yet to write.

    Args:
        paths: the files.
        syncs: have the system write what was written to them lately.
    """
    gc.collect()
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if syncs:
                os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
