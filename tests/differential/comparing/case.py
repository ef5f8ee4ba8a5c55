"""One case: files and a configuration that follow from a seed, and what is noted of what was done with them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from comparing.configurations import Configuration, draw_configuration
from comparing.disagreement import DisagreementError, RefusedError, code_of, expect
from comparing.filesets import NUMBER, FileSet, draw_files
from comparing.truth import Sample, Truth
from h5lightning import H5DataModule, H5Dataset, Split
from h5lightning.errors import H5LightningError

__all__ = ["Case", "Delivery", "Reference"]

# What a random configuration may be refused for, with good reason.
_REASONS = (
    "make no step",
    "Use fewer ranks",
    "no sample",
    "holds no",
    "is empty",
    "too few",
    "weights",
    "by='file'",
    "use larger fractions",
    "cannot fill",
)


class Delivery:
    """What one pass over a loader delivered.

    Args:
        truth: what the values must be.
        keys: the keys of a tuple, where batches are tuples.
    """

    def __init__(self, truth: Truth, keys: Sequence[str] | None = None) -> None:
        self._truth, self._keys = truth, keys
        self.batches: list[list[Sample]] = []
        self.draws: dict[Sample, float] = {}
        self.epochs: set[int] = set()
        self._held: list[Any] = []

    @property
    def samples(self) -> list[Sample]:
        """All samples in turn."""
        return [sample for batch in self.batches for sample in batch]

    @property
    def sizes(self) -> list[int]:
        """Samples of each batch."""
        return [len(batch) for batch in self.batches]

    def take(self, batch: Any) -> list[Sample]:
        """Hold a batch against the truth, and note it."""
        named = dict(zip(self._keys, batch, strict=True)) if self._keys is not None else batch
        keys = None if self._keys is None else [key for key in self._truth.keys if key in named]
        samples = self._truth.hold(named, keys)
        self.batches.append(samples)
        self._held.append(named)
        if "draw" in named:
            self.draws.update(zip(samples, named["draw"].tolist(), strict=True))
            self.epochs.update(named["epoch"].tolist())
        if "epochs" in named:
            self.epochs.add(int(named["epochs"]))
        return samples

    def hold_again(self) -> None:
        """No batch that is held was overwritten."""
        for batch, samples in zip(self._held, self.batches, strict=True):
            keys = None if self._keys is None else [key for key in self._truth.keys if key in batch]
            expect("a batch that was held, read again", self._truth.hold(batch, keys), samples)

    def check_ids(self, locate: Callable[[Any], Sequence[Any]]) -> None:
        """What ``sample_id`` says of each sample is where its values lie."""
        for batch, samples in zip(self._held, self.batches, strict=True):
            if "sample_id" in batch:
                where = [self._truth.sample_at(one.file, one.row) for one in locate(batch["sample_id"])]
                expect("dm.locate(batch['sample_id'])", where, samples)


class Case:
    """Files and a configuration, and what is done with them.

    Args:
        kind: the kind of case.
        seed: all follows from it.
        folder: an empty folder.
    """

    def __init__(self, kind: str, seed: int, folder: str) -> None:
        self.kind, self.seed, self.folder = kind, seed, folder
        self.rng = random.Random(f"{kind}/{seed}")
        self.log: list[str] = []
        self.files: FileSet | None = None
        self.configuration: Configuration | None = None

    def __str__(self) -> str:
        return f"{self.kind}/{self.seed}"

    def note(self, what: str) -> None:
        """Note what is done, as code where it can be."""
        self.log.append(what)

    def draw(self, *, changes: Callable[[Configuration], Configuration] | None = None, **files: Any) -> None:
        """Draw the files and the configuration, and write the files.

        Args:
            changes: made to the configuration.
            **files: arguments of `draw_files`.
        """
        whole = self.rng.random() < 0.08
        elsewhere = self.rng.random() < 0.05
        self.files = draw_files(self.rng, **{"equal": whole, "elsewhere": elsewhere, **files})
        self.configuration = draw_configuration(self.rng, self.files, whole=whole)
        if changes:
            self.configuration = changes(self.configuration)
        self.files.write(self.data)

    def make_gentle(self) -> None:
        """Ask for less: no split but train, and steps that are not full."""
        options = {**self.chosen.options, "drop_last": False}
        self.configuration = replace(
            self.chosen, split=Split(val=None, test=None), options=options, parts=None
        )

    @property
    def data(self) -> str:
        """Where the files lie."""
        return os.path.join(self.folder, "data")

    @cached_property
    def truth(self) -> Truth:
        """What the files hold, before anything changes them."""
        return Truth(self._files, self.data, self.chosen)

    @property
    def chosen(self) -> Configuration:
        """The configuration."""
        if self.configuration is None:
            raise RuntimeError("nothing was drawn yet")
        return self.configuration

    @property
    def _files(self) -> FileSet:
        if self.files is None:
            raise RuntimeError("nothing was drawn yet")
        return self.files

    @property
    def keys(self) -> Sequence[str] | None:
        """The keys of batches that are tuples."""
        found: Sequence[str] | None = self.chosen.options.get("as_tuple")
        return found

    def module(self, stage: str | None = None, **options: Any) -> H5DataModule:
        """A DataModule of its own, set up.

        Args:
            stage: passed to ``setup``.
            **options: other than those of the configuration.
        """
        dm = self.unready(**options)
        try:
            dm.prepare_data()
            dm.setup(stage)
            # What makes no step is refused here.
            loader = dm.train_dataloader()
            del loader
        except H5LightningError as error:
            refuse(error)
        return dm

    def unready(self, **options: Any) -> H5DataModule:
        """A DataModule that is not set up."""
        arguments = {**self.chosen.arguments(self.data), **options}
        return H5DataModule(index_dir=os.path.join(self.folder, "index"), **arguments)

    def dataset(self, **options: Any) -> H5Dataset:
        """An `H5Dataset` of the same fields."""
        arguments = self.chosen.arguments(self.data)
        names = ("files", "fields", "samples", "dtype", "transform", "batch_transform", "access", "reader")
        found = {name: arguments[name] for name in (*names, "provenance", "seed")}
        try:
            return H5Dataset(index_dir=os.path.join(self.folder, "index"), **{**found, **options})
        except H5LightningError as error:
            refuse(error)

    def delivery(self) -> Delivery:
        """Notes of a pass."""
        return Delivery(self.truth, self.keys)

    def read(self, loader: Any, most: int | None = None) -> Delivery:
        """One pass, or its first batches.

        Args:
            loader: anything to iterate over.
            most: how many batches; None for all.
        """
        delivery = self.delivery()
        for number, batch in enumerate(loader):
            if number == most:
                break
            delivery.take(batch)
        delivery.hold_again()
        return delivery

    def code(self) -> str:
        """The case as Python code, and what was done, line by line."""
        lines = [f"# python tests/differential/run.py --only {self} --keep FOLDER"]
        if self.files is not None:
            lines.append(f"files = {code_of(self.files)}\nfiles.write('data')")
        if self.configuration is not None:
            lines.append(self.configuration.code("data"))
        return "\n".join([*lines, *self.log])


def refuse(error: H5LightningError) -> Any:
    """Raise `RefusedError` where an error has a good reason, the error itself otherwise."""
    text = str(error)
    if any(reason in text for reason in _REASONS):
        raise RefusedError(f"{type(error).__name__}: {text}") from error
    raise error


class Reference:
    """The order of each epoch, of a module of its own that reads in the plainest way: h5py, no thread, no worker.

    It is held against the truth first: each training sample once, or as often as it is to be drawn.

    Args:
        case: the case.
        **options: what else differs.
    """

    def __init__(self, case: Case, **options: Any) -> None:
        self._case = case
        plain = {"reader": "h5py", "threads": 0, "num_workers": 0, "persistent_workers": False}
        plain |= {"prefetch_factor": None, "multiprocessing_context": None}
        try:
            self._module = case.module(**plain, **options)
        except RefusedError:
            case.make_gentle()
            self._module = case.module(**plain, **options)
        self._epochs: dict[int, Delivery] = {}
        self.split = {name: self._all(name) for name in ("train", "val", "test")}
        self._check_split()

    def epoch(self, number: int) -> Delivery:
        """What an epoch delivers."""
        if number not in self._epochs:
            loader = self._module.train_dataloader()
            loader.sampler.set_epoch(number)
            found = self._case.read(loader)
            self._check_epoch(number, found)
            self._epochs[number] = found
        return self._epochs[number]

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.epoch(0).batches)

    def teardown(self) -> None:
        """Close the files."""
        self._module.teardown()

    def _all(self, name: str) -> list[Sample]:
        dataset = getattr(self._module, f"{name}_dataset")
        if dataset is None:
            return []
        found: list[Sample] = []
        for start in range(0, len(dataset), 64):
            positions = np.arange(start, min(start + 64, len(dataset)))
            batch = dataset.read_batch(positions, [NUMBER])
            found += self._case.truth.identify(batch)
        return found

    def _check_split(self) -> None:
        truth, every = self._case.truth, [one for part in self.split.values() for one in part]
        expect("samples that are in two splits, or twice in one", len(every), len(set(every)))
        split, parts = self._case.chosen.split, self._case.chosen.parts
        if split.by != "sample" or parts is not None:
            for name, part in self.split.items():
                expect(f"samples of {name}, file by file", part, sorted(part, key=truth.in_path_order))
        unknown = set(every) - set(truth.samples)
        expect("samples that no file holds", unknown, set())
        rows = {name: self._rows(samples) for name, samples in self.split.items()}
        for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
            expect(f"rows that {one} and {other} share", rows[one] & rows[other], set())
        missing = set(truth.samples) - set(every)
        if parts is not None:
            self._check_parts(parts)
        elif split.by == "block" or (split.by == "auto" and missing):
            self._check_borders(missing)
        else:
            expect("samples that are in no split", missing, set())

    def _check_parts(self, parts: Mapping[str, Sequence[str]]) -> None:
        """Each split has the files that it was given."""
        folder, truth = self._case.data, self._case.truth
        for name, files in parts.items():
            numbers = {truth.sample_at(os.path.join(folder, one), 0).file for one in files}
            expected = {sample for sample in truth.samples if sample.file in numbers}
            expect(f"samples of {name}", set(self.split[name]), expected)

    def _check_borders(self, missing: set[Sample]) -> None:
        """Of blocks, only windows are left out that cross a border, or reach into its gap."""
        samples, split = self._case.chosen.samples, self._case.chosen.split
        if not missing:
            return
        rows = self._case.truth.rows_of(next(iter(missing)))
        span = rows[-1] - rows[0] + 1
        stride = getattr(samples, "stride", 1)
        borders = bool(split.val) + bool(split.test)
        most = borders * ((split.gap + span - 1) // stride + 1) if split.gap + span > 1 else 0
        for file in {sample.file for sample in missing}:
            here = sum(sample.file == file for sample in missing)
            if here > most:
                raise DisagreementError(f"samples of file {file} in no split", here, f"at most {most}")

    def _rows(self, samples: Sequence[Sample]) -> set[tuple[int, int]]:
        truth = self._case.truth
        return {(sample.file, row) for sample in samples for row in truth.rows_of(sample)}

    def _check_epoch(self, number: int, found: Delivery) -> None:
        chosen, train = self._case.chosen, self.split["train"]
        found.check_ids(self._module.locate)
        if found.epochs:
            expect("info.epoch", found.epochs, {number})
        full = len(train) // chosen.batch_size * chosen.batch_size
        size = full if chosen.options["drop_last"] else len(train)
        expect(f"samples of epoch {number}", len(found.samples), size)
        sizes = [chosen.batch_size] * (size // chosen.batch_size)
        sizes += [size % chosen.batch_size] if size % chosen.batch_size else []
        expect("sizes of its batches", found.sizes, sizes)
        if chosen.drawn_by is None:
            check_once(f"epoch {number}", found.samples, train, may_lack=len(train) - size)
            if not chosen.is_shuffled:
                expect(f"epoch {number} without shuffling", found.samples, train[:size])
        else:
            self._check_draws(number, found.samples, may_lack=len(train) - size)
        for other, earlier in self._epochs.items():
            if chosen.is_shuffled and len(set(train)) >= 20 and found.samples == earlier.samples:
                raise DisagreementError(
                    f"the order of epoch {number}", f"that of epoch {other}", "another one"
                )

    def _check_draws(self, number: int, samples: Sequence[Sample], may_lack: int) -> None:
        """Each sample as often as its weight says, give or take one at each end of its range."""
        truth, train = self._case.truth, self.split["train"]
        key = self._case.chosen.drawn_by or ""
        each = [float(np.asarray(truth.value(key, sample)).reshape(-1)[0]) for sample in train]
        if key == "classes":
            counts = {value: each.count(value) for value in each}
            each = [1 / counts[value] for value in each]
        total = sum(each)
        for sample, weight in zip(train, each, strict=True):
            share, count = weight / total * len(train), samples.count(sample)
            if not np.ceil(share - 1e-6) - 2 - may_lack <= count <= np.floor(share + 1e-6) + 2:
                raise DisagreementError(
                    f"epoch {number}: how often {sample} is drawn", count, f"about {share}"
                )


def check_once(
    what: str,
    found: Sequence[Sample],
    expected: Sequence[Sample],
    *,
    may_lack: int = 0,
    may_repeat: int = 0,
) -> None:
    """Each sample once.

    Args:
        what: what is checked.
        found: the samples that were delivered.
        expected: all that there are.
        may_lack: how many may be left out.
        may_repeat: how many may come twice.
    """
    counts: Mapping[Sample, int] = dict.fromkeys(expected, 0)
    counted = dict(counts)
    for sample in found:
        if sample not in counted:
            raise DisagreementError(f"{what}: a sample of another split", sample, "none")
        counted[sample] += 1
    missing = [sample for sample, count in counted.items() if not count]
    twice = [sample for sample, count in counted.items() if count > 1]
    if len(missing) > may_lack:
        raise DisagreementError(
            f"{what}: samples that are missing ({len(missing)} of {len(expected)})", missing, may_lack
        )
    if len(found) - (len(expected) - len(missing)) > may_repeat:
        raise DisagreementError(f"{what}: samples that come twice ({len(twice)})", twice, may_repeat)
