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

__all__ = ["Source", "check_can_evict", "evict", "make_candidate"]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The data that all configurations load.

    Args:
        files: paths.
        arguments: the arguments of `H5DataModule` that say what a sample is.
        share: fraction of the rows of each file, from its first row.
        forgets: start each epoch with nothing decoded; otherwise decoded data kept from the epoch before could be all
            that is measured.
        by: what the split keeps whole if it takes a share: ``block`` or ``series``.
        full_cache_bytes: `Access.cache_bytes` in full order, where each batch takes rows from anywhere: the same
            fraction of the measured data as the option is of all data. Otherwise a small subset would fit entirely.
    """

    files: Sequence[str]
    arguments: Mapping[str, Any]
    share: float
    forgets: bool
    full_cache_bytes: int
    by: str = "block"

    def data_module(self, config: LoaderConfig, mode: str) -> H5DataModule:
        """A DataModule that trains with all of the data, set up; ``mode`` is the shuffle mode of ``config``."""
        split = Split(val=None, test=None)
        if self.share != 1:
            split = replace(split, train=self.share, by=self.by)
        options = dict(self.arguments) | config.options()
        if mode == "full":
            options["access"] = replace(options["access"], cache_bytes=self.full_cache_bytes)
        # A file name is taken literally, whatever wildcards are in it.
        dm = H5DataModule(list(self.files), split=split, **options)
        dm.prepare_data()
        dm.setup()
        return dm


def make_candidate(
    name: str, source: Source, config: LoaderConfig, mode: str, *, least_s: float, is_cold: bool
) -> Candidate:
    """A configuration as a candidate, whose trials start with nothing open and leave nothing open.

    Args:
        name: its name in tables.
        source: the data.
        config: how it loads.
        mode: the shuffle mode of the configuration.
        least_s: minimum length of a trial in seconds; a trial ends with an epoch.
        is_cold: put the files out of the page cache before each trial, which then has one epoch.
    """
    dm = source.data_module(config, mode)
    epochs = partial(_epochs, dm, forgets=source.forgets, least_s=0.0 if is_cold else least_s)
    prepare = partial(evict, source.files) if is_cold else gc.collect
    # Chunks that are decoded before the first batch are needed later: this time counts, and with it the start of
    # processes.
    counts_start = source.forgets or not config.num_workers
    return Candidate(name, epochs, samples_of, prepare, counts_start)


def _epochs(dm: H5DataModule, number: int, *, forgets: bool, least_s: float) -> Iterator[Any]:
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


def check_can_evict() -> None:
    """Check that this system can put files out of its page cache.

    Raises:
        OptionError: it cannot.
    """
    if not hasattr(os, "posix_fadvise"):
        raise OptionError("--cold needs posix_fadvise, which this system lacks: omit it, or use Linux")


def evict(paths: Sequence[str], *, syncs: bool = False) -> None:
    """Put files out of the page cache; the system keeps pages that are mapped, or not yet written to the disk.

    ``syncs`` first writes changed pages to the disk.
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
