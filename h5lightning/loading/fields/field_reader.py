"""What reads one field: it asks for rows, then fills its part of the batch with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.constant_cache import ConstantCache
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.options import Samples
from h5lightning.planning.fields import FieldPlan
from h5lightning.planning.values.conversions import buffer_dtype, delivery_dtype
from h5lightning.storage.readers.protocol import Reader

__all__ = ["FieldReader", "ReadContext"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ReadContext:
    """What the readers of all fields share.

    Args:
        reader: reads datasets.
        samples: how samples lie in a series.
        constants: keeps datasets without a sample axis.
        checks_each: check each number while it is read, also where that can be done afterwards: then an error names
            its row and file.
    """

    reader: Reader
    samples: Samples
    constants: ConstantCache
    checks_each: bool = False


class FieldReader(ABC):
    """Reads one field of any samples; each kind of field is a subclass.

    Args:
        plan: what the field is.
        context: what the readers of all fields share.
    """

    def __init__(self, plan: FieldPlan, context: ReadContext) -> None:
        self.plan = plan
        self.context = context
        self.key = plan.key
        self.shape = plan.spec.shape
        delivered = plan.spec.dtype
        self.dtype = buffer_dtype(plan.stored, delivered) if plan.is_uniform else delivery_dtype(delivered)

    @abstractmethod
    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """Fill the buffer of the field.

        A generator: it yields the rows that it needs, and goes on when they were read. The rows of all fields are
        read together. Until it has yielded for the first time, it reads nothing and does not touch the buffer.

        Args:
            batch: the samples.
            out: the buffer, ``(N, *shape)``, of the type `dtype`, or of the stored type.

        Raises:
            FieldError: a value that the delivered type cannot hold.
            MissingDataError: a number that represents a missing value, in a field without ``decode``.
            FloatingPointError: a finite value would become infinite in the type of the buffer.
        """

    def buffer(self, samples: int, dtype: np.dtype[Any] | None = None) -> Array:
        """A buffer for some samples, of the type `dtype` unless another one is given."""
        return np.empty((samples, *self.shape), dtype or self.dtype)

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """The stored type, where `fill` converts stored numbers to another one; else None."""
        native = np.dtype(self.plan.stored).newbyteorder("=")
        return native if self.plan.is_uniform and native != self.dtype else None
