"""How much memory the decoded chunks of an epoch take: of a shuffle window, and of all data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from h5lightning.core.arrays import Int64Array
from h5lightning.planning.sampling.chunk_needs import ChunkLayout

__all__ = ["DecodedChunks"]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedChunks:
    """The chunks that an epoch decodes.

    Args:
        layouts: how the chunks of each field are decoded.
        unit_rows: rows of each unit, ``(units,)``.
        row_bytes: bytes of one row over all fields, those included that are read alone.
    """

    layouts: Sequence[ChunkLayout]
    unit_rows: Int64Array
    row_bytes: int

    @property
    def total_bytes(self) -> int:
        """Decoded bytes of all chunks."""
        return sum(layout.total_bytes(self.unit_rows) for layout in self.layouts)

    def held_window_bytes(self, cache_bytes: int) -> int | None:
        """The shuffle window, over all fields, whose decoded chunks fill a cache; None if all chunks fit into it."""
        return None if self.total_bytes <= cache_bytes else int(cache_bytes / self._decoded_of_window)

    def cache_bytes_for(self, window_bytes: int) -> int:
        """The cache in which block order with a window decodes each chunk about once; see `fit_window`."""
        return min(int(1.2 * window_bytes * self._decoded_of_window) + 1, self.total_bytes)

    def for_each_byte(self, cache_bytes: int, batch_size: int) -> float:
        """Decoded bytes for each byte of a sample if samples come in random order; at least 1."""
        kept = cache_bytes / max(1, self.total_bytes)
        if kept >= 1:
            return 1.0
        decoded = sum(
            layout.row_bytes * layout.decoded_rows(self.unit_rows, batch_size) for layout in self.layouts
        )
        decoded = max(decoded * (1 - kept), self._decoded_of_row)
        return float(max(1.0, (decoded + self.row_bytes - self._decoded_of_row) / self.row_bytes))

    @property
    def _decoded_of_row(self) -> int:
        """Decoded bytes of one row."""
        return sum(layout.row_bytes for layout in self.layouts)

    @property
    def _decoded_of_window(self) -> float:
        """Decoded bytes of the cache for each byte of a window; chunks may reach past the end of the data."""
        padding = self.total_bytes / max(1, self._decoded_of_row * int(self.unit_rows.sum()))
        return self._decoded_of_row * max(1.0, padding) / self.row_bytes
