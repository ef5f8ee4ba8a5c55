"""Lightning's Trainer: whole runs, loaders handed over in all ways, and runs that are stopped and resumed."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader

from comparing.case import Case, Delivery, Reference
from comparing.disagreement import DisagreementError, expect
from comparing.plain_loops import as_tuples, maybe_workers
from comparing.truth import Sample

__all__ = [
    "GIVEN",
    "Model",
    "Stopping",
    "StopsError",
    "Wrapping",
    "hand_over",
    "resume",
    "trainer",
    "trainer_of",
]

GIVEN = ("datamodule", "datamodule", "loaders", "hook", "wrapped", "combined")


class Model(LightningModule):
    """Notes what it is given.

    Args:
        delivery: makes notes of a pass.
        loaders: makes loaders, where the model returns them itself.
    """

    def __init__(self, delivery: Callable[[], Delivery], loaders: Callable[[str], Any] | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self._delivery = delivery
        self._loaders = loaders
        self.trained: dict[int, Delivery] = {}
        self.passes: dict[str, list[Delivery]] = {"val": [], "test": [], "predict": []}

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        self.trained.setdefault(self.current_epoch, self._delivery()).take(_alone(batch))
        return self.weight * 1.0

    def validation_step(self, batch: Any, number: int) -> None:
        self.passes["val"][-1].take(batch)

    def test_step(self, batch: Any, number: int) -> None:
        self.passes["test"][-1].take(batch)

    def predict_step(self, batch: Any, number: int) -> None:
        self.passes["predict"][-1].take(batch)

    def on_validation_epoch_start(self) -> None:
        self.passes["val"].append(self._delivery())

    def on_test_epoch_start(self) -> None:
        self.passes["test"].append(self._delivery())

    def on_predict_epoch_start(self) -> None:
        self.passes["predict"].append(self._delivery())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SelfLoading(Model):
    """Returns loaders from its own hooks."""

    def train_dataloader(self) -> Any:
        return self._loaders("train")

    def val_dataloader(self) -> Any:
        return self._loaders("val")


class Wrapping(LightningDataModule):
    """A DataModule of the user's, around ours."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def train_dataloader(self) -> Any:
        return self.inner.train_dataloader()

    def val_dataloader(self) -> Any:
        return self.inner.val_dataloader()


def _alone(batch: Any) -> Any:
    """The batch of the only loader of a CombinedLoader."""
    return batch["only"] if isinstance(batch, dict) and set(batch) == {"only"} else batch


def trainer_of(case: Case, **settings: Any) -> Trainer:
    """A quiet Trainer that writes nowhere but in the folder of the case."""
    case.note(f"trainer = Trainer({', '.join(f'{key}={value!r}' for key, value in settings.items())})")
    quiet = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    return Trainer(default_root_dir=case.folder, **{**quiet, **settings})


# ── whole runs ───────────────────────────────────────────────────────────────────────────────────────


def trainer(case: Case) -> None:
    """A fit of some epochs, then each other stage."""
    workers, tuples = maybe_workers(case.rng, 0.15), as_tuples(case.rng)
    case.draw(changes=lambda found: tuples(workers(found)))
    reference = Reference(case)
    given, settings = case.rng.choice(GIVEN), draw_settings(case.rng, reference.steps)
    dm = case.module() if given != "datamodule" else case.unready()
    model, fit = hand_over(case, dm, given)
    made = trainer_of(case, **settings)
    case.note(f"trainer.fit(…)  # {given}")
    fit(made)
    check_fit(model, reference, settings)
    check_passes(case, dm, model, reference)


def draw_settings(rng: random.Random, steps: int) -> dict[str, Any]:
    """Random settings of a Trainer."""
    settings: dict[str, Any] = {"max_epochs": rng.randint(1, 3), "num_sanity_val_steps": rng.choice((0, 2))}
    if rng.random() < 0.2:
        settings["limit_train_batches"] = rng.randint(1, steps)
    if rng.random() < 0.3:
        settings["reload_dataloaders_every_n_epochs"] = rng.randint(1, 2)
    if rng.random() < 0.2:
        settings["check_val_every_n_epoch"] = 2
    elif rng.random() < 0.3 and "limit_train_batches" not in settings:
        settings["val_check_interval"] = rng.randint(1, steps)
    if rng.random() < 0.2:
        settings["accumulate_grad_batches"] = 2
    return settings


