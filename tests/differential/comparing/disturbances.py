"""What happens meanwhile: interrupts, closing, copies, threads, files that change. Right, or an error."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import h5py
import numpy as np

from comparing.case import Case, Delivery, Reference
from comparing.children import Later
from comparing.configurations import Configuration
from comparing.disagreement import DisagreementError, RefusedError, expect
from comparing.plain_loops import maybe_workers
from comparing.storage import source_of
from comparing.truth import Sample, Truth
from h5lightning.errors import FileChangedError, H5LightningError

__all__ = ["closing", "copies", "held_open", "interrupts", "rewritten", "threads"]


# ── interrupts ───────────────────────────────────────────────────────────────────────────────────────


def interrupts(case: Case) -> None:
    """KeyboardInterrupt at random moments of a loop; then the loop again."""
    case.draw(changes=maybe_workers(case.rng, 0.1))
    reference = Reference(case)
    reference.epoch(0)
    dm = case.module()
    for epoch in range(1, case.rng.randint(3, 9)):
        after_s = case.rng.choice((0.0005, 0.002, 0.01, 0.03)) * case.rng.uniform(0.5, 2)
        case.note(f"KeyboardInterrupt after {after_s:.4f} s of: for batch in dm.train_dataloader(): ...")
        found = case.delivery()
        _interrupt_after(after_s, partial(_take_all, dm, found))
        found.hold_again()
        # Whether the epoch had begun when the interrupt came cannot be told: the next one is named.
        loader = dm.train_dataloader()
        loader.sampler.set_epoch(epoch)
        case.note(f"loader = dm.train_dataloader(); loader.sampler.set_epoch({epoch}); the whole epoch")
        expect(f"epoch {epoch} after an interrupt", case.read(loader).batches, reference.epoch(epoch).batches)
    dm.teardown()


def _take_all(dm: Any, found: Any) -> None:
    for batch in dm.train_dataloader():
        found.take(batch)


def _interrupt_after(after_s: float, work: Callable[[], None]) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, after_s)  # it may strike before the work begins
        work()
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ── several threads ──────────────────────────────────────────────────────────────────────────────────


def threads(case: Case) -> None:
    """Several threads read random batches of one dataset."""
    case.draw()
    _crowd(case, lambda _: None)


def closing(case: Case) -> None:
    """The same, and another thread closes the dataset all the time."""
    case.draw()
    _crowd(case, lambda dataset: dataset.close())


def _crowd(case: Case, disturb: Callable[[Any], None]) -> None:
    dataset = case.dataset(transform=None, batch_transform=None)
    samples = _order_of(case, dataset)
    count, rounds, size = case.rng.randint(2, 8), case.rng.randint(10, 40), case.rng.randint(1, 16)
    case.note(f"dataset = H5Dataset(…); {count} threads read {rounds} batches of {size} each")
    case.truth  # noqa: B018 - made before threads share it
    problems: list[BaseException] = []
    before = sys.getswitchinterval()
    sys.setswitchinterval(case.rng.choice((1e-5, 1e-4, 5e-3)))

    def read(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(rounds):
                wanted = [rng.randrange(len(samples)) for _ in range(size)]
                held = case.truth.hold(dataset.read_batch(np.asarray(wanted)))
                expect("samples of read_batch(positions)", held, [samples[one] for one in wanted])
        except BaseException as problem:  # noqa: BLE001 - told to the main thread
            problems.append(problem)

    readers = [
        threading.Thread(target=read, args=(case.rng.getrandbits(32),), daemon=True) for _ in range(count)
    ]
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers):
        disturb(dataset)
        time.sleep(0.002)
    sys.setswitchinterval(before)
    dataset.close()
    for problem in problems:
        raise problem


def _order_of(case: Case, dataset: Any) -> list[Sample]:
    """The samples of a dataset, by position."""
    expect("len(dataset)", len(dataset), len(case.truth.samples))
    return case.truth.hold(dataset.read_batch(np.arange(len(dataset))))


def closed_meanwhile(case: Case) -> None:
    """A module is closed, torn down or set up again by another thread while a loop reads: right, or an error."""
    case.draw(changes=maybe_workers(case.rng, 0.1))
    reference = Reference(case)
    reference.epoch(0)
    dm = case.module()
    way = case.rng.choice(("teardown", "setup", "close", "loader"))
    case.note(f"another thread calls {way} all the time, while epochs are read")
    stop = threading.Event()

    def disturb() -> None:
        calls: dict[str, Callable[[], Any]] = {
            "teardown": dm.teardown,
            "setup": dm.setup,
            "close": dm.train_dataset.close,  # type: ignore[union-attr]
            "loader": dm.train_dataloader,
        }
        while not stop.is_set():
            calls[way]()
            time.sleep(0.003)

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    for epoch in range(case.rng.randint(2, 6)):
        loader = dm.train_dataloader()
        loader.sampler.set_epoch(epoch)
        found = case.delivery()
        try:
            for batch in loader:
                found.take(batch)
        except H5LightningError:
            expected = reference.epoch(epoch).batches[: len(found.batches)]
        else:
            expected = reference.epoch(epoch).batches
        found.hold_again()
        expect(f"batches of epoch {epoch} meanwhile", found.batches, expected)
    stop.set()
    thread.join()
    loader = dm.train_dataloader()
    loader.sampler.set_epoch(1)
    expect("epoch 1 afterwards", case.read(loader).batches, reference.epoch(1).batches)


# ── copies ───────────────────────────────────────────────────────────────────────────────────────────


def copies(case: Case) -> None:
    """Copies of modules and datasets in the midst of an epoch; both go on as if there were no other."""
    case.draw()
    reference = Reference(case)
    one = case.module() if case.rng.random() < 0.8 else case.unready()
    some = 0
    found: list[Delivery] = [case.delivery(), case.delivery()]
    running: Iterator[Any] = iter(())
    if one.hparams is not None and _is_set_up(one):
        some = case.rng.randint(1, reference.steps)
        running = iter(one.train_dataloader())
        for batch in itertools.islice(running, some):
            found[0].take(batch)
    case.note(f"{some} batches of dm.train_dataloader(), then other = copy.deepcopy(dm)")
    other = copy.deepcopy(one)
    if not some:
        for each in (one, other):
            each.prepare_data()
            each.setup()
        running = iter(one.train_dataloader())
    loader = other.train_dataloader()
    loader.sampler.set_epoch(0)
    second = iter(loader)
    case.note("both loops by turns: the first goes on, that of the copy reads epoch 0")
    for first_batch, second_batch in itertools.zip_longest(running, second):
        for number, batch in enumerate((first_batch, second_batch)):
            if batch is not None:
                found[number].take(batch)
    for each in found:
        each.hold_again()
        expect("batches of epoch 0 beside a copy", each.batches, reference.epoch(0).batches)
    _copied_dataset(case, one, other)


def _is_set_up(dm: Any) -> bool:
    try:
        return dm.train_dataset is not None
    except H5LightningError:
        return False


def _copied_dataset(case: Case, one: Any, other: Any) -> None:
    """A dataset that was copied or pickled reads the same, also when the first is closed."""
    way = case.rng.choice(("copy.deepcopy", "pickle"))
    dataset = one.train_dataset
    copied = copy.deepcopy(dataset) if way == "copy.deepcopy" else pickle.loads(pickle.dumps(dataset))
    wanted = np.asarray([case.rng.randrange(len(dataset)) for _ in range(8)])
    case.note(f"{way} of dm.train_dataset; one.teardown()")
    one.teardown()
    for each in (copied, other.train_dataset, dataset):
        held = case.truth.hold(each.read_batch(wanted))
        expect("samples of a copied dataset", held, case.truth.identify(dataset.read_batch(wanted)))


# ── files that change ────────────────────────────────────────────────────────────────────────────────


def rewritten(case: Case) -> None:
    """A file changes while it is read: what is delivered is what it held before, and then comes an error."""
    case.draw(
        changes=lambda found: maybe_workers(case.rng, 0.1)(_reading_everything(found)),
        elsewhere=case.rng.random() < 0.25,
    )
    if case.files is None:
        raise RuntimeError("nothing was drawn")
    files, chosen = case.files, case.chosen
    # What libhdf5 holds open here, it does not read again; nor would h5py.
    later = Later(lambda: Truth(files, case.data, chosen))
    reference = Reference(case)
    for epoch in (0, 1):
        reference.epoch(epoch)
    way = case.rng.choice(("in place", "replaced", "cut", "grown", "removed"))
    if way == "cut":
        # A map of a file that is cut off in this moment is a signal, as for any program.
        case.configuration = case.chosen.with_options(threads=0)
    dm = case.module()
    loader = dm.train_dataloader()
    loader.sampler.set_epoch(0)
    batches, found = iter(loader), case.delivery()
    some = case.rng.randint(0, reference.steps - 1)
    for _ in range(some):
        found.take(next(batches))
    file = case.rng.choice(sorted({sample.file for sample in reference.epoch(1).samples}))
    case.note(f"{some} batches, then file {file} is {way}, then the rest and epoch 1")
    time.sleep(0.03)  # the clock of the file system ticks
    _change(case, file, way)
    expected = reference.epoch(0).batches
    try:
        for batch in batches:
            found.take(batch)
    except H5LightningError:
        expected = expected[: len(found.batches)]
    expect("batches after a file changed", found.batches, expected)
    loader = dm.train_dataloader()
    loader.sampler.set_epoch(1)
    _must_fail(case, loader, way)
    if way in ("in place", "replaced"):
        _start_again(case, [dm, reference], later)


def held_open(case: Case) -> None:
    """A file is written anew, while somebody in this process holds it open, for whom libhdf5 keeps what it was.

    A new module of this process is right, or fails. What it leaves in the index is right in all other processes.
    """
    case.draw(elsewhere=False)
    if case.files is None:
        raise RuntimeError("nothing was drawn")
    files, chosen = case.files, case.chosen
    later = Later(lambda: Truth(files, case.data, chosen))
    elsewhere = Later(lambda: _read_anew(case, Truth(files, case.data, chosen)))
    paths = files.paths(case.data)
    number = case.rng.randrange(len(paths))
    holder = case.rng.choice(("h5py.File", "H5Dataset"))
    case.note(f"file {number} is held open by {holder}, and written over, its datasets in the other order")
    held: Any = h5py.File(paths[number]) if holder == "h5py.File" else case.dataset()
    if holder == "h5py.File":
        held.visititems(lambda _, found: found[()] if isinstance(found, h5py.Dataset) else None)
        list(held.attrs.values())
    else:
        _order_of(case, held)
    files.write_one(f"{paths[number]}.new", number, salt=17, backwards=case.rng.random() < 0.7)
    time.sleep(0.03)
    _write_over(paths[number], f"{paths[number]}.new")
    case.note("dm, in this process")
    with suppress(H5LightningError):
        _read_anew(case, later.now())
    held.close()
    case.note("dm, in another process")
    elsewhere.now()


def _read_anew(case: Case, truth: Truth) -> None:
    """An epoch of a new module, whose files are what a truth says."""
    fresh = Case(case.kind, case.seed, case.folder)
    fresh.files, fresh.configuration, fresh.truth = case.files, case.chosen, truth
    try:
        fresh.module()
    except RefusedError:
        fresh.make_gentle()
    fresh.read(fresh.module().train_dataloader())


def _reading_everything(found: Configuration) -> Configuration:
    return found.with_options(drop_last=False, shuffle=type(found.options["shuffle"])("full"))


def _change(case: Case, file: int, way: str) -> None:
    files = case.files
    if files is None:
        raise RuntimeError("nothing was drawn")
    path = files.paths(case.data)[file]
    sources = [column for column in files.columns if column.storage.is_elsewhere]
    if sources and case.rng.random() < 0.6:
        path = source_of(path, case.rng.choice(sources).path)
        case.note(f"its source {os.path.basename(path)} is meant")
        data = bytearray(open(path, "rb").read())  # noqa: SIM115 - read at once
        data[-1] ^= 0xFF
        _change_bytes(path, bytes(data), way)
        return
    if way in ("in place", "replaced"):
        new = f"{path}.new"
        files.write_one(new, file, salt=17, backwards=case.rng.random() < 0.5)
        if way == "in place":
            _write_over(path, new)
        else:
            os.replace(new, path)
        return
    with open(path, "rb") as opened:
        _change_bytes(path, opened.read(), way)


def _write_over(path: str, new: str) -> None:
    """What ``cp`` does: the file stays the same one."""
    with open(new, "rb") as source, open(path, "r+b") as target:
        target.write(source.read())
        target.truncate()
    os.remove(new)


def _change_bytes(path: str, data: bytes, way: str) -> None:
    if way == "removed":
        os.remove(path)
    elif way == "cut":
        os.truncate(path, len(data) // 2)
    elif way == "grown":
        with open(path, "ab") as file:
            file.write(b"\0" * 100)
    elif way == "replaced":
        with open(f"{path}.new", "wb") as file:
            file.write(data)
        os.replace(f"{path}.new", path)
    else:
        with open(path, "r+b") as file:
            file.write(data)


def _must_fail(case: Case, loader: Any, way: str) -> None:
    found = case.delivery()
    try:
        for batch in loader:
            found.take(batch)
    except H5LightningError as error:
        if way in ("in place", "replaced", "grown") and not _is_change(error):
            raise DisagreementError(
                "the error of a file that changed", repr(error), "FileChangedError"
            ) from error
        return
    raise DisagreementError(f"an epoch after a file was {way}", f"{len(found.batches)} batches", "an error")


def _is_change(error: BaseException) -> bool:
    return isinstance(error, FileChangedError)


def _start_again(case: Case, before: list[Any], later: Later) -> None:
    """A new module reads what the files hold now; an error is right only while others hold them open."""
    closes = case.rng.random() < 0.7
    case.note(f"{'those before are closed, and ' if closes else ''}a new module reads the files as they are")
    if closes:
        for one in before:
            one.teardown()
    try:
        _read_anew(case, later.now())
    except H5LightningError:
        if closes:
            raise
