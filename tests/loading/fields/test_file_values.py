"""What all samples of a file share: the right values in each slot, read once for each file, in memory of the batch."""

from __future__ import annotations

import threading
import warnings

import h5py
import numpy as np
import pytest

from h5lightning import Access, Field, H5Dataset
from h5lightning.errors import FieldError, NonFiniteError

pytestmark = pytest.mark.timeout(120)
ROWS, SHAPE = 5, (3, 64)
VALUE_BYTES = 3 * 64 * 8


def write(folder, files, change=lambda file, number: None):
    for number in range(files):
        with h5py.File(folder / f"{number:03}.h5", "w") as file:
            file["x"] = np.arange(ROWS) + ROWS * number
            file["grid"] = np.full(SHAPE, number, "f8")
            file["one"] = np.int16(number)
            file.attrs["number"] = number
            change(file, number)
    return str(folder / "*.h5")


FIELDS = {
    "x": "x",
    "grid": Field("grid", constant=True),
    "same": Field("grid", constant=True),
    "half": Field("grid", constant=True, dtype="float32"),
    "one": Field("one", constant=True),
    "number": "attr:number",
}


def assert_right(batch, ids):
    files = np.asarray(ids) // ROWS
    for key in ("grid", "same", "half"):
        expected = np.broadcast_to(files[:, None, None], (len(files), *SHAPE))
        np.testing.assert_array_equal(batch[key].numpy(), expected)
    np.testing.assert_array_equal(batch["one"], files)
    np.testing.assert_array_equal(batch["number"], files)


def counted(dataset):
    """A list that gets the path of each constant that is read."""
    reader, paths = dataset._batches.reader, []
    read_whole = reader.read_whole

    def count(path, column, out):
        paths.append((path, column.path))
        read_whole(path, column, out)

    reader.read_whole = count
    return paths


def opened(pattern, fields=None, **options):
    return H5Dataset(pattern, fields or FIELDS, **options)


@pytest.mark.parametrize("files", [1, 7, 300])
def test_each_sample_gets_the_values_of_its_file_which_is_read_once(tmp_path, files) -> None:
    dataset = opened(write(tmp_path, files))
    read, rng = counted(dataset), np.random.default_rng(0)
    for size in (1, 2, ROWS, 256, 256, 1000):
        ids = rng.integers(0, len(dataset), size)
        assert_right(dataset.read_batch(ids), ids)
    assert_right(dataset.read_batch([]), [])
    # Two fields with the same values share them; the third one has another type.
    assert max(read.count(one) for one in set(read)) == 2
    assert len(read) == 3 * len({path for path, _ in read})
    dataset.close()


@pytest.mark.parametrize("files", [1, 4])
def test_batches_and_samples_share_no_memory(tmp_path, files) -> None:
    dataset = opened(write(tmp_path, files))
    ids = [0, 1, ROWS * files - 1, 0]
    for _ in range(3):
        batch = dataset.read_batch(ids)
        assert_right(batch, ids)
        assert all(tensor.is_contiguous() for tensor in batch.values())
        batch["grid"][0] = -1
        assert (batch["grid"][1:] >= 0).all()
        for tensor in batch.values():
            tensor.fill_(7)
    dataset.close()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_constants_that_do_not_fit_are_right_and_a_warning_names_what_they_need(tmp_path, share) -> None:
    files, fields = 60, {key: FIELDS[key] for key in ("x", "grid")}
    needed = files * VALUE_BYTES
    dataset = opened(write(tmp_path, files), fields, access=Access(cache_bytes=int(share * needed)))
    read, rng = counted(dataset), np.random.default_rng(0)
    parts = [rng.integers(0, len(dataset), size) for size in (200, 200, 1, 200)]
    with pytest.warns(UserWarning, match=f"access.cache_bytes to at least {needed}") as caught:
        batches = [dataset.read_batch(ids) for ids in parts]
    for ids, batch in zip(parts, batches, strict=True):
        expected = np.broadcast_to((ids // ROWS)[:, None, None], (len(ids), *SHAPE))
        np.testing.assert_array_equal(batch["grid"].numpy(), expected)
    assert len(caught) == 1
    read.clear()
    for start in range(0, len(dataset), 2):  # in order, each file that does not fit is read once more
        dataset.read_batch([start, start + 1])
    others = files - int(share * needed) // 4 * 3 // VALUE_BYTES
    assert len(read) <= others
    dataset.close()


def test_constants_that_fit_exactly_are_all_kept(tmp_path) -> None:
    files, fields = 20, {key: FIELDS[key] for key in ("x", "grid")}
    dataset = opened(write(tmp_path, files), fields, access=Access(cache_bytes=files * VALUE_BYTES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset.read_batch(range(len(dataset)))
        read = counted(dataset)
        dataset.read_batch(range(len(dataset)))
    assert read == []
    dataset.close()


def test_files_may_store_a_constant_in_different_types_and_encodings(tmp_path) -> None:
    def change(file, number):
        del file["grid"]
        stored = file.create_dataset("grid", data=np.full(SHAPE, number, ["<f4", ">f8", "<i2"][number % 3]))
        if number % 3 == 2:
            stored.attrs["scale_factor"] = 0.5

    fields = {"x": "x", "grid": Field("grid", constant=True, dtype="float64", decode="cf")}
    dataset = opened(write(tmp_path, 9, change), fields)
    ids = np.random.default_rng(0).integers(0, len(dataset), 100)
    for _ in range(2):
        files = ids // ROWS
        expected = np.where(files % 3 == 2, files / 2, files)
        np.testing.assert_array_equal(dataset.read_batch(ids)["grid"][:, 2, 5], expected)
    dataset.close()


@pytest.mark.parametrize(
    ("value", "options", "access", "error", "message"),
    [
        (
            1e300,
            {"dtype": "float32"},
            {},
            FieldError,
            "holds 1e.300 at row . of .*003.h5, which float32 cannot",
        ),
        (np.nan, {}, {"on_nonfinite": "raise"}, NonFiniteError, "not finite .* of .*003.h5"),
    ],
    ids=["too large", "not finite"],
)
def test_a_value_that_cannot_be_delivered_is_an_error_each_time(
    tmp_path, value, options, access, error, message
) -> None:
    def change(file, number):
        if number == 3:
            file["grid"][1, 2] = value

    fields = {"x": "x", "grid": Field("grid", constant=True, **options)}
    dataset = opened(write(tmp_path, 5, change), fields, access=Access(**access))
    for _ in range(2):
        dataset.read_batch(range(3 * ROWS))
        with pytest.raises(error, match=message):
            dataset.read_batch(range(len(dataset)))
    dataset.close()


@pytest.mark.parametrize("share", [0.5, 2])
def test_threads_get_the_values_of_their_files(tmp_path, share) -> None:
    files, wrong, start = 30, [], threading.Barrier(4)
    access = Access(cache_bytes=int(share * files * VALUE_BYTES * 3))
    dataset = opened(write(tmp_path, files), access=access)

    def work(seed):
        rng = np.random.default_rng(seed)
        start.wait(30)
        for _ in range(40):
            ids = rng.integers(0, len(dataset), 20)
            try:
                assert_right(dataset.read_batch(ids), ids)
            except BaseException as error:  # noqa: BLE001 - shown below
                wrong.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []
    dataset.close()
