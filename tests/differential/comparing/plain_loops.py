"""Loops without a Trainer: epochs in turn, left early, alternating; shares of ranks in one process."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from comparing.case import Case, Delivery, Reference, check_once
from comparing.configurations import Configuration, with_workers
from comparing.disagreement import DisagreementError, expect
from comparing.filesets import NUMBER
from comparing.truth import Sample
from h5lightning.errors import H5LightningError

__all__ = ["Walk", "as_tuples", "maybe_workers", "plain", "shares", "values"]


def maybe_workers(
    rng: random.Random, share: float, *, spawn: float = 0.0
) -> Callable[[Configuration], Configuration]:
    """Reads through worker processes in a share of the cases; some are not forked, which takes seconds for each."""
    return lambda found: with_workers(rng, found, spawn=spawn) if rng.random() < share else found


def as_tuples(rng: random.Random) -> Callable[[Configuration], Configuration]:
    """Delivers some keys as a tuple in some cases."""

    def change(found: Configuration) -> Configuration:
        if rng.random() < 0.85:
            return found
        others = [key for key in found.fields if key != NUMBER]
        keys = [NUMBER, *rng.sample(others, rng.randint(0, len(others)))]
        keys += ["sample_id"] if found.options["provenance"] else []
        rng.shuffle(keys)
        return found.with_options(as_tuple=keys)

    return change


class Walk:
    """A random walk over the training epochs of one module, beside a model that counts them.

    Args:
        case: the case.
        reference: what each epoch delivers.
    """

    def __init__(self, case: Case, reference: Reference) -> None:
        self._case, self._reference, self._rng = case, reference, case.rng
        self.dm = case.module()
        case.note("dm.prepare_data(); dm.setup()")
        self.next_epoch = 0
        self._is_set = False
        self._loader = self.new_loader()

    def run(self, steps: int) -> None:
        """Take random steps."""
        ways = [self.whole, self.whole, self.broken_off, self.set_epoch, self.set_within, self.alternating]
        for _ in range(steps):
            # What is set by a sampler decides the next pass of its own loader.
            if self._rng.random() < 0.5 and not self._is_set:
                self._loader = self.new_loader()
            self._rng.choice([*ways, self.evaluation, self.never_asked])()

    def new_loader(self) -> Any:
        """Another loader of the module."""
        self._case.note("loader = dm.train_dataloader()")
        return self.dm.train_dataloader()

    def whole(self) -> None:
        """One pass to its end."""
        self._case.note(f"for batch in loader: ...  # epoch {self.next_epoch}")
        found = self._case.read(self._loader)
        self._check(found, self.next_epoch)
        self.next_epoch += 1

    def broken_off(self) -> None:
        """Some batches, then break."""
        most = self._rng.randint(1, max(1, self._reference.steps))
        self._case.note(f"{most} batches of loader, then break  # epoch {self.next_epoch}")
        found = self._case.delivery()
        for number, batch in enumerate(self._loader, 1):
            found.take(batch)
            if number == most:
                break
        found.hold_again()
        self._check(found, self.next_epoch, whole=False)
        self.next_epoch += 1

    def set_epoch(self) -> None:
        """The next pass is of a given epoch."""
        self.next_epoch = self._rng.choice((0, 1, 2, 5))
        self._set(self.next_epoch)
        self.whole()

    def numbered(self, epoch: int) -> None:
        """One pass of a new loader whose epoch is set."""
        self._loader, self.next_epoch = self.new_loader(), epoch
        self._case.note(f"loader.sampler.set_epoch({epoch})")
        self._loader.sampler.set_epoch(epoch)
        self.whole()

    def set_within(self) -> None:
        """A pass goes on as it began, whatever is set meanwhile."""
        if self._reference.steps < 2:
            return
        batches, found = iter(self._loader), self._case.delivery()
        some = self._rng.randint(1, self._reference.steps - 1)
        self._case.note(f"it = iter(loader); {some} × next(it)  # epoch {self.next_epoch}")
        for _ in range(some):
            found.take(next(batches))
        epoch, self.next_epoch = self.next_epoch, self._rng.choice((0, 1, 3, 7))
        self._set(self.next_epoch)
        self._case.note(f"the rest of it  # epoch {epoch}")
        for batch in batches:
            found.take(batch)
        is_set = self._is_set
        self._check(found, epoch)
        self._is_set = is_set

    def alternating(self) -> None:
        """Two iterators by turns; with persistent workers, an older one is an error."""
        if self._case.chosen.options.get("persistent_workers"):
            self._older()
            return
        other = self._loader if self._rng.random() < 0.5 else self.new_loader()
        self._case.note(f"one, two = iter(loader), iter(other), by turns  # epochs {self.next_epoch}, +1")
        running: list[Iterator[Any]] = [iter(self._loader), iter(other)]
        found = [self._case.delivery(), self._case.delivery()]
        first = self.next_epoch
        # An epoch begins with its first batch: the first is asked for by the first, then by the second.
        for number in (0, 1):
            found[number].take(next(running[number]))
        waiting = [0, 1]
        while waiting:
            number = self._rng.choice(waiting)
            batch = next(running[number], None)
            if batch is None:
                waiting.remove(number)
            else:
                found[number].take(batch)
        for number in (0, 1):
            self._check(found[number], first + number)
        self.next_epoch = first + 2

    def _older(self) -> None:
        """Persistent workers serve one iterator: to use an older one is an error."""
        older, newer = iter(self._loader), iter(self._loader)
        self._case.note(f"older, newer = iter(loader), iter(loader), one batch each  # {self.next_epoch}, +1")
        next(older)
        found = self._case.delivery()
        found.take(next(newer))
        try:
            batch = next(older)
        except H5LightningError:
            pass
        else:
            raise DisagreementError("a batch of an older iterator", sorted(batch), "an error")
        for batch in newer:
            found.take(batch)
        self._check(found, self.next_epoch + 1)
        self.next_epoch += 2

    def never_asked(self) -> None:
        """An iterator that nobody asks for a batch begins no epoch."""
        self._case.note("iter(loader)")
        iter(self._loader)
        self.whole()

    def evaluation(self) -> None:
        """Validation and test: each sample once, in the same order each time, and training does not notice."""
        for name in ("val", "test"):
            loader = getattr(self.dm, f"{name}_dataloader")()
            if not loader:
                continue
            self._case.note(f"for batch in dm.{name}_dataloader(): ...")
            for _ in range(self._rng.randint(1, 2)):
                found = self._case.read(loader)
                found.check_ids(self.dm.locate)
                expect(f"samples of {name}", found.samples, self._reference.split[name])

    def _set(self, epoch: int) -> None:
        way = self._rng.choice(("dm", "loader.sampler"))
        self._case.note(f"{way}.set_epoch({epoch})")
        (self.dm if way == "dm" else self._loader.sampler).set_epoch(epoch)
        self._is_set = way == "loader.sampler"

    def _check(self, found: Delivery, epoch: int, *, whole: bool = True) -> None:
        expected, self._is_set = self._reference.epoch(epoch), False
        batches = expected.batches if whole else expected.batches[: len(found.batches)]
        expect(f"batches of epoch {epoch}", found.batches, batches)
        found.check_ids(self.dm.locate)
        if found.epochs:
            expect(f"info.epoch in epoch {epoch}", found.epochs, {epoch})
        if found.draws:
            draws = {sample: expected.draws[sample] for sample in found.draws}
            expect(f"draws of a transform in epoch {epoch}", found.draws, draws)


def plain(case: Case) -> None:
    """Random passes over random loaders of one module."""
    workers, tuples = maybe_workers(case.rng, 0.25), as_tuples(case.rng)
    case.draw(changes=lambda found: tuples(workers(found)))
    reference = Reference(case)
    walk = Walk(case, reference)
    # Workers start anew for each pass: fewer of them.
    walk.run(case.rng.randint(2, 3 if case.chosen.options.get("num_workers") else 6))
    walk.dm.teardown()


def values(case: Case) -> None:
    """Every epoch is asked for by its number, of a loader of its own: what is held is each value and order alone."""
    workers, tuples = maybe_workers(case.rng, 0.2, spawn=0.05), as_tuples(case.rng)
    case.draw(changes=lambda found: tuples(workers(found)))
    reference = Reference(case)
    walk = Walk(case, reference)
    for _ in range(case.rng.randint(1, 3)):
        walk.numbered(case.rng.choice((0, 1, 4)))
    walk.evaluation()
    walk.dm.teardown()


def shares(case: Case) -> None:
    """Loaders of several ranks in one process, with explicit rank and world size."""
    tail = case.rng.choice(("uneven", "uneven", "repeat"))
    case.draw(changes=lambda found: found.with_options(eval_tail=tail))
    reference = Reference(case)
    world = case.rng.randint(2, 5)
    dm = case.module()
    case.note(f"loaders with rank=0…{world - 1}, world_size={world}")
    for name in ("val", "test"):
        samples = reference.split[name]
        if len(samples) >= world:
            loaders = [
                getattr(dm, f"{name}_dataloader")(rank=rank, world_size=world) for rank in range(world)
            ]
            found = [case.read(loader) for loader in loaders]
            repeats = [_repeats(loader) for loader in loaders]
            check_evaluation(name, found, samples, case.chosen, repeats=repeats)
    if len(reference.split["train"]) >= world and not case.chosen.options["drop_last"]:
        loaders = [dm.train_dataloader(rank=rank, world_size=world) for rank in range(world)]
        epoch = case.rng.randint(0, 3)
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
        found = [case.read(loader) for loader in loaders]
        check_training(f"epoch {epoch}", found, reference.epoch(epoch), case.chosen)


def _repeats(loader: Any) -> list[bool]:
    return [one for batch in loader if "is_repeat" in batch for one in batch["is_repeat"].tolist()]


def check_training(
    what: str, ranks: list[Delivery], whole: Delivery, chosen: Configuration, *, first: int = 0
) -> None:
    """The shares of an epoch: equally many steps, and each step takes the next samples of the epoch.

    Args:
        what: which epoch.
        ranks: what each rank got.
        whole: the same epoch on one rank.
        chosen: the configuration.
        first: samples of it that were taken before.
    """
    check_training_batches(what, [one.batches for one in ranks], whole.samples[first:], chosen)


def check_training_batches(
    what: str, ranks: list[list[list[Sample]]], whole: list[Sample], chosen: Configuration
) -> None:
    """See `check_training`; with batches as lists of samples."""
    world, size = len(ranks), chosen.batch_size
    steps = [len(batches) for batches in ranks]
    expect(f"{what}: steps of each rank", steps, [steps[0]] * world)
    place = 0
    for number in range(steps[0]):
        step = [sample for batches in ranks for sample in batches[number]]
        expected = whole[place : place + size * world]
        is_last = place + size * world >= len(whole)
        if is_last and len(expected) < world and chosen.options["tail"] == "repeat":
            expected = [*expected, *whole[: world - len(expected)]]
        expect(f"{what}: samples of step {number}", sorted(step), sorted(expected))
        sizes = [len(batches[number]) for batches in ranks]
        if max(sizes) - min(sizes) > bool(is_last) or (not is_last and sizes[0] != size):
            raise DisagreementError(
                f"{what}: sizes of step {number}", sizes, f"{size} each, or one less at the end"
            )
        place += size * world
    lacking = max(0, len(whole) - place)
    if lacking >= (world if not chosen.options["drop_last"] else size * world):
        raise DisagreementError(f"{what}: samples that are left out", lacking, f"fewer than {world}")


def check_evaluation(
    what: str,
    ranks: list[Delivery],
    samples: list[Sample],
    chosen: Configuration,
    *,
    repeats: list[list[bool]] | None = None,
) -> None:
    """The shares of an evaluation, see `check_evaluation_batches`."""
    check_evaluation_batches(what, [one.batches for one in ranks], samples, chosen, repeats=repeats)


def check_evaluation_batches(
    what: str,
    ranks: list[list[list[Sample]]],
    samples: list[Sample],
    chosen: Configuration,
    *,
    repeats: list[list[bool]] | None = None,
) -> None:
    """Equally many steps, each sample once, shards contiguous and in order, batches full but for the last two steps.

    Args:
        what: which split.
        ranks: batches of each rank.
        samples: all samples of the split, in order.
        chosen: the configuration.
        repeats: whether each sample of a rank is marked as a repeat.
    """
    size, sizes = chosen.batch_size, [[len(batch) for batch in batches] for batches in ranks]
    is_repeat = chosen.options.get("eval_tail") == "repeat"
    kept = [
        [
            sample
            for sample, again in zip(
                [one for batch in batches for one in batch],
                (repeats or [[]] * len(ranks))[rank] or [False] * len(samples),
                strict=False,
            )
            if not again
        ]
        for rank, batches in enumerate(ranks)
    ]
    expect(f"{what}: samples of all ranks in turn", [one for rank in kept for one in rank], samples)
    if is_repeat:
        expect(f"{what}: sizes of the batches of each rank", sizes, [sizes[0]] * len(sizes))
        return
    check_once(what, [one for rank in kept for one in rank], samples)
    steps = [len(batches) for batches in ranks]
    if max(steps) - min(steps) > (size == 1):
        raise DisagreementError(f"{what}: steps of each rank", steps, "equally many")
    for number in range(min(steps)):
        step = [rank[number] for rank in sizes]
        is_late = number >= min(steps) - 2
        if (not is_late and set(step) != {size}) or max(step) - min(step) > 1:
            raise DisagreementError(f"{what}: sizes of step {number} of {steps[0]}", step, f"{size} each")
