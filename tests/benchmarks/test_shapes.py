"""What is raced over samples of other shapes delivers the same samples, and the meters count what they say."""

import numpy as np
import pytest
import torch
from loading import shapes_data as data
from loading.ours import training
from loading.shapes import decodes_of_epochs, padding
from loading.task_races import epoch_of

from h5lightning import Access, Shuffle

VOLUME = data.Volume("volume", 4, 32, batch=10)
RECORDINGS = data.Recordings("recordings", 3, 70, 20, batch=8)


def rows_of(batches):
    """The samples of all batches as bytes, sorted."""
    return sorted(bytes(np.ascontiguousarray(sample)) for batch in batches for sample in batch["x"])


@pytest.mark.parametrize(
    ("stored", "write"),
    [(VOLUME, data.write_volume), (RECORDINGS, data.write_recordings)],
    ids=["volume", "recordings"],
)
def test_box_by_box_delivers_what_h5lightning_does(stored, write, tmp_path):
    files = write(stored, tmp_path / "data")
    plain = data.BoxByBox(stored, files)
    batches = list(plain(0))
    assert max(len(batch["x"]) for batch in batches) == stored.batch
    assert batches[0]["x"][0].nbytes == stored.sample_bytes
    with training(files, **stored.arguments()) as dm:
        assert rows_of(epoch_of(dm, 0)) == rows_of(batches) == rows_of(plain(1))
    plain.close()


def test_drawn_crops_lie_in_the_volume(tmp_path):
    drawn = data.Volume("drawn", 3, 64, jitter=True)
    files = data.write_volume(drawn, tmp_path / "data")
    plain = data.BoxByBox(drawn, files)
    with training(files, **drawn.arguments()) as dm:
        for batches in (plain(0), epoch_of(dm, 0)):
            assert torch.cat([batch["x"] for batch in batches]).shape == (27, 64, 64, 64)
    plain.close()


@pytest.mark.parametrize("is_series", [False, True], ids=["index", "series"])
def test_clouds_and_fixed_rows_have_the_same_bytes(is_series, tmp_path):
    clouds = data.Clouds("clouds", 2, 3, 2, 8, is_series=is_series)
    files = data.write_clouds(clouds, tmp_path / "clouds")
    fixed = data.FixedRows(clouds)
    other = data.write_fixed_rows(fixed, tmp_path / "fixed")
    with training(files, **clouds.arguments()) as dm:
        batches = list(epoch_of(dm, 0))
    with training(other, **fixed.arguments()) as dm:
        rows = torch.cat([batch["points"] for batch in epoch_of(dm, 0)])
    lengths = torch.cat([batch["length"] for batch in batches])
    assert sorted(lengths.tolist()) == sorted(6 * list(range(2, 9)))
    assert len(rows) == len(lengths)
    assert rows.nbytes == sum(batch["points"].nbytes for batch in batches) == clouds.size
    assert rows[0].nbytes == clouds.sample_bytes


def test_padding_is_counted(tmp_path):
    length = torch.tensor([1, 3])
    assert padding([{"points": torch.zeros(2, 3, 3), "length": length}]) == pytest.approx(1 / 3)
    clouds = data.Clouds("clouds", 2, 20, 40, 200, ragged="pad")
    files = data.write_clouds(clouds, tmp_path / "clouds")
    shares = []
    for options in ({}, {"shuffle": Shuffle(bucket="length:points")}):
        with training(files, **clouds.arguments(), **options) as dm:
            shares.append(padding(epoch_of(dm, 0)))
    assert shares[0] == pytest.approx(0.4, abs=0.02)
    assert shares[1] < 0.1


def test_decodes_are_counted(tmp_path):
    files = data.write_volume(VOLUME, tmp_path / "data")
    crops = 7**3
    assert decodes_of_epochs(VOLUME, files) == [(64, crops), (64, crops)]  # all chunks are kept
    small = data.Volume("small cache", 4, 32, options={"access": Access(cache_bytes=0)})
    (decodes, delivered), *_ = decodes_of_epochs(small, files)
    assert delivered == crops
    assert decodes > 128
