"""Read amplification: how many bytes are decoded for each byte that is used.

It is computed from the layout, for each of the three orders. A row of an unfiltered dataset is read alone, which costs
1. A filtered chunk is decoded as a whole; how often depends on which rows are read together and on what the cache
keeps. The computation assumes that batches are read one by one; small batches that are read together share their
chunks and cost less.
"""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["Amplification", "amplification_of"]


@dataclass(frozen=True, slots=True)
class Amplification:
    """Decoded bytes per used byte in each order; at least 1.

    Args:
        full: a permutation of all rows.
        block: whole chunks in random order, mixed within windows.
        none: the order of the files.
    """

    full: float
    block: float
    none: float

    def of(self, mode: str) -> float:
        """The value for one order."""
        return {"full": self.full, "block": self.block, "none": self.none}[mode]


def amplification_of(field: FieldStorage, workload: Workload) -> Amplification:
    """The amplification of one field."""
    if not field.schema.is_decoded_by_chunk:
        return Amplification(1.0, 1.0, 1.0)
    if workload.is_whole and workload.take is not None:
        drawn = _drawn(field, workload.take)
        return Amplification(drawn, drawn, drawn)
    if workload.is_whole:
        return Amplification(field.padding, field.padding, field.padding)
    cache_bytes = workload.field_cache_bytes(field)
    return Amplification(
        full=_random(field, workload, field.chunk_row_count, cache_bytes),
        block=_block(field, workload, cache_bytes),
        none=_sequential(field, workload, cache_bytes),
    )


def _drawn(field: FieldStorage, take: int) -> float:
    """Some rows of a whole series are drawn, of any of its chunks."""
    rows = max(1, field.total_rows // max(1, len(field.rows)))
    if rows <= take:
        return field.padding
    chunk_rows = -(-rows // field.rows_per_chunk)
    touched = chunk_rows * (1 - (1 - 1 / chunk_rows) ** take)
    return max(1.0, touched * field.chunk_row_bytes / (take * field.row_bytes))


def _random(field: FieldStorage, workload: Workload, chunk_rows: int, cache_bytes: int) -> float:
    """Each batch takes random rows from these chunk rows; some of them are in the cache."""
    batch = workload.batch_size
    sample_rows = field.index_rows or workload.sample_rows
    chunks_of_sample = min(chunk_rows, 1 + (sample_rows - 1) / field.rows_per_chunk)
    touched = chunk_rows * (1 - (1 - chunks_of_sample / chunk_rows) ** batch)
    kept = min(chunk_rows, cache_bytes // field.chunk_row_bytes)
    # If a batch touches more chunk rows than the cache keeps, its first ones are gone when the next batch comes.
    used_bytes = batch * sample_rows * field.row_bytes
    missed = 1 - kept / chunk_rows if kept > touched or kept == chunk_rows else 1.0
    return max(field.padding, missed * touched * field.chunk_row_bytes / used_bytes)


def _block(field: FieldStorage, workload: Workload, cache_bytes: int) -> float:
    if field.path == workload.main.path:
        live_chunk_rows = max(1, min(field.chunk_row_count, workload.live_bytes // field.chunk_row_bytes))
        return _random(field, workload, live_chunk_rows, cache_bytes)
    if field.chunk_row_count * field.chunk_row_bytes <= cache_bytes:
        return field.padding
    # Blocks follow the chunks of the main field: a chunk with more rows lies in several blocks, far apart.
    blocks = min(workload.window_rows, field.total_rows) // workload.block_rows
    working_set = max(1, blocks) * -(-workload.block_rows // field.rows_per_chunk) * field.chunk_row_bytes
    if working_set > cache_bytes:
        return _random(field, workload, field.chunk_row_count, cache_bytes)
    return field.padding * max(1.0, field.rows_per_chunk / workload.block_rows)


def _sequential(field: FieldStorage, workload: Workload, cache_bytes: int) -> float:
    """A chunk that the cache cannot keep is decoded again for each batch that takes rows from it."""
    is_kept = field.chunk_row_bytes <= cache_bytes
    batches = -(-field.rows_per_chunk // workload.batch_size)
    return field.padding * (1 if is_kept else max(1, batches))
