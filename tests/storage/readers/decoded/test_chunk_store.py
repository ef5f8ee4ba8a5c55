"""How caches of decoded chunks share memory: tall chunks of short rows, such as labels, must find room too."""

import h5py
import numpy as np

from h5lightning import H5DataModule
from h5lightning.storage.readers.decoded.chunk_store import shares


def test_one_cache_has_all_of_it():
    assert shares(800, [5]) == [800]


def test_most_is_shared_by_the_bytes_of_rows_and_the_rest_equally():
    assert shares(800, [3, 1]) == [525 + 50, 175 + 50]
    assert shares(0, [3, 1]) == [0, 0]
    assert sum(shares(1_000_003, [4096, 8, 1])) <= 1_000_003


def test_tall_chunks_of_labels_are_decoded_about_once_in_an_epoch(tmp_path):
    values = np.random.default_rng(0).integers(0, 9, (2048, 64)).astype("f4")
    for number in range(8):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=values, chunks=(64, 64), compression="gzip")
            file.create_dataset("y", data=np.arange(2048), chunks=(1024,), compression="gzip")
    dm = H5DataModule(
        str(tmp_path / "*.h5"),
        fields={"x": "x", "y": "y"},
        batch_size=64,
        threads=0,
        split={"train": 1.0, "val": 0.0, "test": 0.0},
        access={"cache_bytes": 3 << 20},
        shuffle={"window_bytes": 1 << 20},
    )
    dm.setup("fit")
    try:
        labels = np.concatenate([batch["y"].numpy() for batch in dm.train_dataloader()])
        caches = dm.train_dataset._batches.reader._direct._decoded.pool()._caches
        assert caches[1024, 8].filled == 16
        assert np.array_equal(np.bincount(labels), np.full(2048, 8))
    finally:
        dm.teardown()
