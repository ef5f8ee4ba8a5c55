"""Files and caches that are closed while others read: right values or an error, and nobody waits for ever."""

import itertools
import sys
import threading
import warnings

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule, H5Dataset
from h5lightning.errors import H5LightningError, WorkerError

pytestmark = pytest.mark.timeout(100)

FILES, ROWS = 8, 40
FIELDS = {"x": "x", "y": "y", "grid": {"path": "grid", "constant": True}}


@pytest.fixture
def pattern(tmp_path):
    for number in range(FILES):
        values = np.arange(ROWS) + 1000 * number
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=values[:, None].repeat(6, 1), chunks=(8, 6), compression="gzip")
            file["y"] = values
            file["grid"] = np.full((2, 2), number)
    return str(tmp_path / "*.h5")


@pytest.fixture
def _switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Readers:
    """Threads that read until they are told to end; what was wrong."""

    def __init__(self, read, number=3):
        self.wrong, self.reads, self._is_over = [], [0] * number, False
        self._threads = [
            threading.Thread(target=self._run, args=(read, n), daemon=True) for n in range(number)
        ]

    def _run(self, read, number):
        random = np.random.default_rng(number)
        while not self._is_over:
            ids = random.integers(0, FILES * ROWS, 16)
            try:
                batch = read(ids)
            except H5LightningError:
                continue
            except BaseException as error:  # noqa: BLE001 - whatever it is
                self.wrong.append(error)
                return
            expected = ids // ROWS * 1000 + ids % ROWS
            right = [(batch["x"].numpy() == expected[:, None]).all(), (batch["y"].numpy() == expected).all()]
            right.append((batch["grid"].numpy() == (ids // ROWS)[:, None, None]).all())
            if not all(right):
                self.wrong.append(ids)
            self.reads[number] += 1

    def during(self, action, times):
        """What was wrong while something was done so often, and at least that often something was read."""
        for thread in self._threads:
            thread.start()
        done = 0
        while done < times or min(self.reads) < times:
            action()
            done += 1
            if not all(thread.is_alive() for thread in self._threads):
                break
        self._is_over = True
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads), "a thread waits for ever"
        return self.wrong


def holder_of(dataset):
    """What holds files and caches; both readers of an AutoReader share them."""
    reader = dataset._batches.reader
    return getattr(reader, "_direct", reader)


ACTIONS = {
    "close": lambda dataset: dataset.close(),
    "close the cache": lambda dataset: holder_of(dataset)._decoded.pool().close(),
    "close the files": lambda dataset: holder_of(dataset)._pool.close(),
}


@pytest.mark.usefixtures("_switching")
@pytest.mark.parametrize("reader", ["auto", "direct", "h5py"])
@pytest.mark.parametrize("action", ACTIONS)
def test_closing_while_others_read(action, reader, pattern):
    access = {"max_open_files": 3, "cache_bytes": 70_000}
    dataset = H5Dataset(pattern, FIELDS, access=access, reader=reader)
    assert Readers(dataset.read_batch).during(lambda: ACTIONS[action](dataset), 25) == []
    dataset.close()


@pytest.mark.usefixtures("_switching")
def test_decoding_threads_end_while_they_are_in_use(pattern):
    dataset = H5Dataset(pattern, FIELDS, access={"cache_bytes": 1000}, reader="direct")
    dataset._batches.reader._decoded._options = (1000, 3)
    assert Readers(dataset.read_batch).during(dataset.close, 20) == []
    dataset.close()


def module_of(pattern, **options):
    module = H5DataModule(
        pattern, FIELDS, batch_size=16, split={"val": None, "test": None}, shuffle="none", **options
    )
    module.prepare_data()
    module.setup()
    return module


@pytest.mark.usefixtures("_switching")
def test_teardown_while_others_read(pattern):
    module = module_of(pattern)
    assert Readers(module.train_dataset.read_batch).during(module.teardown, 25) == []
    module.teardown()


@pytest.mark.usefixtures("_switching")
@pytest.mark.parametrize("reader", ["auto", "direct", "h5py"])
def test_another_setup_while_others_read(pattern, reader):
    """The seed of a loaded state splits the files again."""
    module = module_of(pattern, reader=reader)
    states = itertools.cycle([{**module.state_dict(), "seed": seed} for seed in (1, 2)])

    def read(positions):
        return module.train_dataset.read_batch(positions)  # each time the dataset of the last setup

    assert Readers(read).during(lambda: module.load_state_dict(next(states)), 25) == []
    assert module.seed in (1, 2)
    module.teardown()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_start_while_others_read(pattern):
    module = module_of(pattern, num_workers=1, multiprocessing_context="fork")

    def use_workers():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            batches = iter(module.train_dataloader())
            assert next(batches)["y"].tolist() == list(range(16))
            del batches

    assert Readers(module.train_dataset.read_batch, 2).during(use_workers, 3) == []
    module.teardown()


@pytest.mark.usefixtures("_switching")
def test_teardown_ends_a_pass_of_another_thread(pattern):
    """Whoever iterates gets all batches, or an error: never the end of an epoch that is not over."""
    module = module_of(pattern, threads=2)
    ends = []

    def iterate():
        for _ in range(15):
            given = 0
            try:
                for batch in module.train_dataloader():
                    expected = np.arange(given, given + len(batch["y"]))
                    assert (batch["y"].numpy() == expected // ROWS * 1000 + expected % ROWS).all()
                    given += len(batch["y"])
                ends.append(given == FILES * ROWS)
            except WorkerError as error:
                ends.append("ended after" in str(error))

    thread = threading.Thread(target=iterate, daemon=True)
    thread.start()
    while thread.is_alive():
        module.teardown()
        thread.join(0.002)
    assert ends == [True] * 15
    module.teardown()
