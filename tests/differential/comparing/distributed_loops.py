"""Loops of two ranks: plain torch.distributed, Lightning's Trainer, Fabric, Accelerate."""

from __future__ import annotations

import importlib.util
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from comparing.case import Case, Reference
from comparing.disagreement import DisagreementError, RefusedError, expect
from comparing.plain_loops import check_evaluation_batches, check_training_batches, maybe_workers
from comparing.ranks import Place, run_ranks
from comparing.trainers import GIVEN, Model, Stopping, StopsError, hand_over, trainer_of
from comparing.truth import Sample
from h5lightning.errors import H5LightningError

__all__ = ["accelerate", "ddp", "ddp_resume", "dist", "fabric"]

Batches = list[list[Sample]]


def draw(case: Case) -> Reference:
    """A case for two ranks, each of which has a sample in each split."""
    case.draw(
        changes=lambda found: maybe_workers(case.rng, 0.1)(
            found.with_options(drop_last=False, shuffle=_each_once(found.options["shuffle"]))
        )
    )
    reference = Reference(case)
    if any(0 < len(reference.split[name]) < 2 for name in ("val", "test")):
        case.make_gentle()
        reference = Reference(case)
    if len(reference.split["train"]) < 2:
        raise RefusedError("fewer training samples than ranks")
    return reference


def _each_once(shuffle: Any) -> Any:
    return type(shuffle)(shuffle.mode, window_bytes=shuffle.window_bytes)


def check_epochs(case: Case, reference: Reference, ranks: list[dict[int, Batches]]) -> None:
    """The shares of each epoch."""
    for epoch in sorted(ranks[0]):
        shares = [rank[epoch] for rank in ranks]
        check_training_batches(f"epoch {epoch}", shares, reference.epoch(epoch).samples, case.chosen)


def check_evaluations(case: Case, reference: Reference, ranks: list[dict[str, list[Batches]]]) -> None:
    """The shares of each pass over another split."""
    for name in ranks[0]:
        expect(f"passes over {name}", len({len(rank[name]) for rank in ranks}), 1)
        for shares in zip(*(rank[name] for rank in ranks), strict=True):
            check_evaluation_batches(name, list(shares), reference.split[name], case.chosen)


# ── torch.distributed ────────────────────────────────────────────────────────────────────────────────


def dist(case: Case) -> None:
    """Loops of one's own under torch.distributed."""
    reference = draw(case)
    told = {
        "early": case.rng.random() < 0.5,
        "epochs": case.rng.randint(1, 3),
        "new": case.rng.random() < 0.5,
    }
    world = case.rng.choice((2, 2, 3))
    # Two samples cannot be evaluated on three ranks.
    world = min(world, *(len(part) for part in reference.split.values() if part))
    ranks = run_ranks(case, rank_of_dist, told, world=world)
    check_epochs(case, reference, [rank["train"] for rank in ranks])
    check_evaluations(case, reference, [rank["evaluation"] for rank in ranks])
    for rank in ranks:
        expect("an epoch with rank=0, world_size=1", rank["alone"], reference.epoch(7).batches)


def rank_of_dist(case: Case, place: Place, told: Any) -> Any:
    """What one rank does: epochs of a loader that was made before or after the group, and evaluations."""
    dm = case.module()
    loader = dm.train_dataloader()
    if place.launcher != "bare" and not told["early"]:
        _needs_a_group(loader)
    if not told["early"]:
        join(place)
        loader = dm.train_dataloader()
    else:
        case.note("loader made before init_process_group")
        join(place)
    trained = {}
    for epoch in range(told["epochs"]):
        trained[epoch] = case.read(loader).batches
        loader = dm.train_dataloader() if told["new"] else loader
    evaluated = {
        name: [case.read(one).batches]
        for name in ("val", "test")
        if (one := getattr(dm, f"{name}_dataloader")())
    }
    alone = dm.train_dataloader(rank=0, world_size=1)
    alone.sampler.set_epoch(7)
    found = {"train": trained, "evaluation": evaluated, "alone": case.read(alone).batches}
    distributed.destroy_process_group()
    return found


def _needs_a_group(loader: Any) -> None:
    """Where torchrun says that there are several ranks, a loop without a group is an error."""
    try:
        next(iter(loader))
    except H5LightningError:
        return
    raise DisagreementError("a batch under torchrun before init_process_group", "a batch", "an error")


def join(place: Place) -> None:
    """Join the group of all ranks."""
    distributed.init_process_group(
        "gloo", rank=place.rank, world_size=place.world, timeout=timedelta(seconds=30)
    )


# ── Lightning's Trainer ──────────────────────────────────────────────────────────────────────────────


