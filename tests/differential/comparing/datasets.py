"""`H5Dataset` by itself: positions and ids, and torch's own DataLoader, Subset and random_split around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset, default_collate, random_split

from comparing.case import Case
from comparing.disagreement import DisagreementError, expect
from comparing.plain_loops import check_once
from comparing.truth import Sample

__all__ = ["dataset", "numbers"]


def dataset(case: Case) -> None:
    """Plain loaders over all samples and over parts."""
    case.draw(changes=lambda found: found.with_options(batch_transform=None))
    data = case.dataset()
    samples = case.truth.samples
    expect("len(dataset)", len(data), len(samples))
    workers = case.rng.choice((0, 0, 0, 1, 2))
    options: dict[str, Any] = {"batch_size": case.chosen.batch_size, "num_workers": workers}
    if workers:
        options["persistent_workers"] = case.rng.random() < 0.5
    passes = [_pass(case, DataLoader(data, **options, shuffle=True, generator=_generator(case)))]
    loader = DataLoader(data, **options, shuffle=True, generator=_generator(case))
    case.note(f"DataLoader(dataset, shuffle=True, {options}), three passes over one, the first over another")
    passes += [_pass(case, loader) for _ in range(2)]
    for number, (found, draws) in enumerate(passes):
        check_once(f"pass {number}", found, samples)
        expect("draws of a pass, one for each sample", len(draws) in (0, len(samples)), True)
    if passes[0][1]:
        if len(samples) > 2 and passes[1][1] == passes[2][1]:
            raise DisagreementError("the draws of two passes", "the same", "others")
        _draws_are_epochs(case, [draws for _, draws in passes])
    _parts(case, data, samples)
    data.close()


def _draws_are_epochs(case: Case, passes: list[dict[Sample, float]]) -> None:
    """The n-th pass draws what epoch n does, whatever else was read meanwhile."""
    again = case.dataset()
    for number, draws in enumerate(passes):
        again.set_epoch(number)
        case.note(f"dataset.set_epoch({number}), and all samples")
        found: dict[Sample, float] = {}
        for batch in DataLoader(again, batch_size=16):
            held = case.truth.hold(batch)
            found.update(zip(held, batch["draw"].tolist(), strict=True))
        expect(f"draws of pass {number} and of epoch {number}", found, draws)
        again.read_batch(np.arange(min(3, len(again))))
    again.close()


def _generator(case: Case) -> torch.Generator:
    return torch.Generator().manual_seed(case.rng.randrange(1000))


def _pass(case: Case, loader: Any) -> tuple[list[Sample], dict[Sample, float]]:
    found, draws = [], dict[Sample, float]()
    for batch in loader:
        held = case.truth.hold(batch)
        found += held
        if "draw" in batch:
            draws.update(zip(held, batch["draw"].tolist(), strict=True))
    return found, draws


def _parts(case: Case, data: Any, samples: list[Sample]) -> None:
    order = case.truth.hold(data.read_batch(np.arange(len(data))))
    chosen = [case.rng.randrange(len(data)) for _ in range(case.rng.randint(1, 20))]
    case.note(f"Subset(dataset, {chosen}); random_split(dataset, …)")
    found, _ = _pass(case, DataLoader(Subset(data, chosen), batch_size=4))
    expect("samples of a Subset", found, [order[one] for one in chosen])
    first = case.rng.randint(0, len(data))
    parts = random_split(data, [first, len(data) - first], generator=_generator(case))
    every = [one for part in parts if len(part) for one in _pass(case, DataLoader(part, batch_size=5))[0]]
    check_once("the parts of random_split", every, samples)
    position = case.rng.randrange(len(data))
    for one in (position, position - len(data)):
        expect(f"dataset[{one}]", case.truth.hold(default_collate([data[one]])), [order[position]])


def numbers(case: Case) -> None:
    """Positions are numbers in a split, ids over the whole index; what is no number is refused."""
    case.draw(changes=lambda found: found.with_options(provenance=True))
    dm = case.module()
    datasets = {name: getattr(dm, f"{name}_dataset") for name in ("train", "val", "test")}
    owner: dict[int, str] = {}
    for name, data in datasets.items():
        if data is None:
            continue
        positions = np.arange(len(data))
        batch = data.read_batch(positions)
        held = case.truth.hold(batch)
        ids = batch["sample_id"]
        owner.update(dict.fromkeys(ids.tolist(), name))
        some = [case.rng.randrange(len(data)) for _ in range(7)]
        case.note(f"dm.{name}_dataset.read_ids(ids of {some})")
        for given in (ids[some], ids[some].numpy(), ids[some].tolist()):
            expect("samples of read_ids", case.truth.hold(data.read_ids(given)), [held[one] for one in some])
        _refused(IndexError, lambda data=data: data.read_batch([len(data)]), "a position outside")
        _refused(IndexError, lambda data=data: data.read_ids([10**6]), "an id outside")
        _are_no_numbers(data, dm)
    for name, data in datasets.items():
        other = next((one for one, belongs in owner.items() if belongs != name), None)
        if data is not None and other is not None:
            _refused(
                IndexError, lambda data=data, other=other: data.read_ids([other]), "an id of another split"
            )


def _are_no_numbers(data: Any, dm: Any) -> None:
    wrong: dict[str, Any] = {
        "a mask": np.zeros(len(data), bool),
        "a mask as list": [True],
        "a mask of torch": torch.zeros(len(data), dtype=torch.bool),
        "floats": [0.0, 1.5],
        "text": "0",
        "a table": np.zeros((1, 1), np.int64),
    }
    for what, value in wrong.items():
        for call in (data.read_batch, data.read_ids, dm.locate):
            _refused(TypeError, lambda call=call, value=value: call(value), what)


def _refused(kind: type[Exception], call: Any, what: str) -> None:
    try:
        found = call()
    except kind:
        return
    except Exception as error:
        raise DisagreementError(f"the error of {what}", repr(error), kind.__name__) from error
    raise DisagreementError(what, type(found).__name__, kind.__name__)
