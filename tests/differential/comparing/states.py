"""Loaders and modules that are saved after some batches, and go on in others."""

from __future__ import annotations

import pickle
from typing import Any

from comparing.case import Case, Reference
from comparing.disagreement import DisagreementError, expect
from comparing.plain_loops import maybe_workers
from h5lightning.errors import H5LightningError

__all__ = ["state"]


def state(case: Case) -> None:
    """``state_dict`` after some batches, ``load_state_dict`` into a loader of another module: the rest comes."""
    workers = maybe_workers(case.rng, 0.2)
    case.draw(changes=workers)
    reference = Reference(case)
    first, epoch = case.module(), 0
    loader = first.train_dataloader()
    for _ in range(case.rng.randint(0, 2)):
        case.note(f"for batch in loader: ...  # epoch {epoch}")
        expect(f"epoch {epoch}", case.read(loader).batches, reference.epoch(epoch).batches)
        epoch += 1
    through = case.rng.choice(("loader", "loader", "dm"))
    some = case.rng.randint(1, reference.steps)
    at_end = some == reference.steps
    case.note(f"{some} of {reference.steps} batches of epoch {epoch}, then {through}.state_dict()")
    saved, rest = _interrupted(case, loader, first if through == "dm" else loader, some, at_end=at_end)
    expect("batches after state_dict()", rest, reference.epoch(epoch).batches[some:])
    _goes_on(case, reference, through, saved, epoch, some, at_end=at_end)


def _interrupted(case: Case, loader: Any, owner: Any, some: int, *, at_end: bool) -> tuple[Any, list[Any]]:
    """The state after some batches, and the batches that follow: saving changes nothing."""
    batches, found = iter(loader), case.delivery()
    for _ in range(some):
        found.take(next(batches))
    if at_end:
        expect("what follows the last batch", next(batches, None), None)
    saved = pickle.loads(pickle.dumps(owner.state_dict()))
    rest = case.delivery()
    if not at_end:
        for batch in batches:
            rest.take(batch)
    return saved, rest.batches


def _goes_on(
    case: Case, reference: Reference, through: str, saved: Any, epoch: int, some: int, *, at_end: bool
) -> None:
    options: dict[str, Any] = {"threads": case.rng.choice((None, 0, 2))}
    second = case.module(**options)
    loader = second.train_dataloader()
    if through == "dm":
        second.load_state_dict(saved)
        loader = second.train_dataloader()
    else:
        loader.load_state_dict(saved)
    if not at_end:
        found = case.read(loader)
        expect(f"the rest of epoch {epoch}", found.batches, reference.epoch(epoch).batches[some:])
        if found.epochs:
            expect("info.epoch of the rest", found.epochs, {epoch})
    for number in (epoch + 1, epoch + 2):
        case.note(f"for batch in loader: ...  # epoch {number}")
        expect(f"epoch {number}, after a state", case.read(loader).batches, reference.epoch(number).batches)


def several(case: Case) -> None:
    """With several training iterators that have delivered, the module cannot say which one is meant."""
    case.draw()
    dm = case.module()
    running = [iter(dm.train_dataloader()), iter(dm.train_dataloader())]
    for one in running:
        next(one)
    try:
        found = dm.state_dict()
    except H5LightningError as error:
        if "loader.state_dict" not in str(error):
            raise DisagreementError(
                "the error of dm.state_dict()", str(error), "loader.state_dict() in it"
            ) from error
        return
    raise DisagreementError("dm.state_dict() with two iterators", sorted(found), "an error")
