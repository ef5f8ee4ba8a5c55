"""A KeyboardInterrupt at any line of readers, caches and queues: the next read is right, and nothing stays reserved."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import h5lightning
from h5lightning import H5DataModule, H5Dataset
from h5lightning.cli import app
from h5lightning.errors import H5LightningError
from h5lightning.storage.readers.decoded.shared_chunks import SharedChunks

PACKAGE = Path(h5lightning.__file__).parent
# Folders, or modules of a folder, whose lines are interrupted.
PLACES = (
    "core/monitor.py",
    "core/process_monitor.py",
    "core/frozen.py",
    "core/process_local.py",
    "loading/**/*.py",
    "planning/selection.py",
    "storage/files/*.py",
    "storage/readers/**/*.py",
)
TRACED = {str(path) for place in PLACES for path in PACKAGE.glob(place)}

FILES, ROWS = 4, 24
IDS = np.random.default_rng(0).permutation(FILES * ROWS)[:32]
LITTLE = {"max_open_files": 2, "cache_bytes": 700}
CASES = {
    "mapped": {"fields": ["x"], "reader": "direct", "access": {"max_open_files": 2}},
    "by calls": {"fields": ["x"], "reader": "direct", "access": {**LITTLE, "memory_map": False}},
    "verified": {"fields": ["x", "z"], "reader": "direct", "access": {**LITTLE, "verify": True}},
    "split": {"fields": ["w"], "reader": "direct", "access": {"max_open_files": 2}},
    "gzip": {"fields": ["z"], "reader": "direct", "access": LITTLE},
    "gzip, in threads": {"fields": ["z"], "reader": "direct", "access": LITTLE},
    "gzip, shared": {"fields": ["z"], "reader": "direct", "access": LITTLE},
    "h5py": {"fields": ["x"], "reader": "h5py", "access": LITTLE},
    "h5py, gzip": {"fields": ["z"], "reader": "h5py", "access": {"max_open_files": 2, "cache_bytes": 36_000}},
    "constants": {"fields": {"x": "x", "grid": {"path": "grid", "constant": True}}, "access": LITTLE},
}


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for number in range(FILES):
        values = (number * 1000 + np.arange(ROWS))[:, None].repeat(4, 1)
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["x"] = values
            file.create_dataset("z", data=values, chunks=(8, 4), compression="gzip")
            file.create_dataset("w", data=values, chunks=(8, 3))
            file["grid"] = np.full((2, 2), number)
    return str(folder / "*.h5")


def dataset_of(case, pattern):
    options = CASES[case]
    if "verify" in options["access"]:
        assert CliRunner().invoke(app, ["index", pattern, "--checksum"]).exit_code == 0
    dataset = H5Dataset(
        pattern, options["fields"], access=options["access"], reader=options.get("reader", "auto")
    )
    if case == "gzip, in threads":
        dataset._batches.reader._decoded._options = (LITTLE["cache_bytes"], 3)
    return dataset


def close(dataset, case):
    """Let the next read begin anew; as a worker process that shares, in that case."""
    dataset.close()
    if case == "gzip, shared":
        decoded, shared = dataset._batches.reader._decoded, SharedChunks.make(2, LITTLE["cache_bytes"])
        shared.made_by = None
        decoded._shared = shared
        decoded._local.forget()


def check(batch, ids):
    for key, tensor in batch.items():
        expected = ids // ROWS if key == "grid" else ids // ROWS * 1000 + ids % ROWS
        assert (tensor.numpy().reshape(len(ids), -1) == expected[:, None]).all(), key


def read(dataset):
    check(dataset.read_batch(IDS), IDS)


def reserved(dataset):
    """Files that are held, slots that are in use, and books that are half written."""
    reader = dataset._batches.reader
    reader = getattr(reader, "_direct", reader)  # both readers of an AutoReader share files and caches
    held = [path for path, entry in reader._pool._files()._by_path.items() if entry.holders]
    stores = [cache._store for cache in reader._decoded.pool()._caches.values() if cache._store is not None]
    return held, [
        int(store.slots._users.sum()) for store in stores if store.slots._users.any() or store.is_torn
    ]


NOTHING = ([], [])


class Tracer:
    """Counts how often each line is reached; raises where it is told to.

    Args:
        where: file, line and visit; None to count only.
    """

    def __init__(self, where=None):
        self.where = where
        self.visits = Counter()
        self.order = []
        self.has_struck = False

    def __call__(self, frame, event, arg):
        code = frame.f_code
        # Python swallows what a finalizer raises.
        if code.co_filename not in TRACED or "__del__" in (code.co_name, frame.f_back.f_code.co_name):
            return None
        if event == "line" and not self.has_struck:
            line = code.co_filename, frame.f_lineno
            self.visits[line] += 1
            if self.where is None:
                self.order.append((*line, self.visits[line]))
            elif (*line, self.visits[line]) == self.where:
                self.has_struck = True
                raise KeyboardInterrupt
        return self

    def run(self, function):
        """Call a function; the interrupt, kept as a notebook keeps it."""
        sys.settrace(self)
        try:
            function()
        except KeyboardInterrupt as error:
            return error
        finally:
            sys.settrace(None)
        return None


def in_thread(function):
    """What a function raises in another thread, which would wait for a lock that was left locked."""
    errors = []

    def call():
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it hangs"
    return errors


def strike(dataset, where):
    """Interrupt a read, and read again, in this thread and in another one."""
    tracer = Tracer(where)
    error = tracer.run(lambda: read(dataset))
    assert reserved(dataset) == NOTHING, where
    read(dataset)
    assert in_thread(lambda: read(dataset)) == [], where
    assert reserved(dataset) == NOTHING, where
    assert (error is not None) == tracer.has_struck
    return tracer.has_struck


def visits_of(function):
    """Each visit of each line that a function reaches, in order."""
    tracer = Tracer()
    tracer.run(function)
    return tracer.order


def test_each_place_holds_modules():
    assert all(list(PACKAGE.glob(place)) for place in PLACES)


@pytest.mark.timeout(240)
def test_an_interrupted_read_leaves_nothing_behind(pattern):
    """At each line once, in the first case that reaches it; at lines with ``with``, when it is left too."""
    struck = set()
    for case in CASES:
        dataset = dataset_of(case, pattern)
        close(dataset, case)
        for where in visits_of(lambda dataset=dataset: read(dataset)):
            if where[2] <= 2 and where not in struck:
                close(dataset, case)
                if strike(dataset, where):
                    struck.add(where)
        dataset.close()
    assert len(struck) > 700, len(struck)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("is_open", [False, True], ids=["first read", "later read"])
@pytest.mark.parametrize("case", CASES)
def test_campaign_an_interrupt_at_each_step_of_a_read(case, is_open, pattern):
    dataset = dataset_of(case, pattern)
    begin = (lambda: read(dataset)) if is_open else partial(close, dataset, case)
    close(dataset, case)
    begin()
    for where in visits_of(lambda: read(dataset)):
        begin()
        strike(dataset, where)
    dataset.close()


# ── queues ───────────────────────────────────────────────────────────────────────────────────────────


def pass_over(module):
    """Read an epoch; what it delivered is right."""
    seen = []
    for batch in module.train_dataloader():
        ids = batch["sample_id"].numpy()
        check({"z": batch["z"]}, ids)
        seen += ids.tolist()
    return sorted(seen)


@pytest.fixture
def module(pattern):
    module = H5DataModule(
        pattern, ["z"], batch_size=4, threads=2, access=LITTLE, split={"val": None, "test": None}, provenance=True
    )  # fmt: skip
    module.prepare_data()
    module.setup()
    yield module
    module.teardown()


def lines_of_queues(module, trace):
    """Where the queues come by, in the thread that consumes or in those that read."""
    tracer = Tracer()
    trace(tracer)
    try:
        pass_over(module)
    finally:
        trace(None)
    names = {
        str(PACKAGE / "loading" / f"{name}.py")
        for name in ("batch_groups", "epochs/epoch_iterator", "loader", "prefetch", "prefetch_queue")
    }
    return sorted({where for where in tracer.order if where[0] in names and where[2] <= 2})


# Python prints what a finalizer, or the first line of a thread, raises, and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.timeout(100)
@pytest.mark.parametrize("trace", [sys.settrace, threading.settrace], ids=["consumer", "reading threads"])
def test_an_interrupted_pass_ends_and_the_next_one_is_whole(trace, module):
    struck = 0
    for where in lines_of_queues(module, trace):
        tracer = Tracer(where)
        trace(tracer)
        # As where a user interrupts: an error, or all samples.
        try:
            with suppress(KeyboardInterrupt, H5LightningError):
                assert pass_over(module) == list(range(FILES * ROWS)), where
        finally:
            trace(None)
        assert pass_over(module) == list(range(FILES * ROWS)), where
        # Those of the pass that was broken off may still be reading.
        for thread in threading.enumerate():
            if thread.name == "h5lightning-read-ahead":
                thread.join(20)
        assert reserved(module.train_dataset) == NOTHING, where
        struck += tracer.has_struck
    assert struck > 30


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("threads", [0, 2])
def test_a_pass_that_goes_on_after_an_interrupt_does_not_lose_a_batch_silently(threads, pattern):
    module = H5DataModule(
        pattern, ["z"], batch_size=4, threads=threads, split={"val": None, "test": None}, provenance=True
    )
    module.prepare_data()
    module.setup()
    lines = [where for where in lines_of_queues(module, sys.settrace) if "epoch_iterator" in where[0]]
    assert len(lines) > 10
    for where in lines:
        batches, tracer, given = iter(module.train_dataloader()), Tracer(where), 0
        with suppress(H5LightningError):
            while True:
                try:
                    sys.settrace(tracer)
                    batch = next(batches)
                except KeyboardInterrupt:
                    continue
                except StopIteration:
                    assert given == FILES * ROWS, where
                    break
                finally:
                    sys.settrace(None)
                given += len(batch["z"])
    module.teardown()
