"""The order of an epoch: position → sample, computed and not stored.

An order is a function of (seed, epoch) and of the options alone: never of the number of ranks, workers or
threads. Positions are those of one split, ids are not known here.
"""

from h5lightning.planning.sampling.block_order import BlockOrder
from h5lightning.planning.sampling.blocks import Blocks
from h5lightning.planning.sampling.fingerprint import fingerprint
from h5lightning.planning.sampling.make_order import RowLayout, make_order
from h5lightning.planning.sampling.orders import FullOrder, Order, PathOrder
from h5lightning.planning.sampling.weighted_draw import class_weights
from h5lightning.planning.sampling.weighted_order import WeightedOrder

__all__ = [
    "BlockOrder",
    "Blocks",
    "FullOrder",
    "Order",
    "PathOrder",
    "RowLayout",
    "WeightedOrder",
    "class_weights",
    "fingerprint",
    "make_order",
]
