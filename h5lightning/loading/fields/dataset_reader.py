"""What reads one field of a batch, and what reads one of a dataset: the base classes of all kinds of fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.loading.fields.constant_cache import ConstantCache
from h5lightning.loading.fields.field_decoder import FieldDecoder, column_of
from h5lightning.loading.fields.located_batch import LocatedBatch
from h5lightning.loading.fields.ragged_layout import RaggedLayout
from h5lightning.loading.fields.row_requests import RowRequest
from h5lightning.loading.fields.run_rows import RunRows
from h5lightning.planning.fields import FieldPlan, StoredField
from h5lightning.planning.values.conversions import buffer_dtype, delivery_dtype
from h5lightning.storage.readers.protocol import Reader, ReadRequest

__all__ = ["DatasetReader", "FieldReader", "ReadContext"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ReadContext:
    """What the readers of all fields share.

    Args:
        reader: reads datasets.
        constants: keeps datasets without a sample axis.
        runs: finds rows of files that go on where others end; None if no files are joined.
        checks_each: check each number while it is read, also where that can be done afterwards: then an error names
            its row and file.
    """

    reader: Reader
    constants: ConstantCache
    runs: RunRows | None = None
    checks_each: bool = False


class FieldReader(ABC):
    """Reads one field of any samples; each kind of field is a subclass."""

    def __init__(self, plan: FieldPlan, context: ReadContext) -> None:
        self.plan = plan
        self.context = context
        self.key = plan.key
        self.shape = () if plan.spec.varies else plan.spec.fixed_shape
        delivered = plan.spec.dtype
        self.dtype = buffer_dtype(plan.stored, delivered) if plan.is_uniform else delivery_dtype(delivered)

    @abstractmethod
    def fill(self, batch: LocatedBatch, out: Array) -> Iterator[Sequence[RowRequest]]:
        """Fill the buffer of the field.

        A generator: it yields the rows that it needs, and goes on when they were read. The rows of all fields are
        read together. Until it has yielded for the first time, it reads nothing and does not touch the buffer.

        Args:
            batch: the samples.
            out: the buffer, ``(N, *shape)``, or flat if there is a `layout`, of the type `dtype` or of the stored type.

        Raises:
            FieldError: a value that the delivered type cannot hold.
            MissingDataError: a number that represents a missing value, in a field without ``decode``.
            FloatingPointError: a finite value would become infinite in the type of the buffer.
        """

    def layout(self, batch: LocatedBatch) -> RaggedLayout | None:  # noqa: ARG002
        """Where the samples of a batch lie in a flat buffer; None for a buffer ``(N, *shape)`` of one shape."""
        return None

    def buffer_for(self, batch: LocatedBatch, dtype: np.dtype[Any] | None = None) -> Array:
        """A buffer for the samples of a batch; see `buffer`."""
        layout = self.layout(batch)
        if layout is not None:
            return np.empty(layout.total, dtype or self.dtype)
        return self.buffer(len(batch.slots), dtype)

    def buffer(self, samples: int, dtype: np.dtype[Any] | None = None) -> Array:
        """A buffer for some samples, of the type `dtype` unless another one is given."""
        return np.empty((samples, *self.shape), dtype or self.dtype)

    @property
    def stored_dtype(self) -> np.dtype[Any] | None:
        """The stored type, where `fill` converts stored numbers to another one; else None."""
        native = np.dtype(self.plan.stored).newbyteorder("=")
        return native if self.plan.is_uniform and native != self.dtype else None


class DatasetReader(FieldReader):
    """Reads a dataset; without a decoder, stored numbers are delivered, and none is to be checked."""

    def __init__(self, plan: StoredField, context: ReadContext) -> None:
        super().__init__(plan, context)
        self._columns = [column_of(plan, form) for form in plan.forms]
        self._decoder = None if plan.is_uniform and not context.checks_each else FieldDecoder(plan)

    def _fill(self, batch: LocatedBatch, request: ReadRequest) -> Iterator[Sequence[RowRequest]]:
        if self._decoder is None:
            yield (RowRequest(request),)  # read straight into the batch
        else:
            yield from self._decoder.fill(batch, request)
