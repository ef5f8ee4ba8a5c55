"""Holds what the package does with a case against what the contract says."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
from typing import Any

from h5lightning import H5DataModule
from h5lightning.errors import H5LightningError
from judging.batches import BatchJudge
from judging.buckets import check_buckets
from judging.contract import Contract, Part
from judging.disagreement import DisagreementError, expect
from judging.divisions import RefusedError
from judging.draws import SeenDraws
from judging.facts import check_classes, check_statistics, may_lack_numbers
from judging.options import STAGES, Case
from judging.splits import Parts, check_split, is_possible_refusal, saved_parts
from judging.transforms import TRANSFORMS

__all__ = ["judge"]

_EPOCH = 2


def judge(case: Case, folder: str | None = None, seen: SeenDraws | None = None) -> str:
    """``right``, or ``refused`` and the reason of the judge and of the package, where both agree.

    Args:
        case: the case.
        folder: where a folder for its files is made and removed.
        seen: collects what was drawn.

    Raises:
        DisagreementError: they do not agree.
    """
    own = tempfile.mkdtemp(dir=folder, prefix="series-")
    try:
        with _Judge(case, own, seen or SeenDraws()) as judging:
            return judging.verdict()
    finally:
        shutil.rmtree(own, ignore_errors=True)


class _Judge:
    """One case in a folder of its own."""

    def __init__(self, case: Case, folder: str, seen: SeenDraws) -> None:
        self.case, self.folder, self._seen = case, folder, seen
        self.paths = case.tree.write(folder)
        self._modules: list[H5DataModule] = []

    def __enter__(self) -> _Judge:
        return self

    def __exit__(self, *_: object) -> None:
        for dm in self._modules:
            dm.teardown()

    def verdict(self) -> str:
        try:
            self.contract = Contract(self.case, self.paths)
        except RefusedError as refusal:
            return self._both_refuse(refusal)
        self.batches = BatchJudge(self.contract, self._seen)
        try:
            dm = self.module()
        except H5LightningError as error:
            return f"refused: {self._reason(error)} | {_masked(error)}"
        self._check_ids(dm)
        by, parts = self._parts(dm)
        if parts is not None:
            check_split(by, parts, self.contract)
        self._check_manifest(by, parts)
        if self.contract.vocabularies.has_unknown and (refusal := self._reading_error(dm)):
            return f"refused: a value that is no category, when it is read | {_masked(refusal)}"
        return self._verdict_of_values(dm, parts)

    def _verdict_of_values(self, dm: H5DataModule, parts: Parts | None) -> str:
        contract = self.contract
        ids, self.is_drawn = self._ids(dm, parts), parts is None
        rows = self._trained_rows(parts, ids["train"])
        try:
            contract.statistics = check_statistics(dm, contract, rows)
        except RefusedError as refusal:
            raise DisagreementError("statistics", "no error", f"an error: {refusal}") from refusal
        if contract.vocabularies.has_unknown:
            if any(contract.vocabularies.has_unknown_in(stage, own) for stage, own in ids.items()):
                raise DisagreementError("reading", "no error", "an error: a value that is no category")
            return "refused: a value that is no category | read by no sample"
        check_classes(dm, contract, rows)
        for stage in ("val", "test"):
            self._check_evaluation(dm, stage, ids[stage])
        self._check_training(dm, ids["train"])
        return "right"

    def _reason(self, error: H5LightningError) -> str:
        """Why data that are right may be refused."""
        if self.contract.vocabularies.has_unknown:
            return "a value that is no category"
        if "normalize" in str(error) and may_lack_numbers(self.contract):
            return "no number to take statistics of"
        if not is_possible_refusal(error, self.contract):
            raise DisagreementError(
                "the package refuses", f"{type(error).__name__}: {error}", "data"
            ) from error
        return "a split that cannot be"

    def module(self, **changes: Any) -> H5DataModule:
        """A module that is set up, with some options changed."""
        options = {**self.case.arguments, **changes, "index_dir": f"{self.folder}/index"}
        if self.case.table is not None:
            options["table"] = {**self.case.table, "path": f"{self.folder}/{self.case.table['path']}"}
        if self.case.transform is not None:
            options["transform"] = TRANSFORMS[self.case.transform]
        dm = H5DataModule(f"{self.folder}/*.h5", **options, provenance=True)
        self._modules.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    def _both_refuse(self, refusal: RefusedError) -> str:
        try:
            self.module()
        except H5LightningError as error:
            return f"refused: {refusal} | {_masked(error)}"
        raise DisagreementError("setup", "no error", f"an error: {refusal}")

    def _reading_error(self, dm: H5DataModule) -> H5LightningError | None:
        """The error that comes when all samples are read."""
        try:
            for stage in ("train", "val", "test"):
                dataset = getattr(dm, f"{stage}_dataset")
                if dataset is not None and len(dataset):
                    dataset.read_batch(range(len(dataset)))
        except H5LightningError as error:
            return error
        return None

    def _trained_rows(self, parts: Parts | None, ids: dict[int, Part]) -> list[tuple[int, int]]:
        """Series and row of all rows of train that count."""
        contract = self.contract
        if parts is None:
            return [(one.series, one.row) for one in map(contract.everything.__getitem__, sorted(ids))]
        return [
            (number, row)
            for number, pieces in sorted(parts.get("train", {}).items())
            for start, stop in pieces
            for row in range(start, stop)
            if contract.counting(number)[row]
        ]

    # ── ids and splits ───────────────────────────────────────────────────────────────────────────────

    def _check_ids(self, dm: H5DataModule) -> None:
        contract, series = self.contract, self.contract.series
        count = len(contract.everything)
        found = [
            (os.path.basename(place.file), place.series, place.row, place.start)
            for place in dm.locate(range(count))
        ]
        expected = [
            (
                os.path.basename(contract.paths[series[one.series].file]),
                series[one.series].name,
                one.row,
                one.start,
            )
            for one in contract.everything
        ]
        expect("dm.locate(all ids)", found, expected)
        try:
            beyond = dm.locate([count])
        except IndexError:
            return
        raise DisagreementError(f"dm.locate([{count}])", beyond, "IndexError")

    def _parts(self, dm: H5DataModule) -> tuple[str, Parts | None]:
        path = f"{self.folder}/split.json"
        dm.save_split(path)
        by, parts = saved_parts(path, self.contract)
        files = dm.splits
        for stage, own in (parts or {}).items():
            names = {os.path.basename(path) for path in files[stage]}
            with_rows = {
                self._file_of(number) for number, pieces in own.items() if pieces[0][1] > pieces[0][0]
            }
            if not with_rows <= names:
                raise DisagreementError(f"dm.splits[{stage!r}]", names, with_rows)
        return by, parts

    def _check_manifest(self, by: str, parts: Parts | None) -> None:
        """What was saved is read again."""
        if self.case.options.get("seed", 0) % 2 or self.case.split.get("val") is self.case.split.get("test"):
            return
        again = self.module(split={"manifest": f"{self.folder}/split.json"})
        expect("a split that was saved, read again", self._parts(again), (by, parts))

    def _file_of(self, number: int) -> str:
        return os.path.basename(self.paths[self.contract.series[number].file])

    def _ids(self, dm: H5DataModule, parts: Parts | None) -> dict[str, dict[int, Part]]:
        """The ids of each stage, each with the part of the series that it lies in."""
        if parts is not None:
            return {stage: self.contract.ids_of(stage, parts.get(stage, {})) for stage in STAGES}
        whole = self.contract.ids_of("train", {n: [(0, s.rows)] for n, s in enumerate(self.contract.series)})
        found = {}
        for stage in ("train", "val", "test"):
            dataset = getattr(dm, f"{stage}_dataset")
            ids = [] if dataset is None else dataset.sample_ids(range(len(dataset))).tolist()
            found[stage] = {number: whole[number] for number in ids}
        every = [number for ids in found.values() for number in ids]
        expect("ids of all splits", sorted(every), sorted(whole))
        return found

    # ── loaders ──────────────────────────────────────────────────────────────────────────────────────

    def _check_evaluation(self, dm: H5DataModule, stage: str, ids: dict[int, Part]) -> None:
        worlds = [(None, None), *((rank, self.case.world) for rank in range(self.case.world))]
        if len(ids) < self.case.world:
            worlds = [(None, None)] * 2
        try:
            loaders = [getattr(dm, f"{stage}_dataloader")(*world) for world in worlds]
            for epoch, loader in enumerate(loaders if ids else ()):
                loader.sampler.set_epoch(epoch)  # it changes nothing
            read = [self._read(loader, stage, ids) for loader in loaders]
        except H5LightningError as error:
            if not ids:
                return
            raise DisagreementError(f"{stage} loader", repr(error), f"{len(ids)} samples") from error
        found = _flat(read[0])
        # Rows that are drawn at random come in an order of their own.
        expect(f"ids of {stage}", sorted(found) if self.is_drawn else found, sorted(ids))
        if len(worlds) > 1:
            ranks = _flat(itertools.chain(*read[1:]))
            expect(f"ids of {stage} on {len(worlds) - 1} ranks", sorted(ranks), sorted(ids))

    def _check_training(self, dm: H5DataModule, ids: dict[int, Part]) -> None:
        if not ids:
            return
        loader: Any = dm.train_dataloader()
        loader.sampler.set_epoch(_EPOCH)
        whole = self._read(loader, "train", ids, _EPOCH)
        self._check_bucket([whole])
        self._check_epoch(_flat(whole), ids, 1)
        world = self.case.world
        if world > 1 and len(ids) >= world:
            loaders: list[Any] = [dm.train_dataloader(rank=rank, world_size=world) for rank in range(world)]
            for one in loaders:
                one.sampler.set_epoch(_EPOCH)
            ranks = [self._read(one, "train", ids, _EPOCH) for one in loaders]
            self._check_bucket(ranks)
            expect("batches of each rank", [len(one) for one in ranks], [len(ranks[0])] * world)
            self._check_epoch(_flat(itertools.chain(*ranks)), ids, world)
        self._check_resume(len(whole), ids)
        samples = self.case.stage_samples["train"]
        if samples.jitter or samples.take is not None:
            loader.sampler.set_epoch(_EPOCH + 1)
            self._read(loader, "train", ids, _EPOCH + 1)
            self.batches.check_epochs("train", _EPOCH, _EPOCH + 1)

    def _check_epoch(self, found: list[int], ids: dict[int, Part], world: int) -> None:
        """Each id comes once, but for those left over between ranks; with weights, as many are drawn."""
        shuffle = self.case.options.get("shuffle")
        is_drawn = isinstance(shuffle, dict) and "weights" in shuffle
        is_right = set(found) <= set(ids) and (is_drawn or len(found) == len(set(found)))
        if not is_right or not 0 <= len(ids) - len(found) < world:
            raise DisagreementError(f"ids of an epoch on {world} ranks", sorted(found), sorted(ids))

    def _check_bucket(self, ranks: list[list[list[int]]]) -> None:
        shuffle = self.case.options.get("shuffle")
        if isinstance(shuffle, dict) and shuffle.get("bucket"):
            check_buckets(self.contract, shuffle["bucket"], ranks, self.case.options["batch_size"])

    def _check_resume(self, batches: int, ids: dict[int, Part]) -> None:
        if batches < 2 or self.case.steps % 2 == 0:  # it takes two more modules
            return
        first, second = self.module(), self.module()
        steps = min(self.case.steps, batches - 1)
        running = iter(first.train_dataloader())
        for _ in range(steps):
            next(running)
        state = first.state_dict()
        rest = self._read(running, "train", ids, 0)
        second.load_state_dict(state)
        resumed = self._read(second.train_dataloader(), "train", ids, 0)
        expect(f"batches of a run that resumes after {steps}", resumed, rest)

    def _read(
        self, loader: Any, stage: str, ids: dict[int, Part], epoch: int | None = None
    ) -> list[list[int]]:
        """The ids of each batch, whose values are right."""
        read = []
        for batch in loader:
            numbers = batch["sample_id"].tolist()
            read.append(numbers)
            if unknown := set(numbers) - set(ids):
                raise DisagreementError(
                    f"ids of {stage} that belong to no such sample", sorted(unknown), sorted(ids)
                )
            self.batches.check(batch, stage, epoch, numbers, ids)
        return read


def _masked(error: Exception) -> str:
    """The beginning of a message without its names and numbers."""
    return re.sub(r"'[^']*'|/\S+|[\d.,]*\d", "#", str(error))[:100]


def _flat(batches: Any) -> list[int]:
    return [number for batch in batches for number in batch]
