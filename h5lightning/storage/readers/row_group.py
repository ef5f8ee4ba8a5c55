"""Rows of one dataset of several open files, all of which are read in the same way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from h5lightning.storage.readers.protocol import ReadRequest
from h5lightning.storage.readers.row_writer import RowWriter

__all__ = ["RowGroup"]


class RowGroup(ABC):
    """Delivers rows; each way to read them is a subclass.

    Attributes:
        takes_runs: whether `put` takes a `RunsRequest`.
    """

    takes_runs: ClassVar[bool] = False

    def divided(self, request: ReadRequest) -> ReadRequest:
        """The request as `put` takes it: for each row alone, or for the same runs of rows."""
        return request.by_row()

    def keeps(self, rows: int) -> bool:  # noqa: ARG002
        """Whether it costs no more than a copy to `put` any of so many rows again."""
        return True

    @abstractmethod
    def put(self, request: ReadRequest, to: RowWriter) -> None:
        """Deliver rows of these files.

        Args:
            request: the rows, `divided`; none of them lies outside of its dataset.
            to: writes them into the batch.
        """
