"""The sampler: one rank's samples of an epoch, one by one.

A subclass of torch's `DistributedSampler` at the level of samples is the one form that Lightning leaves alone in
every stage: a batch sampler's inner sampler is replaced, a plain sampler is wrapped in a shuffling one
(lightning#21447), and `set_epoch` reaches no batch sampler. Since Lightning and Fabric leave it alone, it must find
rank and world size itself, when an epoch begins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sized
from typing import Any, cast

from torch.utils.data import DistributedSampler

from h5lightning.core.arrays import Int64Array
from h5lightning.core.sample_numbers import to_number
from h5lightning.loading.epochs.epoch_iterator import EpochIterator
from h5lightning.loading.epochs.epoch_source import EpochSource
from h5lightning.options.checks import check_int
from h5lightning.planning.sampling import Order
from h5lightning.planning.sampling.rank_epoch import EpochPosition, RankEpoch

__all__ = ["ShardedSampler", "caller_of"]

# Who calls `set_epoch`, by module and function.
_WRAPPERS = {
    ("lightning.fabric.wrappers", "__iter__"),
    ("lightning_fabric.wrappers", "__iter__"),
    ("accelerate.data_loader", "__iter__"),
}
_LOOPS = ("lightning.pytorch.loops", "pytorch_lightning.loops")
_BETWEEN = ("lightning.", "lightning_fabric.", "pytorch_lightning.", "accelerate.")


class ShardedSampler(DistributedSampler[Any]):
    """Yields the samples of one rank in the order of an epoch.

    Args:
        dataset: the samples; only its length is used.
        epochs: which epoch is next, and which part of it is this rank's.
    """

    def __init__(self, dataset: Sized, epochs: EpochSource) -> None:
        if len(dataset) != epochs.order.size:
            raise ValueError(f"{len(dataset)} samples and an order of {epochs.order.size}")
        super().__init__(cast("Any", dataset), num_replicas=1, rank=0, shuffle=False)
        self.epochs = epochs

    @property
    def order(self) -> Order:
        """Position in an epoch → sample."""
        return self.epochs.order

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch that begins next; one that has begun stays as it is.

        Raises:
            TypeError: it is no whole number.
            OptionError: it is negative, or too large.
        """
        number = to_number(epoch, "epoch")
        check_int("epoch", number, at_least=0)
        caller = caller_of(2)
        if caller != "wrapper":
            self.epoch = number
            self.epochs.set_epoch(number, by_trainer=caller == "trainer")

    def begin(self, asker: EpochIterator | None = None) -> RankEpoch:
        """Begin an epoch, which ``asker`` delivers."""
        return self._begun(self.epochs.begin(asker))

    def peek(self) -> RankEpoch:
        """The epoch that would begin now."""
        return self.epochs.peek()

    def __iter__(self) -> Iterator[EpochPosition]:
        return self._begun(self.epochs.begin(is_divided=_divides())).positions()

    def __len__(self) -> int:
        return len(self.epochs.peek(is_divided=_divides()))

    def stretches(self, *, multiple: int = 1, stop: int | None = None) -> Iterator[Int64Array]:
        """The samples of the epoch that would begin now; see `RankEpoch.position_arrays`."""
        return self.peek().position_arrays(multiple=multiple, stop=stop)

    def _begun(self, epoch: RankEpoch) -> RankEpoch:
        self.epoch, self.rank, self.num_replicas = epoch.epoch, epoch.rank, epoch.shards.world_size
        return epoch


def caller_of(called: int) -> str:
    """Who sets an epoch, or loads a state: ``user``, ``trainer``, or ``wrapper``.

    Fabric and Accelerate number the passes over each loader that they wrap, from 0 for each wrapper: they know nothing
    of other loaders, or of a state that was loaded. A Trainer counts an epoch that it stopped in the middle.

    Args:
        called: how many calls above this one.
    """
    frame = sys._getframe(called)  # noqa: SLF001 - nothing else tells
    for _ in range(4):
        module, function = str(frame.f_globals.get("__name__")), frame.f_code.co_name
        if (module, function) in _WRAPPERS:
            return "wrapper"
        if module.startswith(_LOOPS):
            return "trainer"
        if frame.f_back is None or not module.startswith(_BETWEEN):
            break
        frame = frame.f_back
    return "user"


def _divides() -> bool:
    """Whether the sampler divides the samples itself; Accelerate divides the batches of a loader that it prepares."""
    state: Any = sys.modules.get("accelerate.state")
    shared = getattr(getattr(state, "PartialState", None), "_shared_state", {})
    return int(shared.get("num_processes", 1)) == 1