def hand_over(
    case: Case, dm: Any, given: str, kind: type[Model] = Model
) -> tuple[Any, Callable[[Trainer], None]]:
    """A model of a kind, and what fits it with data that are given in one of the ways."""
    if given == "hook":
        loading = type("SelfLoading", (SelfLoading, kind), {})
        model: Any = loading(case.delivery, lambda stage: getattr(dm, f"{stage}_dataloader")())
        return model, lambda made: made.fit(model)
    model = kind(case.delivery)
    if given == "wrapped":
        return model, lambda made: made.fit(model, datamodule=Wrapping(dm))
    if given == "datamodule":
        return model, lambda made: made.fit(model, datamodule=dm)
    train, val = dm.train_dataloader(), dm.val_dataloader()
    val = None if val == [] else val  # not bool(val): before a group exists, no length is known
    if given == "combined":
        train = CombinedLoader({"only": train}, "max_size_cycle")
    return model, lambda made: made.fit(model, train_dataloaders=train, val_dataloaders=val)


def check_fit(model: Model, reference: Reference, settings: dict[str, Any]) -> None:
    """Each epoch is that of its number."""
    expect("epochs that were trained", sorted(model.trained), list(range(settings["max_epochs"])))
    limit = settings.get("limit_train_batches")
    for epoch, found in model.trained.items():
        expected = reference.epoch(epoch)
        expect(f"batches of epoch {epoch} under a Trainer", found.batches, expected.batches[:limit])
        found.hold_again()
        if found.epochs:
            expect("info.epoch", found.epochs, {epoch})
        expect("draws", found.draws, {one: expected.draws[one] for one in found.draws})
    for number, found in enumerate(model.passes["val"]):
        is_sanity = not number and settings.get("num_sanity_val_steps")
        if not is_sanity:
            expect(f"samples of validation {number}", found.samples, reference.split["val"])


def check_passes(case: Case, dm: Any, model: Model, reference: Reference) -> None:
    """Validate, test and predict with the same module."""
    for name in ("val", "test", "predict"):
        samples = reference.split["val" if name == "val" else "test"]
        if not samples:
            continue
        made = trainer_of(case)
        case.note(f"trainer.{name}(model, datamodule=dm)")
        model.passes[name].clear()
        if name == "predict":
            made.predict(model, datamodule=dm, return_predictions=False)
        else:
            getattr(made, "validate" if name == "val" else "test")(model, datamodule=dm, verbose=False)
        expect(f"samples of {name}", [one.samples for one in model.passes[name]], [samples])


# ── stopped and resumed ──────────────────────────────────────────────────────────────────────────────


class StopsError(Exception):
    """Ends a fit."""


