"""What samples are bucketed by: read or known from the index, checked, and the same for any loader."""

from __future__ import annotations

import threading

import h5py
import numpy as np
import pytest
from recording import check_values

from h5lightning import Field, H5DataModule, H5Dataset, Shuffle, Whole, Windows
from h5lightning.errors import FieldError, H5LightningError, MissingFieldError
from h5lightning.loading.bucket_sizes import read_sizes

pytestmark = pytest.mark.timeout(90)
LENGTHS = (140, 25, 133, 10)


@pytest.fixture
def files(write_files):
    """Files with a number `n` for each row, and fields that cannot be bucketed by."""
    pattern = write_files(LENGTHS)
    rng = np.random.default_rng(1)
    for number, rows in enumerate(LENGTHS):
        with h5py.File(pattern.replace("*", f"run-{number:03}"), "r+") as file:
            file["n"] = rng.integers(0, 1000, rows)
            file["one"] = rng.random((rows, 1))
            file["wide"] = np.zeros((rows, 2), "f4")
            file["complex"] = np.zeros(rows, "c8")
            file["bad"] = np.where(np.arange(rows) == number, np.nan, 1.0)
            file["text"] = np.asarray([f"row {row}" for row in range(rows)], dtype=h5py.string_dtype())
    return pattern


@pytest.fixture
def make(ready):
    usual = {"fields": ["x", "y", "n"], "batch_size": 3, "provenance": True, "split": {"val": 0.2, "test": 0}}
    return lambda files, shuffle, **options: ready(H5DataModule(files, shuffle=shuffle, **(usual | options)))


def batches_of(dm, loader=None, epoch=0):
    loader = loader or dm.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [batch["sample_id"].tolist() for batch in loader]


def flat(batches):
    return [number for batch in batches for number in batch]


def numbers_of(dm, ids, key="n"):
    return dm.train_dataset.read_ids(ids, [key])[key].numpy()


@pytest.mark.parametrize("shuffle", [{}, {"mode": "block"}, {"balance": "y"}, {"weights": "n"}], ids=str)
def test_batches_are_similar_over_any_order(make, files, shuffle):
    plain = make(files, shuffle)
    dm = make(files, {**shuffle, "bucket": "n"})
    found, beneath = batches_of(dm), batches_of(plain)
    for loader_batch in dm.train_dataloader():
        check_values(dm, loader_batch)
    assert len(found) > 60, "several windows"
    assert sorted(flat(found[:50])) == sorted(flat(beneath[:50]))
    assert sorted(flat(found)) == sorted(flat(beneath))
    spread = [np.mean([np.ptp(numbers_of(dm, batch)) for batch in one]) for one in (found, beneath)]
    assert spread[0] < spread[1] / 4


def test_the_same_batches_for_any_number_of_workers_and_threads(make, files):
    expected = batches_of(make(files, {"bucket": "n"}), epoch=3)
    assert batches_of(make(files, {"bucket": "n"}, num_workers=2), epoch=3) == expected
    assert batches_of(make(files, {"bucket": "n"}, threads=0), epoch=3) == expected
    assert batches_of(make(files, {"bucket": "n"}, threads=4), epoch=3) == expected
    assert batches_of(make(files, {"bucket": "n"}), epoch=2) != expected


def test_threads_may_use_several_loaders_at_a_time(make, files):
    dm = make(files, {"bucket": "n"})
    expected, found = batches_of(dm, epoch=1), {}
    loaders = [dm.train_dataloader() for _ in range(3)]

    def use(number):
        found[number] = batches_of(dm, loaders[number], epoch=1)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 3


