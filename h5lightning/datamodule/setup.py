"""What `setup` prepares: the split, the reader, and the dataset of each stage over one shared index."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5lightning.core.frozen import once
from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.loading.bucket_sizes import length_sizes
from h5lightning.loading.order_values import OrderValues
from h5lightning.loading.passes.read_conditions import with_conditions
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.loading.transforms import STAGES, Transforms
from h5lightning.options import Access, Normalize, Shuffle, Split
from h5lightning.planning.normalizing import check_normalized_keys
from h5lightning.planning.sampling import Order, keeps_blocks, make_order
from h5lightning.planning.sampling.window_size import fit_window
from h5lightning.planning.sections import Section
from h5lightning.planning.selection import Selection
from h5lightning.planning.splitting.apply_manifest import apply_manifest
from h5lightning.planning.splitting.manifest import load_manifest, to_plain_split
from h5lightning.planning.splitting.plan_split import check_samples, plan_split
from h5lightning.planning.splitting.split_plan import Segments, SplitPlan
from h5lightning.planning.statistics import FieldStatistics
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.storage.survey import survey

__all__ = ["PreparedData", "assemble", "prepare", "survey_files"]


@dataclass(frozen=True, eq=False)
class PreparedData:
    """The data of a run; one reader reads the rows of all datasets."""

    survey: DataSurvey
    plan: SplitPlan
    datasets: Mapping[str, SampleDataset]  # for the stages that have samples
    batch_readers: tuple[BatchReader, ...]  # of the datasets
    reader: Reader
    seed: int
    cache_bytes: int
    new_files: tuple[str, ...] = ()  # those that the manifest does not list
    new_series: int = 0  # those of other files that it does not list

    @once
    def plain_split(self) -> dict[str, Any]:
        """The split for checkpoints: packing that of a million series takes seconds."""
        return to_plain_split(self.plan, self.survey.index)

    def normalize_by(self, statistics: Mapping[str, FieldStatistics]) -> None:
        """Normalise the fields of all datasets by these statistics from now on."""
        for reader in self.batch_readers:
            reader.normalize_by(statistics)

    def lack_classes(self, keys: Collection[str]) -> None:
        """Deliver none of these fields from now on; see `BatchDelivery.lack_classes`."""
        for reader in self.batch_readers:
            reader.lack_classes(keys)

    def keeps_blocks(self, shuffle: Shuffle) -> bool:
        """Whether the training samples come in block order, so that each chunk is decoded once."""
        index = self.survey.index
        if "train" not in self.plan.parts:
            return False
        return keeps_blocks(shuffle, self.plan.selection("train", index), index, self.survey.row_layout())

    def held_window_bytes(self, cache_bytes: int) -> int | None:
        """The window whose decoded chunks fill a cache; None if those of all training samples fit into it."""
        index, boxes = self.survey.index, self.survey.row_layout().boxes
        if boxes is not None and index.grid is not None:
            # Tiles are as large as the window: what they decode counts, not what their samples hold.
            return None if boxes.total_bytes(index.rows_of_units, index.grid) <= cache_bytes else cache_bytes
        held = self.survey.decoded_chunks().held_window_bytes(cache_bytes)
        part = self.plan.parts.get("train")
        rows = 0 if part is None else part.rows if part.members is None else part.spanned_rows
        return None if held is None or rows * self.survey.row_layout().row_bytes <= held else held

    def fitted(self, shuffle: Shuffle) -> Shuffle:
        """The shuffle with the window that was given, or else with one that the cache holds; see `fit_window`."""
        if not self.keeps_blocks(shuffle):
            return fit_window(shuffle, None)
        return fit_window(shuffle, self.held_window_bytes(self.cache_bytes))

    def training_order(self, shuffle: Shuffle, values: OrderValues | None = None) -> Order:
        """The order of the training samples.

        Args:
            shuffle: how they are shuffled, with a window as `fitted` says.
            values: what was read of them for it; None if it needs nothing.

        Raises:
            FieldError: all samples of the field whose lengths they are bucketed by have one length.
        """
        values, section = values or OrderValues(), self.survey.sections["train"]
        selection = self.plan.selection("train", section.index)
        sizes = values.sizes or length_sizes(shuffle, section.fields.plans, section.index, selection)
        layout = self.survey.row_layout()
        return make_order(
            shuffle, selection, section.index, layout, seed=self.seed, weights=values.weights, sizes=sizes
        )

    def files(self) -> dict[str, list[str]]:
        """Split → paths of its files, in order."""
        index = self.survey.index
        numbers = {name: part.files(index) for name, part in self.plan.parts.items()}
        numbers |= {role: files for role, files in (self.survey.roles or {}).items() if role == "predict"}
        return {name: [index.path(file) for file in files.tolist()] for name, files in numbers.items()}


def survey_files(options: DataModuleOptions) -> DataSurvey:
    """Discover and scan the files of a DataModule, and plan its fields."""
    surveyed = survey(
        options.files,
        options.fields,
        options.samples,
        access=options.access,
        dtype=options.dtype,
        series=options.series,
        table=options.table,
        keep_together=options.split.keep_together,
        given=options.split.given,
        where=options.where,
        index_dir=options.index_dir,
        processes=options.num_workers or None,
    )
    return with_conditions(
        surveyed, access=options.access, reader=options.reader, index_dir=options.index_dir
    )


def prepare(
    options: DataModuleOptions,
    survey: DataSurvey,
    seed: int,
    reader: Reader | None = None,
) -> PreparedData:
    """Split the files of a DataModule and make its datasets, and a reader unless there is one for this survey."""
    if options.normalize:
        keys = {*(options.fields or ()), *survey.fields.spec(), *survey.sections["predict"].fields.spec()}
        check_normalized_keys(sorted(keys), options.normalize)
    if reader is None:
        processes = max(1, options.num_workers)
        pool = HandlePool(options.access, processes=processes, scanned_files=survey.scanned_files)
        # More than one only in workers, which make one batch at a time.
        threads = max(1, options.threads or 1) if options.num_workers else 1
        reader = make_reader(options.reader, pool, threads=threads)
    return assemble(
        survey,
        options.split,
        reader=reader,
        access=options.access,
        threads=options.threads,
        seed=seed,
        transform=options.transform,
        batch_transform=options.batch_transform,
        provenance=options.provenance,
        normalize=options.normalize,
    )


def assemble(
    survey: DataSurvey,
    split: Split,
    *,
    reader: Reader,
    access: Access,
    threads: int | None = None,
    seed: int,
    transform: Mapping[str, Transforms] | None = None,
    batch_transform: Mapping[str, Transforms] | None = None,
    provenance: bool,
    normalize: Mapping[str, Normalize] | None = None,
) -> PreparedData:
    """Split the files and make the datasets, all over one index and one reader; transforms are by stage.

    Raises:
        SplitError: the split cannot be made.
        OptionError: a field that cannot be normalised.
    """
    plan, new_files, new_series = _plan(survey, split, seed)

    splits = _splits(survey, plan)
    readers: dict[int, BatchReader] = {}  # by section, so that stages with one layout share what is kept

    def reader_of(section: Section) -> BatchReader:
        if id(section) not in readers:
            chunks, cuts = survey.chunk_layouts(section), plan.parts.values()
            readers[id(section)] = BatchReader(
                section.index,
                section.fields,
                reader,
                access,
                chunks=chunks,
                parts=cuts,
                normalize=normalize,
                threads=threads,
            )
        return readers[id(section)]

    datasets = {
        stage: SampleDataset(
            reader_of(survey.sections[stage]),
            splits[stage],
            stage=stage,
            transform=(transform or {}).get(stage, Transforms()),
            batch_transform=(batch_transform or {}).get(stage, Transforms()),
            provenance=provenance,
            seed=seed,
            splits=splits,
            sections=survey.sections,
        )
        for stage in STAGES
        if stage in splits
    }
    return PreparedData(
        survey,
        plan,
        datasets,
        tuple(readers.values()),
        reader,
        seed,
        access.cache_bytes,
        new_files,
        new_series,
    )


def _splits(survey: DataSurvey, plan: SplitPlan) -> dict[str, Selection]:
    """The samples of each stage; those of predict are the files that are named for it, else the rows of test."""
    sections = survey.sections
    splits = {name: plan.selection(name, sections[name].index) for name in plan.parts}
    index = sections["predict"].index
    if survey.predict_fields is not None:
        splits["predict"] = Segments.of_files(index, (survey.roles or {})["predict"]).selection(index)
    elif "test" in splits:
        splits["predict"] = plan.selection("test", index, stage="predict")
    return splits


def _plan(survey: DataSurvey, split: Split, seed: int) -> tuple[SplitPlan, tuple[str, ...], int]:
    """The split, the names of files that its manifest does not list, and the number of new series of other files."""
    index, roles, labels = survey.index, survey.roles, survey.labels
    new_files: tuple[str, ...] = ()
    new_series = 0
    if split.manifest is None:
        plan = plan_split(index, split, seed=seed, roles=roles, labels=labels, given=survey.given)
    else:
        manifest = load_manifest(split.manifest)
        listed = set(manifest.index.names)
        plan = apply_manifest(manifest, index, split, seed=seed, roles=roles, labels=labels)
        is_listed = np.asarray([name in listed for name in index.names])
        new_series = int(is_listed[index.series_file].sum()) - len(manifest.index.series_rows)
        new_files = tuple(name for name in index.names if name not in listed)
    for stage, section in survey.sections.of_stage.items():
        check_samples(plan.by, section.index.samples, stage)
    return plan, new_files, new_series
