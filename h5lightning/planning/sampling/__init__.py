"""The order of an epoch: index in the epoch → sample, computed and not stored.

A sample is a position in a split here; orders know no ids. An order depends on seed, epoch and options alone, never
on the number of ranks, workers or threads.
"""

from h5lightning.planning.sampling.block_order import BlockOrder
from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.bucket_order import BucketOrder, SampleSizes, fingerprint
from h5lightning.planning.sampling.make_order import RowLayout, keeps_blocks, make_order
from h5lightning.planning.sampling.orders import FullOrder, Order, PathOrder
from h5lightning.planning.sampling.weighted_draw import class_weights
from h5lightning.planning.sampling.weighted_order import WeightedOrder

__all__ = [
    "BlockOrder",
    "Blocks",
    "BucketOrder",
    "FullOrder",
    "Order",
    "PathOrder",
    "RowLayout",
    "SampleSizes",
    "WeightedOrder",
    "class_weights",
    "fingerprint",
    "keeps_blocks",
    "make_order",
]