def ddp(case: Case) -> None:
    """A fit, and all other stages, of two ranks."""
    reference = draw(case)
    told = {
        "given": case.rng.choice(GIVEN),
        "max_epochs": case.rng.randint(1, 2),
        "use_distributed_sampler": case.rng.random() < 0.7,
        "num_sanity_val_steps": case.rng.choice((0, 2)),
    }
    ranks = run_ranks(case, rank_of_ddp, told)
    expect("epochs", sorted(ranks[0]["train"]), list(range(told["max_epochs"])))
    check_epochs(case, reference, [rank["train"] for rank in ranks])
    check_evaluations(case, reference, [rank["evaluation"] for rank in ranks])
    if reference.split["test"]:
        every = [one for rank in ranks for batch in rank["predict"] for one in batch]
        expect("samples of predict, of all ranks in turn", every, reference.split["test"])


class Gathering(Model):
    """A model with a collective in each step of an evaluation, which hangs unless all ranks take as many."""

    gathers = False

    def validation_step(self, batch: Any, number: int) -> None:
        super().validation_step(batch, number)
        self._gather()

    def test_step(self, batch: Any, number: int) -> None:
        super().test_step(batch, number)
        self._gather()

    def _gather(self) -> None:
        if self.gathers and not self.trainer.sanity_checking:
            found = self.all_gather(torch.tensor(float(self.global_rank)))
            expect("a collective inside of a step", found.tolist(), [0.0, 1.0])


def rank_of_ddp(case: Case, place: Place, told: Any) -> Any:
    """What one rank does."""
    given = told["given"]
    dm = case.module() if given != "datamodule" else case.unready()
    model, fit = hand_over(case, dm, given, Gathering)
    model.gathers = case.chosen.batch_size >= 2
    made = trainer_of(
        case, devices=place.world, strategy="ddp", max_epochs=told["max_epochs"],
        use_distributed_sampler=told["use_distributed_sampler"],
        num_sanity_val_steps=told["num_sanity_val_steps"],
    )  # fmt: skip
    case.note(f"trainer.fit(…)  # {given}")
    fit(made)
    trained = {epoch: found.batches for epoch, found in model.trained.items()}
    first = bool(told["num_sanity_val_steps"])
    evaluated = {"val": [found.batches for found in model.passes["val"][first:]]}
    # The module of a fit with loaders has no Trainer: it gets one of its own now.
    module = dm if given == "datamodule" else case.unready()
    made.test(model, datamodule=module, verbose=False)
    evaluated["test"] = [found.batches for found in model.passes["test"]]
    made.predict(model, datamodule=module, return_predictions=False)
    predicted = [batch for found in model.passes["predict"] for batch in found.batches]
    return {"train": trained, "evaluation": evaluated, "predict": predicted}


def ddp_resume(case: Case) -> None:
    """A run of one or two ranks that fails anywhere, and goes on with one or two: nothing is lost or seen twice."""
    reference = draw(case)
    first, second = case.rng.choice(((2, 2), (2, 1), (1, 2)))
    samples = len(reference.split["train"])
    size, epochs = case.chosen.batch_size, 2
    rest = samples % (size * first)
    steps = samples // (size * first) + (
        rest >= first or (rest > 0 and case.chosen.options["tail"] == "repeat")
    )
    if not steps:
        raise RefusedError("no step")
    after = case.rng.randint(1, max(1, epochs * steps - 1))
    told: dict[str, Any] = {"after": after, "epochs": epochs, "checkpoint": None}
    run_ranks(case, rank_of_fit, told, world=first)
    told["checkpoint"] = f"{case.folder}/saved/{after}.ckpt"
    ranks = run_ranks(case, rank_of_fit, told, world=second)
    epoch, within = divmod(after, steps)
    for number in range(epoch, epochs):
        every = reference.epoch(number).samples
        left = every[within * size * first :] if number == epoch else every
        shares = [rank.get(number, []) for rank in ranks]
        if left or any(shares):
            # What is repeated at the end are the first samples of the epoch.
            chosen = case.chosen.with_options(tail="drop") if len(left) < len(every) else case.chosen
            _check_rest(f"the rest of epoch {number}", shares, left, chosen, case)


def _check_rest(what: str, shares: list[Batches], left: list[Sample], chosen: Any, case: Case) -> None:
    if case.chosen.options["tail"] == "repeat" and chosen is not case.chosen:
        every = [sample for batches in shares for batch in batches for sample in batch]
        expect(f"{what}, samples that are missing", set(left) - set(every), set())
        return
    check_training_batches(what, shares, left, chosen)


