"""What is decoded ahead: an even share for each group of batches, each chunk once, and nothing else changes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning import H5DataModule
from h5lightning.core.string_table import StringTable
from h5lightning.errors import BadFileError
from h5lightning.loading import decode_ahead
from h5lightning.loading.decode_ahead import DecodeAhead
from h5lightning.options import Rows
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.sampling.chunk_needs import ChunkLayout, ChunkNeeds
from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache

pytestmark = pytest.mark.timeout(120)
FILES, ROWS, HEIGHT = 3, 400, 10
CHUNKS = FILES * ROWS // HEIGHT
ROW_BYTES = 1024
CHUNK_BYTES = HEIGHT * ROW_BYTES
WINDOW = 20 * CHUNK_BYTES
BATCH = 8


@pytest.fixture(autouse=True)
def _small_calls(monkeypatch) -> None:
    """Chunks of this size are decoded one by one, as large ones are."""
    monkeypatch.setattr(decode_ahead, "_LEAST_BYTES", 1)


@pytest.fixture
def files(tmp_path):
    for number in range(FILES):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            values = np.arange(number * ROWS, (number + 1) * ROWS)
            rows = np.repeat(values[:, None], ROW_BYTES // 4, axis=1).astype(np.float32)
            file.create_dataset("x", data=rows, chunks=(HEIGHT, ROW_BYTES // 8), compression="gzip")
            file["y"] = values
    return str(tmp_path / "*.h5")


@pytest.fixture
def decoded(monkeypatch):
    """The number of chunk rows that were decoded so far, and the most that the cache held."""
    counts = {"decoded": 0, "held": 0}
    settle = ChunkRowCache._settle

    def note(self, claim, store, count):
        counts["decoded"] += count
        settle(self, claim, store, count)
        counts["held"] = max(counts["held"], len(self) / self.capacity)

    monkeypatch.setattr(ChunkRowCache, "_settle", note)
    return counts


def module(
    ready, files, *, window=WINDOW, cache=100 * CHUNK_BYTES, fields=("x", "y"), **options
) -> H5DataModule:
    return ready(
        H5DataModule(
            files,
            fields=list(fields),
            split={"val": None, "test": None},
            shuffle={"mode": options.pop("mode", "block"), "window_bytes": window},
            access={"cache_bytes": cache},
            batch_size=BATCH,
            seed=3,
            **options,
        )
    )


def counted(loader, decoded) -> tuple[list[int], list[torch.Tensor]]:
    """The chunk rows decoded for each batch, and the batches."""
    counts, batches, before = [], [], 0
    for batch in loader:
        counts.append(decoded["decoded"] - before)
        before = decoded["decoded"]
        batches.append(batch["y"].clone())
        assert torch.equal(batch["x"][:, 0].long(), batch["y"])
    return counts, batches


def without_looking_ahead(monkeypatch) -> None:
    monkeypatch.setattr(DecodeAhead, "share", lambda self, samples: None)


@pytest.mark.parametrize("reader", ["direct", "h5py"])
def test_each_batch_decodes_a_fair_share(ready, files, decoded, reader) -> None:
    counts, _ = counted(module(ready, files, threads=0, reader=reader).train_dataloader(), decoded)
    assert sum(counts) == CHUNKS
    # A window of 160 samples has 16 chunk rows: 0.8 for each batch of 8.
    assert max(counts[8:]) <= 2


def test_without_it_a_new_window_is_decoded_at_once(ready, files, decoded, monkeypatch) -> None:
    without_looking_ahead(monkeypatch)
    counts, _ = counted(module(ready, files, threads=0).train_dataloader(), decoded)
    assert sum(counts) == CHUNKS
    assert max(counts[8:]) > 4


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("mode", ["block", "full", "none"])
def test_batches_are_the_same(ready, files, decoded, monkeypatch, threads, mode) -> None:
    _, batches = counted(module(ready, files, threads=threads, mode=mode).train_dataloader(), decoded)
    without_looking_ahead(monkeypatch)
    _, others = counted(module(ready, files, threads=0, mode=mode).train_dataloader(), decoded)
    assert torch.equal(torch.stack(batches), torch.stack(others))


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("mode", ["block", "none"])
def test_each_chunk_is_decoded_once(ready, files, decoded, threads, mode) -> None:
    counted(module(ready, files, threads=threads, mode=mode).train_dataloader(), decoded)
    # A thread that the system held up may decode what others needed, and dropped, meanwhile.
    assert CHUNKS <= decoded["decoded"] <= (1.05 * CHUNKS if threads else CHUNKS)


@pytest.mark.parametrize("cache", [21, 24, 30, 40, 60])
def test_a_small_cache_is_not_overfilled(ready, files, decoded, monkeypatch, cache) -> None:
    cache_bytes = cache * (CHUNK_BYTES + 64)
    loader = module(ready, files, cache=cache_bytes, threads=0, fields=("x", "y")).train_dataloader()
    counted(loader, decoded)
    ahead, decoded["decoded"] = decoded["decoded"], 0
    assert decoded["held"] <= 1
    without_looking_ahead(monkeypatch)
    counted(module(ready, files, cache=cache_bytes, threads=0).train_dataloader(), decoded)
    assert ahead <= 1.1 * decoded["decoded"]


def test_order_that_no_cache_holds_decodes_no_more_than_before(ready, files, decoded, monkeypatch) -> None:
    options = {"mode": "full", "cache": 12 * CHUNK_BYTES, "threads": 0}
    counted(module(ready, files, **options).train_dataloader(), decoded)
    ahead, decoded["decoded"] = decoded["decoded"], 0
    without_looking_ahead(monkeypatch)
    counted(module(ready, files, **options).train_dataloader(), decoded)
    assert ahead <= 1.02 * decoded["decoded"]


@pytest.mark.parametrize("threads", [0, 2])
def test_the_rest_of_a_window_is_delivered_after_a_resume(ready, files, decoded, threads) -> None:
    _, batches = counted(module(ready, files, threads=threads).train_dataloader(), decoded)
    loader = module(ready, files, threads=threads).train_dataloader()
    iterator = iter(loader)
    first = [next(iterator)["y"].clone() for _ in range(13)]
    other = module(ready, files, threads=threads).train_dataloader()
    other.load_state_dict(loader.state_dict())
    decoded["decoded"] = 0
    _, rest = counted(other, decoded)
    assert torch.equal(torch.stack(first + rest), torch.stack(batches))


@pytest.mark.parametrize("threads", [0, 2])
def test_a_damaged_chunk_is_an_error_of_its_own_batch(ready, files, decoded, threads) -> None:
    dm = module(ready, files, threads=threads)
    _, batches = counted(dm.train_dataloader(), decoded)
    dm.set_epoch(0)
    # A chunk that is first needed late in the epoch.
    last = batches[-10][0].item()
    first_of_chunk = last // HEIGHT * HEIGHT
    chunk = range(first_of_chunk, first_of_chunk + HEIGHT)
    expected = next(number for number, batch in enumerate(batches) if any(y in chunk for y in batch.tolist()))
    dm.teardown()
    path = files.replace("*", str(last // ROWS))
    with h5py.File(path, "r") as file:
        offset = file["x"].id.get_chunk_info_by_coord((first_of_chunk % ROWS, 0)).byte_offset
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(bytes(16))
    iterator = iter(module(ready, files, threads=threads).train_dataloader())
    for batch in batches[:expected]:
        assert torch.equal(next(iterator)["y"], batch)
    with pytest.raises(BadFileError, match="damaged"):
        next(iterator)


def test_unfiltered_data_are_not_looked_at(ready, tmp_path, monkeypatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(300.0)
    looked = []
    monkeypatch.setattr(ChunkNeeds, "look", lambda self, ids: looked.append(ids))
    dm = ready(H5DataModule(str(tmp_path / "a.h5"), fields=["x"], batch_size=8))
    assert sum(len(batch["x"]) for batch in dm.train_dataloader()) > 0
    assert looked == []


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 40),
    st.integers(0, 60),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
)
def test_shares_are_even_and_fit_into_the_cache(chunk_rows, window, cache_chunks, early, seed) -> None:
    """Windows of whole chunks, mixed completely, as one lane has them: the hardest case."""
    rng, group, chunks = np.random.default_rng(seed), 8, 60
    rows = chunk_rows * chunks
    names = StringTable.of(["a.h5"])
    index = SampleIndex("/data", names, np.zeros(1, np.int64), np.asarray([rows]), Rows())
    order = rng.permutation(chunks).repeat(chunk_rows) * chunk_rows + np.tile(np.arange(chunk_rows), chunks)
    windows = np.split(order, range(window * chunk_rows, rows, window * chunk_rows))
    order = np.concatenate([rng.permutation(part) for part in windows])
    needs = ChunkNeeds(index, [ChunkLayout(np.asarray([chunk_rows]), 10)])
    limit = cache_chunks * chunk_rows * 10
    ahead = DecodeAhead(lambda positions: positions, needs, limit, early_groups=early)
    parts = ahead.watched(iter(np.split(order, range(100, rows, 100))))
    positions = np.concatenate(list(parts) if rows < 100 else [next(parts), *parts])
    assert np.array_equal(positions, order)
    known: set[int] = set()
    for start in range(0, rows, group):
        own = order[start : start + group]
        known |= set((own // chunk_rows).tolist())
        share = ahead.share(len(own))
        if share is not None:
            taken = set((share.ids // chunk_rows).tolist())
            assert len(taken) == len(share.ids)
            assert not taken & known, "what is decoded already is decoded again"
            known |= taken
            still = {chunk for chunk in known if (order[start + len(own) :] // chunk_rows == chunk).any()}
            assert len(still) <= cache_chunks
    if chunk_rows > 1:
        assert known == set(range(chunks))
