"""The cache of chunk rows: those in use stay, those requested twice are filled once, failures leave no trace."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from h5lightning.storage.readers.decoded.chunk_cache import ChunkRowCache, ChunkRowSlots

ROW_BYTES = 2048


class Filler:
    """Writes the number of a chunk row into all its rows, and counts."""

    def __init__(self):
        self.filled = []
        self.is_broken = False

    def __call__(self, missing_rows):
        if self.is_broken:
            raise OSError("the disk is broken")
        for missing in missing_rows:
            self.filled.append(missing.number)
            missing.buffer[:] = missing.number


@pytest.fixture
def fill():
    return Filler()


CHUNK_ROW_BYTES = 2 * ROW_BYTES + 64


class Dataset:
    """A cache, and the slots of the chunk rows of a dataset in it."""

    def __init__(self, limit_bytes):
        self.cache = ChunkRowCache(2, ROW_BYTES, limit_bytes)
        self.slots = ChunkRowSlots(64, "dataset")


def cache_of(capacity):
    dataset = Dataset(capacity * CHUNK_ROW_BYTES)
    assert dataset.cache.capacity == capacity
    return dataset


def held(dataset, numbers, fill):
    """The value of the first and last byte of each chunk row."""
    found = []

    def look(rows, slots):
        found.extend((int(rows[2 * slot, 0]), int(rows[2 * slot + 1, -1])) for slot in slots)

    dataset.cache.use([(dataset.slots, np.asarray(numbers))], fill, look)
    return found


def slots_of(dataset):
    """The slot of each chunk row of a dataset, -1 where there is none."""
    return dataset.slots.in_store(dataset.cache._store).slots


def test_chunk_rows_are_filled_once_while_they_are_kept(fill):
    cache = cache_of(3)
    for _ in range(3):
        assert held(cache, [7, 5], fill) == [(7, 7), (5, 5)]
    assert fill.filled == [7, 5]
    assert cache.cache.filled == 2


def test_the_least_recently_used_chunk_row_goes_first(fill):
    cache = cache_of(3)
    for number in (1, 2, 3, 1, 4):
        held(cache, [number], fill)
    held(cache, [1, 3, 4], fill)
    assert fill.filled == [1, 2, 3, 4]
    held(cache, [2], fill)
    assert fill.filled == [1, 2, 3, 4, 2]
    assert len(cache.cache) == 3


def test_a_chunk_row_in_use_is_not_overwritten(fill):
    cache = cache_of(3)

    def look(rows, slots):
        for number in range(2, 12):
            held(cache, [number, number + 1], fill)
        assert (rows[2 * slots[0] : 2 * slots[0] + 2] == 1).all()

    cache.cache.use([(cache.slots, np.array([1]))], fill, look)


def test_one_chunk_row_is_kept_in_any_case(fill):
    cache = Dataset(0)
    assert [held(cache, [number], fill) for number in (3, 4)] == [[(3, 3)], [(4, 4)]]


def test_a_smaller_limit_holds_from_then_on(fill):
    cache = cache_of(8)
    held(cache, list(range(8)), fill)
    cache.cache.limit(2 * CHUNK_ROW_BYTES)
    held(cache, [20], fill)
    assert len(cache.cache) == 2
    # What was claimed before the limit shrank must still be possible.
    assert held(cache, [30, 31, 32, 33], fill)[-1] == (33, 33)


def test_a_failure_leaves_room_and_may_be_tried_again(fill):
    cache = cache_of(2)
    held(cache, [1], fill)
    fill.is_broken = True
    for _ in range(5):
        with pytest.raises(OSError, match="the disk is broken"):
            held(cache, [1, 2], fill)
    fill.is_broken = False
    assert held(cache, [2, 3], fill) == [(2, 2), (3, 3)]


def test_two_threads_that_want_a_chunk_row_fill_it_once(fill):
    cache = cache_of(4)
    filling, may_go_on = threading.Event(), threading.Event()

    def slow(missing):
        filling.set()
        assert may_go_on.wait(10)
        fill(missing)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(held, cache, [1, 2], slow)
        assert filling.wait(10)
        second = threads.submit(held, cache, [2, 3], fill)
        may_go_on.set()
        assert (first.result(10), second.result(10)) == ([(1, 1), (2, 2)], [(2, 2), (3, 3)])
    assert sorted(fill.filled) == [1, 2, 3]


def test_a_thread_that_waits_for_a_failing_thread_fills_the_chunk_row(fill):
    cache = cache_of(4)
    filling, may_go_on = threading.Event(), threading.Event()

    def broken(missing):
        filling.set()
        assert may_go_on.wait(10)
        raise OSError("the disk is broken")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(held, cache, [1, 2], broken)
        assert filling.wait(10)
        second = threads.submit(held, cache, [2], fill)
        may_go_on.set()
        with pytest.raises(OSError, match="the disk is broken"):
            first.result(10)
        assert second.result(10) == [(2, 2)]


@pytest.mark.timeout(60)
def test_many_threads_with_little_room(fill):
    cache = cache_of(6)

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            numbers = rng.permutation(20)[: rng.integers(1, 7)].tolist()
            if held(cache, numbers, fill) != [(number, number) for number in numbers]:
                return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(12)))
    assert len(cache.cache) <= 6


def test_chunk_rows_of_two_datasets_share_the_room(fill):
    first = cache_of(4)
    second = ChunkRowSlots(8, "other")

    def both(own, others):
        found = []
        requested = [(first.slots, np.array(own, np.int64)), (second, np.array(others))]
        first.cache.use(requested, fill, lambda rows, slots: found.extend(slots.tolist()))
        return found

    assert sorted(both([5, 6], [5])) == [0, 1, 2]
    held(first, [5, 6], fill)
    both([], [1, 2])
    assert fill.filled == [5, 6, 5, 1, 2]
    # The chunk row that was used least recently made room, and its dataset knows.
    assert second.in_store(first.cache._store).slots[5] == -1
    assert (slots_of(first)[[5, 6]] >= 0).all()


def test_places_are_forgotten_with_a_failure(fill):
    cache = cache_of(2)
    fill.is_broken = True
    with pytest.raises(OSError, match="the disk is broken"):
        held(cache, [3], fill)
    assert (slots_of(cache) == -1).all()


def test_what_was_filled_before_a_failure_is_there(fill):
    cache = cache_of(24)

    def broken(missing):
        if len(fill.filled) == 16:
            raise OSError("the disk is broken")
        fill(missing)

    with pytest.raises(OSError, match="the disk is broken"):
        held(cache, list(range(20)), broken)
    assert fill.filled == list(range(16))
    assert (slots_of(cache)[16:20] == -1).all()
    held(cache, list(range(20)), fill)
    assert fill.filled == list(range(20))


def test_a_thread_that_waits_for_the_first_chunk_row_does_not_wait_for_the_last(fill):
    cache = cache_of(24)
    half, may_go_on = threading.Event(), threading.Event()

    def slow(missing):
        if len(fill.filled) == 8:
            half.set()
            assert may_go_on.wait(10)
        fill(missing)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(held, cache, list(range(16)), slow)
        assert half.wait(10)
        assert held(cache, [3], fill) == [(3, 3)]
        may_go_on.set()
        first.result(10)


# ── stores that come and go ──────────────────────────────────────────────────────────────────────────


def test_a_slot_means_nothing_in_another_store(fill):
    """A thread that was given slots before the cache was cleared must not find other chunk rows in them."""
    first, second = cache_of(4), ChunkRowSlots(8, "other")
    held(first, [1, 2], fill)
    first.cache.clear()
    other = Dataset(4 * CHUNK_ROW_BYTES)
    other.cache, other.slots = first.cache, second
    assert held(other, [5, 6], fill) == [(5, 5), (6, 6)]
    assert held(first, [1, 2], fill) == [(1, 1), (2, 2)]
    assert fill.filled == [1, 2, 5, 6, 1, 2]


def test_two_caches_may_share_slots(fill):
    first, second = cache_of(4), cache_of(4)
    second.slots = first.slots
    for _ in range(2):
        assert held(first, [1, 2], fill) == [(1, 1), (2, 2)]
        assert held(second, [2, 3], fill) == [(2, 2), (3, 3)]


def test_who_reads_goes_on_while_the_cache_is_cleared(fill):
    cache = cache_of(2)

    def look(rows, slots):
        cache.cache.clear()
        assert held(cache, [5, 6], fill) == [(5, 5), (6, 6)]
        assert [int(rows[2 * slot, 0]) for slot in slots] == [1, 2]

    cache.cache.use([(cache.slots, np.array([1, 2]))], fill, look)
    assert held(cache, [5, 6], fill) == [(5, 5), (6, 6)]
    assert fill.filled == [1, 2, 5, 6]


def test_a_thread_that_waits_for_a_chunk_row_of_a_cleared_cache_fills_it(fill):
    cache = cache_of(4)
    filling, may_go_on = threading.Event(), threading.Event()

    def slow(missing):
        filling.set()
        assert may_go_on.wait(10)
        fill(missing)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(held, cache, [1, 2], slow)
        assert filling.wait(10)
        second = threads.submit(held, cache, [2, 3], fill)
        cache.cache.clear()
        assert second.result(10) == [(2, 2), (3, 3)]
        may_go_on.set()
        assert first.result(10) == [(1, 1), (2, 2)]


def test_more_chunk_rows_than_a_smaller_store_has(fill):
    """Asked for before the limit shrank, and served by the store that was made behind it."""
    cache = cache_of(8)
    cache.cache.limit(2 * CHUNK_ROW_BYTES)
    cache.cache.clear()
    held(cache, [1], fill)
    assert held(cache, list(range(6)), fill) == [(number, number) for number in range(6)]


def test_an_interrupt_while_a_chunk_row_is_filled_leaves_it_to_other_threads(fill):
    cache = cache_of(4)

    def interrupted(missing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        held(cache, [1, 2], interrupted)
    assert not cache.cache._store.slots._users.any()
    assert held(cache, [1, 2], fill) == [(1, 1), (2, 2)]


def test_torn_books_are_not_used_any_more(fill):
    cache = cache_of(2)
    held(cache, [1, 2], fill)
    torn = cache.cache._store
    torn.is_torn = True
    assert held(cache, [2, 3], fill) == [(2, 2), (3, 3)]
    assert cache.cache._store is not torn
