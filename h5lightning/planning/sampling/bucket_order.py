"""Bucketed order: batches of samples of similar size, over whatever order lies beneath.

The indices of the order beneath are permuted inside of windows, so that the consumed samples stay a prefix of the
epoch. The samples of a window are sorted by size and divided into steps, which come in random order::

    order beneath      7 2 9 1 8 3 4 6         sizes
    sorted             1 2│3 4│6 7│8 9         steps of 2
    delivered          6 7│1 2│8 9│3 4

Inside of a step the samples stay sorted, so that each rank gets a part of similar size. Half of the steps, drawn, are
in descending order: else the first rank would have the smallest samples of all steps. An incomplete step comes last;
the samples in it are neighbours in the sorted window, from a place that is drawn, and each is as likely to be there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Int64Array, flat_positions
from h5lightning.core.frozen import Frozen, once
from h5lightning.core.permutation import derive_key, derive_keys
from h5lightning.planning.sampling.orders import Order, fingerprint_of, spread_indices
from h5lightning.planning.sampling.sharding import Shards
from h5lightning.planning.sampling.training_shards import TrainingShards
from h5lightning.planning.sampling.window_cuts import WindowCut, WindowCuts

__all__ = ["BucketOrder", "SampleSizes", "fingerprint", "in_steps"]

_Windows = dict[tuple[int, int], Int64Array]  # epoch and first index → the samples


class SampleSizes(Protocol):
    """What samples are bucketed by."""

    def __call__(self, positions: Int64Array) -> npt.NDArray[Any]:
        """A number for each sample, by its position in the split, ``(N,)``."""


@dataclass(frozen=True, eq=False)
class BucketOrder(Frozen):
    """Samples in steps of similar size.

    Args:
        base: the order beneath.
        sizes: what samples are bucketed by; it depends on the data alone.
        key: the name of the sizes, as the user gave it.
        seed: the seed of the order.
        cuts: the windows of a run; None leaves the order beneath as it is, see `in_steps`.
    """

    base: Order
    sizes: SampleSizes
    key: str
    seed: int
    cuts: WindowCuts | None = None

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.base.size

    @property
    def lanes(self) -> int:
        """1: a part of similar samples comes from any lane of the order beneath."""
        return 1

    @property
    def block_samples(self) -> int:
        """Length of the blocks of the order beneath: all windows that hold its samples follow each other."""
        return self.base.block_samples

    def lanes_of(self, indices: Int64Array) -> Int64Array:
        """The only lane, ``(N,)``."""
        return np.zeros_like(indices)

    def samples(self, epoch: int, indices: Int64Array) -> Int64Array:
        """The sample at each index of an epoch."""
        if self.cuts is None or not indices.size:
            return self.base.samples(epoch, indices)
        starts, which = np.unique(self.cuts.starts_of(indices), return_inverse=True)
        which = which.reshape(-1)
        samples = np.empty_like(indices)
        is_in_window = starts[which] >= 0
        outside = np.flatnonzero(~is_in_window)
        if outside.size:
            samples[outside] = self.base.samples(epoch, indices[outside])
        inside = np.flatnonzero(is_in_window)
        if inside.size:
            windows = self._windows(epoch, starts[starts >= 0].tolist())
            which = which[inside] - int(starts[0] < 0)
            lengths = np.asarray([window.size for window in windows])
            begins = np.cumsum(lengths) - lengths - starts[starts >= 0]
            samples[inside] = np.concatenate(windows)[begins[which] + indices[inside]]
        return samples

    def _windows(self, epoch: int, starts: list[int]) -> list[Int64Array]:
        """The samples of windows, by their first indices; those of the last call are kept for the next one."""
        kept: _Windows = self._kept[0]
        missing = [start for start in starts if (epoch, start) not in kept]
        if missing:
            new = zip(missing, self._lay_out(epoch, np.asarray(missing)), strict=True)
            known = {(epoch, start): kept[epoch, start] for start in starts if (epoch, start) in kept}
            # A new dict, because another thread may be reading the old one.
            kept = self._kept[0] = known | {(epoch, start): samples for start, samples in new}
        return [kept[epoch, start] for start in starts]

    def _lay_out(self, epoch: int, starts: Int64Array) -> list[Int64Array]:
        """The samples of windows, in the order of delivery."""
        cuts = [self._cut_at(start) for start in starts.tolist()]
        stops = [min(start + cut.length, self.size) for start, cut in zip(starts.tolist(), cuts, strict=True)]
        lengths = np.asarray(stops) - starts
        samples = self.base.samples(epoch, flat_positions(starts, lengths))
        borders = np.cumsum(lengths)[:-1]
        windows = zip(np.split(samples, borders), np.split(self.sizes(samples), borders), strict=True)
        return [
            window[_mixed(sizes, cut.step_samples, derive_key("buckets", self.seed, epoch, start))]
            for (window, sizes), cut, start in zip(windows, cuts, starts.tolist(), strict=True)
        ]

    def _cut_at(self, index: int) -> WindowCut:
        if self.cuts is None:
            raise ValueError("this order was not divided into steps")
        return self.cuts.at(index)

    @once
    def _kept(self) -> list[_Windows]:
        return [{}]


def _mixed(sizes: npt.NDArray[Any], step: int, key: int) -> Int64Array:
    """The place in a window of the sample that is delivered at each of its indices, ``(N,)``.

    Args:
        sizes: size of each sample, ``(N,)``.
        step: samples of a step.
        key: the key of what is drawn.
    """
    by_size = np.argsort(sizes, kind="stable")
    full, rest = divmod(by_size.size, step)
    keys = derive_keys(key, np.arange(full + 1))
    is_last = np.zeros(by_size.size, np.bool_)
    # From the end of the sorted samples it goes on at their beginning: so each of them is as likely to be in it.
    first = int(keys[full]) % by_size.size
    is_last[(first + np.arange(rest)) % by_size.size] = True
    steps = by_size[~is_last].reshape(full, step)[np.argsort(keys[:full], kind="stable")]
    is_descending = np.sort(keys[:full]) % np.uint64(2) == 1
    steps[is_descending] = steps[is_descending, ::-1]
    return np.concatenate([steps.ravel(), by_size[is_last]])


def in_steps(order: Order, shards: Shards, begun: WindowCut | None = None) -> Order:
    """The order of a run that divides the rest of an epoch by ``shards``; only a bucketed one depends on them.

    Args:
        order: the order, as it is for any run.
        shards: the division of what is left of the epoch.
        begun: the windows in which the run before was stopped; None for none.
    """
    if not isinstance(order, BucketOrder) or not isinstance(shards, TrainingShards):
        return order
    return replace(order, cuts=WindowCuts.of(begun, shards.start, shards.step_samples))


def fingerprint(order: Order) -> str:
    """A short text, equal for orders that deliver the same samples to a run of the same steps; see `fingerprint_of`.

    That of a bucketed order is the one of the order beneath, with a digest of the name and of some of the sizes.
    """
    if not isinstance(order, BucketOrder):
        return fingerprint_of(order)
    sizes = order.sizes(spread_indices(order.size))
    digest = hashlib.blake2b(order.key.encode(), digest_size=8)
    digest.update(sizes.astype("<f8").tobytes())
    return f"{fingerprint_of(order.base)} bucket {digest.hexdigest()}"