@pytest.mark.parametrize("batch_size", [3, 5])
def test_the_state_of_a_loader_says_which_window_it_was_in(make, files, batch_size):
    first = make(files, {"bucket": "n"})
    loader, seen = first.train_dataloader(), []
    batches = iter(loader)
    for _ in range(20):
        seen += next(batches)["sample_id"].tolist()
    state = loader.state_dict()
    rest = flat(batch["sample_id"].tolist() for batch in batches)
    second = make(files, {"bucket": "n"}, batch_size=batch_size)
    other = second.train_dataloader()
    other.load_state_dict(state)
    found = flat(batch["sample_id"].tolist() for batch in other)
    assert sorted(found + seen) == sorted(rest + seen)
    assert (found == rest) == (batch_size == 3)
    old = 150 - 20 * 3
    assert found[:old] == rest[:old]


def test_a_state_of_other_sizes_is_refused(make, files):
    state = make(files, {"bucket": "n"}).train_dataloader().state_dict()
    with pytest.raises(H5LightningError, match="this state belongs to another loader: order is"):
        make(files, {"bucket": "y"}).train_dataloader().load_state_dict(state)


def test_evaluation_is_not_bucketed(make, files):
    dm = make(files, {"bucket": "n"})
    found = [number for batch in dm.val_dataloader() for number in batch["sample_id"].tolist()]
    assert found == dm.val_dataset.sample_ids(np.arange(len(dm.val_dataset))).tolist()


def test_the_summary_says_it(make, files):
    assert "Training batches have samples of similar 'n'" in str(make(files, {"bucket": "n"}).summary())
    assert "similar" not in str(make(files, {}).summary())


@pytest.mark.parametrize(
    ("bucket", "error", "message"),
    [
        (
            "nn",
            MissingFieldError,
            r"shuffle\.bucket must name one of the fields, found 'nn'; did you mean 'n'",
        ),
        (
            "wide",
            FieldError,
            r"shuffle\.bucket needs one value for each sample, field 'wide' has the shape \(2,\)",
        ),
        ("complex", FieldError, r"shuffle\.bucket needs numbers that can be compared"),
        ("bad", FieldError, r"field 'bad' is NaN at row \d+ of .*\(and for \d more samples\)"),
        (
            "length:xx",
            MissingFieldError,
            r"shuffle\.bucket='length:xx' must name .* found 'xx'; did you mean 'x'",
        ),
        ("length:x", FieldError, r"all samples of field 'x' have one length .*\(2, 3\).* leave bucket out"),
    ],
)
def test_what_cannot_be_bucketed_is_refused_at_setup(make, files, bucket, error, message):
    with pytest.raises(error, match=message):
        make(files, {"bucket": bucket}, fields=["x", "n", "wide", "complex", "bad"])


def test_text_is_refused(make, files):
    with pytest.raises(H5LightningError, match="text"):
        make(files, {"bucket": "text"}, fields=["x", "text"])


def test_windows_have_one_length(make, files):
    with pytest.raises(FieldError, match="all samples of field 'x' have one length"):
        make(files, {"bucket": "length:x"}, fields=["x", "n"], samples=Windows(4))
    with pytest.raises(FieldError, match=r"Field\(path, steps=\(0, 1\)\) gives that of the first"):
        make(files, {"bucket": "n"}, samples=Windows(4))
    first = {"x": "x", "n": Field("n", steps=(0, 1))}
    assert batches_of(make(files, {"bucket": "n"}, fields=first, samples=Windows(4)))


def test_numbers_may_be_attributes_and_have_one_element(files):
    fields = {"x": "x", "number": "attr:number", "one": "one"}
    dataset = H5Dataset(files, fields)
    try:
        number = read_sizes(dataset, Shuffle(bucket="number"))
        assert number(np.arange(len(dataset))).tolist() == np.repeat([0, 1, 2, 3], LENGTHS).tolist()
        one = read_sizes(dataset, Shuffle(bucket="one"))
        assert one(np.asarray([3, 0])).shape == (2,)
        assert read_sizes(dataset, Shuffle(bucket="length:x")) is None
        assert read_sizes(dataset, Shuffle()) is None
    finally:
        dataset.close()