def rank_of_fit(case: Case, place: Place, told: Any) -> Any:
    """A fit that fails after some steps, or that goes on from there."""
    import os

    folder = f"{case.folder}/saved"
    os.makedirs(folder, exist_ok=True)
    strategy = "ddp" if place.world > 1 else "auto"
    settings: dict[str, Any] = {"devices": place.world, "strategy": strategy, "max_epochs": told["epochs"]}
    dm, model = case.unready(), Model(case.delivery)
    if told["checkpoint"] is None:
        settings["callbacks"] = [Stopping("error", told["after"], told["after"], folder)]
    made = trainer_of(case, **settings)
    try:
        made.fit(model, datamodule=dm, ckpt_path=told["checkpoint"])
    except StopsError:
        return {}
    return {epoch: found.batches for epoch, found in model.trained.items()}


# ── Fabric ───────────────────────────────────────────────────────────────────────────────────────────


def fabric(case: Case) -> None:
    """Loops of one's own with ``Fabric.setup_dataloaders``."""
    reference = draw(case)
    world = case.rng.choice((1, 2, 2))
    told = {"epochs": case.rng.randint(1, 3), "use_distributed_sampler": case.rng.random() < 0.7}
    ranks = run_ranks(case, rank_of_fabric, told, world=world)
    check_epochs(case, reference, [rank["train"] for rank in ranks])
    check_evaluations(case, reference, [rank["evaluation"] for rank in ranks])


def rank_of_fabric(case: Case, place: Place, told: Any) -> Any:
    """What one rank does."""
    from lightning.fabric import Fabric

    made = Fabric(accelerator="cpu", devices=place.world, strategy="ddp" if place.world > 1 else "auto")
    made.launch()
    dm = case.module()
    loader = made.setup_dataloaders(
        dm.train_dataloader(), use_distributed_sampler=told["use_distributed_sampler"]
    )
    trained = {epoch: case.read(loader).batches for epoch in range(told["epochs"])}
    evaluated = {
        name: [case.read(made.setup_dataloaders(one)).batches]
        for name in ("val", "test")
        if (one := getattr(dm, f"{name}_dataloader")())
    }
    return {"train": trained, "evaluation": evaluated}


# ── Accelerate ───────────────────────────────────────────────────────────────────────────────────────


def has_accelerate() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("accelerate") is not None


def accelerate(case: Case) -> None:
    """Loops of one's own with an Accelerator, whose ``prepare`` divides batches itself."""
    if not has_accelerate():
        raise RefusedError("accelerate is not installed")
    reference = draw(case)
    told = {"way": case.rng.choice(("loader alone", "prepared, all samples", "prepared"))}
    ranks = run_ranks(case, rank_of_accelerate, told)
    if told["way"] == "loader alone":
        check_epochs(case, reference, [rank["train"] for rank in ranks])
        check_evaluations(case, reference, [rank["evaluation"] for rank in ranks])
        return
    if any(rank["error"] is not None for rank in ranks):
        return
    orders = []
    for epoch in ranks[0]["train"]:
        orders.append([one for rank in ranks for batch in rank["train"][epoch] for one in batch])
        # Accelerate repeats samples, so that all ranks have full batches.
        missing = set(reference.split["train"]) - set(orders[-1])
        expect(f"samples of epoch {epoch} that no rank gets, {told['way']}", missing, set())
    if case.chosen.is_shuffled and len(set(reference.split["train"])) >= 20 and orders[0] == orders[1]:
        raise DisagreementError("the order of the second epoch", "that of the first", "another one")


def rank_of_accelerate(case: Case, place: Place, told: Any) -> Any:
    """What one rank does."""
    import os

    from accelerate import Accelerator

    os.environ.update(RANK=str(place.rank), WORLD_SIZE=str(place.world), LOCAL_WORLD_SIZE=str(place.world))
    accelerator = Accelerator(cpu=True)
    expect("Accelerator.num_processes", accelerator.num_processes, place.world)
    dm = case.module()
    if told["way"] == "loader alone":
        evaluated = {
            name: [case.read(one).batches]
            for name in ("val", "test")
            if (one := getattr(dm, f"{name}_dataloader")())
        }
        loader = dm.train_dataloader()
        trained = {epoch: case.read(loader).batches for epoch in range(2)}
        return {"train": trained, "evaluation": evaluated}
    shares = {"rank": 0, "world_size": 1} if told["way"] == "prepared, all samples" else {}
    try:
        loader = accelerator.prepare(dm.train_dataloader(**shares))
        trained = {epoch: case.read(loader).batches for epoch in range(2)}
    except H5LightningError as error:
        return {"train": {}, "evaluation": {}, "error": str(error)}
    return {"train": trained, "evaluation": {}, "error": None}