@dataclass
class Stopping(Callback):
    """Ends a fit after a number of batches, and saves on the way.

    Args:
        way: ``error``, ``interrupt``, ``should_stop`` or ``kill``.
        after: batches of the run.
        every: saves after each so many batches.
        folder: where to.
        in_step: an error comes in the midst of the step that follows.
    """

    way: str
    after: int
    every: int
    folder: str
    in_step: bool = False
    done: int = 0

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.in_step and self.done == self.after:
            self._stop(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.done += 1
        if self.done % self.every == 0:
            path = os.path.join(self.folder, f"{self.done}.ckpt")
            trainer.save_checkpoint(f"{path}.part")
            if trainer.is_global_zero:
                os.replace(f"{path}.part", path)
        if not self.in_step and self.done == self.after:
            self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        if self.way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "interrupt":
            raise KeyboardInterrupt
        if self.way == "error":
            raise StopsError
        trainer.should_stop = True


@dataclass(frozen=True)
class Saved:
    """A checkpoint.

    Args:
        done: batches that were trained with.
        path: where it lies.
        was_counted: Lightning counts the epoch, though it had not come to its end.
    """

    done: int
    path: str
    was_counted: bool = False


def resume(case: Case) -> None:
    """A run that is stopped anywhere, and goes on in another one: nothing is lost or seen twice."""
    workers = maybe_workers(case.rng, 0.1)
    case.draw(changes=lambda found: workers(found).with_options(drop_last=False))
    reference = Reference(case)
    epochs, steps = case.rng.randint(1, 3), reference.steps
    total = epochs * steps
    after = case.rng.randint(1, max(1, total - 1))
    way = case.rng.choice(("error", "interrupt", "kill", "should_stop", "max_steps"))
    if after % steps == 0 and way in ("max_steps", "should_stop"):
        way = "error"  # Lightning takes what is saved at the end of such a run for the next epoch (lightning#19617)
    folder = os.path.join(case.folder, "saved")
    os.makedirs(folder)
    peeks = case.rng.random() < 0.3
    saved = _first_run(case, way, after, epochs, folder, peeks=peeks)
    if saved is not None:
        _second_run(case, reference, saved, epochs)


def _first_run(case: Case, way: str, after: int, epochs: int, folder: str, *, peeks: bool) -> Saved | None:
    """One of the checkpoints of a run that ends early."""
    every = case.rng.randint(1, max(1, after))
    in_step = case.rng.random() < 0.4 and way in ("error", "interrupt")
    stopping = Stopping(way, after, every, folder, in_step)
    case.note(
        f"a fit of {epochs} epochs ends after {after} batches by {way}, saved each {every}, in_step={in_step}"
    )
    settings: dict[str, Any] = {"max_epochs": epochs, "callbacks": [stopping]}
    if peeks:
        settings["callbacks"].append(Peeking(case.rng.randint(1, after), case.rng.choice((1, 5, 40))))
    if way == "max_steps":
        settings["max_steps"] = after
    dm, model = case.unready(), Model(case.delivery)
    if way == "kill":
        _in_a_child(lambda: trainer_of(case, **settings).fit(model, datamodule=dm))
    else:
        made = trainer_of(case, **settings)
        with suppress(StopsError, KeyboardInterrupt, SystemExit):
            made.fit(model, datamodule=dm)
        if way in ("max_steps", "should_stop") or case.rng.random() < 0.5:
            path = os.path.join(folder, "afterwards.ckpt")
            case.note("trainer.save_checkpoint('afterwards.ckpt')")
            made.save_checkpoint(path)
            return Saved(after, path, was_counted=way in ("max_steps", "should_stop"))
    saved = sorted(int(name.split(".")[0]) for name in os.listdir(folder) if name.endswith(".ckpt"))
    if not saved:
        return None
    done = case.rng.choice((saved[-1], case.rng.choice(saved)))
    return Saved(done, os.path.join(folder, f"{done}.ckpt"))


@dataclass
class Peeking(Callback):
    """Looks at a batch of a loader of its own, which must change nothing.

    Args:
        after: batches of the run.
        size: of the batch.
    """

    after: int
    size: int
    done: int = 0

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.done += 1
        if self.done == self.after:
            dm: Any = trainer.datamodule  # type: ignore[attr-defined]
            before, dm.batch_size = dm.batch_size, self.size
            next(iter(dm.train_dataloader()))
            dm.batch_size = before


def _second_run(case: Case, reference: Reference, saved: Saved, epochs: int) -> None:
    size = case.chosen.batch_size
    settings: dict[str, Any] = {"max_epochs": epochs}
    within = saved.done % reference.steps
    if within and case.rng.random() < 0.3:
        # At the end of an epoch, Lightning takes the next one for done (lightning#19617).
        settings = {"max_epochs": -1, "max_steps": saved.done + case.rng.randint(1, 2 * reference.steps)}
    elif case.rng.random() < 0.35:
        size = case.rng.choice((1, 3, 5, 16))
    name = os.path.basename(saved.path)
    case.note(f"a new fit with batch_size={size} from {name}, after {saved.done} batches")
    dm, model = case.unready(batch_size=size, seed=_seed_again(case)), Model(case.delivery)
    made = trainer_of(case, **settings)
    made.fit(model, datamodule=dm, ckpt_path=saved.path)
    expected = _what_is_left(case, reference, saved, settings)
    found = {number: one.samples for number, one in model.trained.items()}
    expect("epochs of the resumed run", sorted(found), sorted(expected))
    for number, samples in expected.items():
        expect(f"samples of epoch {number} that are left", found[number], samples)


def _what_is_left(
    case: Case, reference: Reference, saved: Saved, settings: dict[str, Any]
) -> dict[int, list[Sample]]:
    """The samples of each epoch of a resumed run, by the number that Lightning gives to the epoch."""
    epoch, within = divmod(saved.done, reference.steps)
    size, found = case.chosen.batch_size, dict[int, list[Sample]]()
    most = (settings["max_steps"] - saved.done) * size if "max_steps" in settings else 10**9
    last = settings["max_epochs"] if settings["max_epochs"] > 0 else epoch + 5
    # Of a run that was ended within an epoch, Lightning counts that epoch: its rest comes in the next one's place.
    for number in range(epoch + saved.was_counted, last):
        data = epoch if number == epoch + saved.was_counted else number
        samples = reference.epoch(data).samples[within * size if data == epoch else 0 :][:most]
        most -= -(-len(samples) // size) * size
        if samples:
            found[number] = samples
        if most <= 0:
            break
    return found


def _seed_again(case: Case) -> int | None:
    """The seed of the first run, or none: the checkpoint has it."""
    seed: int = case.chosen.options["seed"]
    return case.rng.choice((seed, None))


def _in_a_child(work: Callable[[], Any]) -> None:
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(3)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != -signal.SIGKILL:
        raise DisagreementError("how a run ended that kills itself", status, -signal.SIGKILL)