def test_a_bucket_of_equal_series_is_refused(make, write_files):
    with pytest.raises(FieldError, match="all samples of field 'x' have one length"):
        make(write_files([7] * 6), {"bucket": "length:x"}, fields=["x"], samples=Whole())


@pytest.fixture
def ragged(tmp_path):
    """Samples of 1 to 100 rows: as entries of an index, as series of any length, and along the second axis."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 101, 400)
    (tmp_path / "series").mkdir()
    with h5py.File(tmp_path / "bags.h5", "w") as file:
        file["x"], file["ends"] = rng.random((lengths.sum(), 3)), np.cumsum(lengths)
    for number, length in enumerate(lengths[:60]):
        with h5py.File(tmp_path / f"series/{number}.h5", "w") as file:
            file["x"], file["wide"] = rng.random((length, 3)), rng.random((5, length))
            file["both"] = rng.random((length, length % 7 + 1))
    return tmp_path


@pytest.mark.parametrize(
    "kind", ["index", "series", "taken series", "second axis", "rows along the second axis"]
)
@pytest.mark.parametrize("bucket", ["length:x", "n"])
def test_little_is_padding(make, ragged, kind, bucket):
    path, samples, batch_size = "x", Whole(take=60 if kind == "taken series" else None), 4
    if kind == "index":
        path, samples, batch_size = Field("x", index="ends", ragged="pad"), None, 16
    elif kind.endswith("second axis"):
        path = Field("wide", ragged="pad")
        samples = Whole(axis=int(kind.startswith("rows")))
    else:
        path = Field("x", ragged="pad")
    files = str(ragged / ("bags.h5" if kind == "index" else "series/*.h5"))
    fields, found, seen = {"x": path, "n": "length:x"}, [], []
    for shuffle in ({}, {"bucket": bucket}):
        dm = make(
            files,
            shuffle,
            fields=fields,
            samples=samples,
            batch_size=batch_size,
            split={"val": None, "test": None},
        )
        batches = list(dm.train_dataloader())
        padded = sum(
            batch["x"].shape[0] * batch["x"].shape[2 if kind.endswith("second axis") else 1]
            for batch in batches
        )
        found.append(1 - sum(int(batch["n"].sum()) for batch in batches) / padded)
        seen.append(sorted(flat(batch["sample_id"].tolist() for batch in batches)))
    assert seen[0] == seen[1]
    assert found[0] > 0.2
    assert found[1] < 0.1


def test_lengths_in_a_field_are_known_without_reading(ragged, monkeypatch):
    fields = {"x": Field("x", index="ends", ragged="pad"), "n": "length:x"}
    dataset = H5Dataset(str(ragged / "bags.h5"), fields)
    expected = dataset.read_batch(np.arange(400), ["n"])["n"].numpy()
    monkeypatch.setattr(type(dataset), "read_batch", None)
    assert np.array_equal(read_sizes(dataset, Shuffle(bucket="n"))(np.arange(400)), expected)
    dataset.close()


def test_single_numbers_have_no_length(make, files):
    with pytest.raises(FieldError, match="all samples of field 'n' have one length"):
        make(files, {"bucket": "length:n"}, fields={"n": Field("n", ragged="pad")})


def test_ragged_fields_have_no_number(make, ragged):
    fields = {"x": Field("both", ragged="list"), "y": Field("x", ragged="pad")}
    options = {"fields": fields, "samples": Whole(), "split": {"val": None, "test": None}}
    with pytest.raises(FieldError, match=r"shape \(None, None\), but one axis must differ"):
        make(str(ragged / "series/*.h5"), {"bucket": "length:x"}, **options)
    with pytest.raises(
        FieldError, match=r"shape \(None, 3\): a field with the path 'length:y' has their lengths"
    ):
        make(str(ragged / "series/*.h5"), {"bucket": "y"}, **options)
