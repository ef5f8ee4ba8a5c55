"""How much memory decoded chunks take: of a window, of all data, and for each byte of a sample."""

import numpy as np
import pytest

from h5lightning.planning.sampling.chunk_needs import ChunkLayout
from h5lightning.planning.sampling.decoded_chunks import DecodedChunks

ROWS = np.array([100, 95])


def chunks(*, height=10, decoded=4, alone=0):
    layout = ChunkLayout(np.array([height, height]), decoded)
    return DecodedChunks([layout], ROWS, decoded + alone)


def test_the_last_chunk_of_a_file_is_decoded_whole():
    assert chunks().total_bytes == (100 + 100) * 4


def test_a_cache_that_holds_all_chunks_holds_any_window():
    assert chunks().held_window_bytes(800) is None
    assert chunks().held_window_bytes(799) == int(799 * 195 / 200)


def test_rows_that_are_read_alone_take_no_cache():
    assert chunks(alone=12).held_window_bytes(400) == int(400 * 195 / 200 * 4)


@pytest.mark.parametrize(("window", "needed"), [(100, 124), (700, 800), (10**9, 800)])
def test_the_cache_for_a_window_is_never_larger_than_the_data(window, needed):
    assert chunks().cache_bytes_for(window) == needed


def test_a_random_order_decodes_whole_chunks_for_single_rows():
    assert chunks().for_each_byte(800, batch_size=1) == 1
    assert chunks().for_each_byte(0, batch_size=1) == pytest.approx(10)
    assert chunks(alone=4).for_each_byte(0, batch_size=1) == pytest.approx((40 + 4) / 8)
    assert chunks().for_each_byte(400, batch_size=1) == pytest.approx(5)
