"""How many times the bytes of a row are decoded for one use of it.

Arithmetic over the layout, for the three orders. A row of an unfiltered dataset is read alone: 1. A chunk that
filters made smaller is decoded whole; how often depends on which rows come together, and on what is kept. Batches
are taken to be read one by one; small ones that are read together share their chunks, and cost less.
"""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.tools.overview.stored_fields import Case, StoredField

__all__ = ["Amplification", "amplification_of"]


@dataclass(frozen=True, slots=True)
class Amplification:
    """Decoded bytes over used bytes, at least 1, in each order.

    Args:
        full: a permutation of all rows.
        block: whole chunks in random order, mixed inside windows.
        none: the order of the files.
    """

    full: float
    block: float
    none: float

    def of(self, mode: str) -> float:
        """The figure of one order."""
        return {"full": self.full, "block": self.block, "none": self.none}[mode]


def amplification_of(field: StoredField, case: Case) -> Amplification:
    """What one field costs.

    Args:
        field: one of the fields of the case.
        case: all of them, and how they are loaded.
    """
    if not field.schema.is_decoded_by_chunk:
        return Amplification(1.0, 1.0, 1.0)
    if case.loading.is_whole:
        return Amplification(field.padding, field.padding, field.padding)
    cache_bytes = case.cache_bytes(field)
    return Amplification(
        full=_scattered(field, case, field.slabs, cache_bytes),
        block=_block(field, case, cache_bytes),
        none=_none(field, case, cache_bytes),
    )


def _scattered(field: StoredField, case: Case, slabs: int, cache_bytes: int) -> float:
    """Each batch takes rows from anywhere in the slabs, and finds that part of them that fits into the cache."""
    batch = case.loading.batch_size
    touched = slabs * (1 - (1 - 1 / slabs) ** batch)
    kept = min(slabs, cache_bytes // field.slab_bytes)
    # A batch that takes more slabs than are kept has thrown out its first ones when the next batch comes.
    missed = 1 - kept / slabs if kept > touched or kept == slabs else 1.0
    return max(field.padding, missed * touched * field.slab_bytes / (batch * field.row_bytes))


def _block(field: StoredField, case: Case, cache_bytes: int) -> float:
    if field.path == case.main.path:
        live_slabs = max(1, min(field.slabs, case.live_bytes // field.slab_bytes))
        return _scattered(field, case, live_slabs, cache_bytes)
    if field.slabs * field.slab_bytes <= cache_bytes:
        return field.padding
    # Blocks follow the chunks of the main field: a higher chunk of this one is in several blocks, far apart.
    blocks = min(case.window_rows, field.total_rows) // case.block_rows
    working_set = max(1, blocks) * -(-case.block_rows // field.slab_rows) * field.slab_bytes
    if working_set > cache_bytes:
        return _scattered(field, case, field.slabs, cache_bytes)
    return field.padding * max(1.0, field.slab_rows / case.block_rows)


def _none(field: StoredField, case: Case, cache_bytes: int) -> float:
    """A chunk that cannot be kept is decoded again for each batch that takes rows of it."""
    is_kept = field.slab_bytes <= cache_bytes
    return field.padding * (1 if is_kept else max(1, -(-field.slab_rows // case.loading.batch_size)))
