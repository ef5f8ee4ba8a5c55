"""What `setup` makes: the split, and the datasets of each stage over one shared index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from h5lightning.core.arrays import Float64Array
from h5lightning.loading.batch_reader import BatchReader
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.loading.transforms import STAGES, Transforms
from h5lightning.options import Access, Shuffle, Split
from h5lightning.planning.sampling import Order, make_order
from h5lightning.planning.selection import Selection
from h5lightning.planning.splitting.apply_manifest import apply_manifest
from h5lightning.planning.splitting.manifest import load_manifest
from h5lightning.planning.splitting.plan_split import plan_split
from h5lightning.planning.splitting.split_plan import Segments, SplitPlan
from h5lightning.storage.readers.protocol import Reader
from h5lightning.storage.survey import DataSurvey

__all__ = ["PreparedData", "StageOptions", "assemble"]


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What the samples of a stage go through.

    Args:
        transform: transforms of samples, by stage.
        batch_transform: transforms of batches, by stage.
        provenance: add the samples' ids to each batch.
    """

    transform: Mapping[str, Transforms]
    batch_transform: Mapping[str, Transforms]
    provenance: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """The data of a run.

    Args:
        survey: the files and their samples.
        plan: which rows are train, val and test.
        datasets: stage → samples, for the stages that have some.
        seed: the seed that the split was made with, and orders will be.
        new_files: names of files that the manifest did not know.
    """

    survey: DataSurvey
    plan: SplitPlan
    datasets: Mapping[str, SampleDataset]
    seed: int
    new_files: tuple[str, ...] = ()

    def training_order(self, shuffle: Shuffle, weights: Float64Array | None = None) -> Order:
        """The order of the training samples; see `make_order` for the weights."""
        index = self.survey.index
        selection = self.plan.selection("train", index)
        layout = self.survey.row_layout()
        return make_order(shuffle, selection, index, layout, seed=self.seed, weights=weights)

    def files(self) -> dict[str, list[str]]:
        """Split → paths of its files, in order."""
        index = self.survey.index
        numbers = {name: part.files(index) for name, part in self.plan.parts.items()}
        numbers |= {role: files for role, files in (self.survey.roles or {}).items() if role == "predict"}
        return {name: [index.path(file) for file in files.tolist()] for name, files in numbers.items()}


def assemble(
    survey: DataSurvey, split: Split, *, reader: Reader, access: Access, stages: StageOptions, seed: int
) -> PreparedData:
    """Split the files and make the datasets, all over one index and one reader.

    Args:
        survey: the files and their samples.
        split: how data become train, val and test.
        reader: puts rows into buffers.
        access: what to do with values that are not finite.
        stages: what the samples of a stage go through.
        seed: the seed of the run.

    Raises:
        SplitError: the split cannot be made.
    """
    plan, new_files = _plan(survey, split, seed)
    reader.expect(survey.scanned_files)
    batches = BatchReader(survey.index, survey.fields, reader, access)
    parts = {name: (batches, plan.selection(name, survey.index)) for name in plan.parts}
    if "test" in parts:
        parts["predict"] = parts["test"]
    if survey.predict_fields is not None:
        parts["predict"] = (replace(batches, fields=survey.predict_fields), _predict_selection(survey))
    splits = {stage: selection for stage, (_, selection) in parts.items()}
    datasets = {
        stage: SampleDataset(
            *parts[stage],
            stage=stage,
            transform=stages.transform[stage],
            batch_transform=stages.batch_transform[stage],
            provenance=stages.provenance,
            seed=seed,
            splits=splits,
        )
        for stage in STAGES
        if stage in parts
    }
    return PreparedData(survey, plan, datasets, seed, new_files)


def _plan(survey: DataSurvey, split: Split, seed: int) -> tuple[SplitPlan, tuple[str, ...]]:
    """The split, and the files that its manifest does not know."""
    index, roles, labels = survey.index, survey.roles, survey.labels
    if split.manifest is None:
        return plan_split(index, split, seed=seed, roles=roles, labels=labels), ()
    manifest = load_manifest(split.manifest)
    known = set(manifest.index.names)
    plan = apply_manifest(manifest, index, split, seed=seed, roles=roles, labels=labels)
    return plan, tuple(name for name in index.names if name not in known)


def _predict_selection(survey: DataSurvey) -> Selection:
    files = (survey.roles or {})["predict"]
    rows = survey.index.series_rows[files]
    return Segments(files, rows * 0, rows).selection(survey.index)
