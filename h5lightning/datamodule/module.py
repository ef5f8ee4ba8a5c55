"""The LightningDataModule: stores the options, and lets the floors below do the work."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from h5lightning.core.arrays import Float64Array
from h5lightning.core.process_local import ProcessLocalSet
from h5lightning.core.sample_numbers import to_number, to_numbers
from h5lightning.datamodule.distributed import (
    Notices,
    ShareFinder,
    check_agreement,
    from_first_rank,
    given_share,
    log_tail,
    with_files_of_this_node,
)
from h5lightning.datamodule.resume import EpochTracker, check_same_data, check_state, explain_difference
from h5lightning.datamodule.setup import PreparedData, StageOptions, assemble
from h5lightning.datamodule.summary import Summary, summarise
from h5lightning.errors import NotSetUpError, OptionError
from h5lightning.loading.batch_finisher import IS_REPEAT
from h5lightning.loading.epochs.division import Division
from h5lightning.loading.epochs.evaluation_epochs import EvaluationEpochs
from h5lightning.loading.epochs.sampler import ShardedSampler
from h5lightning.loading.epochs.training_epochs import TrainingEpochs
from h5lightning.loading.loader import H5DataLoader, make_loader
from h5lightning.loading.loader_options import LoaderOptions
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.loading.sample_weights import read_weights
from h5lightning.loading.transforms import STAGES, Transforms
from h5lightning.options import Access, Samples, Shuffle, Split
from h5lightning.options.checks import MOST_IN_BATCH, check_bool, check_choice, check_int, check_text
from h5lightning.options.coerce import check_series, coerce, coerce_fields, coerce_samples, split_for
from h5lightning.options.plain import to_plain
from h5lightning.planning.fields import FieldSpec, check_dtype
from h5lightning.planning.sampling import Order, PathOrder, fingerprint
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.position import Position
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.training_shards import TrainingShards
from h5lightning.planning.splitting.manifest import save_manifest, to_plain_split
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.survey import DataSurvey, survey

__all__ = ["H5DataModule", "SampleLocation"]


class SampleLocation(NamedTuple):
    """Where a sample lies.

    Args:
        file: path of the file.
        series: what a ``*`` in the fields' paths matched; empty while each file is one series.
        row: first row of the sample, counted in its series.
    """

    file: str
    series: str
    row: int


class H5DataModule(LightningDataModule):
    """Trains from HDF5 files: pattern in, batches out, safe with any number of ranks and workers.

    Batches are dicts of tensors ``{key: (N, …)}`` in native byte order. Everything works without a Trainer
    too: ``dm.prepare_data(); dm.setup(); next(iter(dm.train_dataloader()))``.

    Args:
        files: glob, list of globs, or mapping of ``train``, ``val``, ``test``, ``predict`` to either.
        fields: sample key → path, ``attr:NAME`` or `Field`; a list of paths; None for all eligible datasets.
        samples: `Rows`, `Windows`, `Whole` or a mapping with ``kind``; None for rows.
        split: how data become train, val and test; None for `Split` with its defaults, or, with a mapping of
            files, for no split but the named ones.
        batch_size: samples of one rank in one step.
        num_workers: worker processes; 0 reads in the training process, by threads ahead of the training step.
        threads: threads that read and decode in each loading process; 0 reads each batch when it is asked for,
            None chooses.
        shuffle: a `Shuffle`, its mode, or a mapping; for training only, also draws by ``weights`` or ``balance``.
        reader: ``auto``, ``direct`` or ``h5py``; all return the same bytes.
        dtype: the type that floating fields are delivered in, such as ``float32``; None as stored.
        transform: callable, list of them, or mapping of stage → those; called with each sample, and with a
            `SampleInfo` if it takes two arguments.
        batch_transform: likewise, called with each batch, and with a `BatchInfo` if it takes two arguments.
        access: how files are opened and trusted.
        provenance: add ``sample_id``, int64 ``(N,)``, to each batch; see `locate`.
        as_tuple: deliver batches as a tuple of these keys, less the fields that ``files.predict`` lack.
        tail: ``drop`` or ``repeat`` the samples, fewer than ranks, that remain for a last training step.
        eval_tail: evaluation on several ranks takes equally many steps on each: ``uneven``, each sample once, with the
            last two steps one sample shorter on some ranks; or ``repeat``, equal steps and sizes by repeating samples,
            which ``batch["is_repeat"]``, bool ``(N,)``, marks.
        drop_last: drop the whole last training step unless it is full.
        pin_memory: copy batches to page-locked memory.
        persistent_workers: keep worker processes alive from epoch to epoch.
        prefetch_factor: batches that each worker makes ahead.
        multiprocessing_context: how workers are started: ``fork``, ``forkserver`` or ``spawn``.
        timeout_s: seconds to wait for a worker's batch; 0 waits for ever.
        seed: seeds splits, orders and transforms; None for that of `seed_everything`, else 0.
        index_dir: where the index is kept; None for the user's cache directory.
        on_other_data: what happens when training resumes a checkpoint of other files, or of another split, seed,
            ``shuffle`` or ``samples``: ``raise``, or ``restart_epoch``, which begins the interrupted epoch again.
        series: what a series is, whose border no window crosses: ``file``, each file, whatever a table beside the data
            says of episodes in it. None: each file too, but `Windows` are an error where there is such a table.

    Raises:
        OptionError: an option that cannot be right.
    """

    def __init__(
        self,
        files: str | list[str] | dict[str, Any],
        fields: dict[str, Any] | list[str] | None = None,
        samples: Samples | dict[str, Any] | None = None,
        split: Split | dict[str, Any] | None = None,
        batch_size: int = 32,
        num_workers: int = 0,
        threads: int | None = None,
        shuffle: Shuffle | str | dict[str, Any] = "auto",
        reader: str = "auto",
        dtype: str | None = None,
        transform: Callable[..., Any] | list[Callable[..., Any]] | dict[str, Any] | None = None,
        batch_transform: Callable[..., Any] | list[Callable[..., Any]] | dict[str, Any] | None = None,
        access: Access | dict[str, Any] | None = None,
        provenance: bool = False,
        as_tuple: list[str] | None = None,
        tail: str = "drop",
        eval_tail: str = "uneven",
        drop_last: bool = False,
        pin_memory: bool = False,
        persistent_workers: bool = False,
        prefetch_factor: int | None = None,
        multiprocessing_context: str | None = None,
        timeout_s: float = 0,
        seed: int | None = None,
        index_dir: str | None = None,
        on_other_data: str = "raise",
        series: str | None = None,
    ) -> None:
        super().__init__()
        # Checkpoints are read with weights_only: no option, path or NumPy scalar may be in them.
        batch_size, num_workers, threads, prefetch_factor, timeout_s, seed = (
            to_plain(value) for value in (batch_size, num_workers, threads, prefetch_factor, timeout_s, seed)
        )
        provenance, drop_last, pin_memory, persistent_workers, as_tuple, index_dir = (
            to_plain(value)
            for value in (provenance, drop_last, pin_memory, persistent_workers, as_tuple, index_dir)
        )
        self._fields = coerce_fields(fields)
        self._samples = coerce_samples(samples)
        self._split = split_for(files, split)
        self._shuffle = coerce(Shuffle, {"mode": shuffle} if isinstance(shuffle, str) else shuffle, "shuffle")
        self._access = coerce(Access, access, "access")
        self._stages = StageOptions(
            transform={stage: Transforms.of(transform, stage) for stage in STAGES},
            batch_transform={
                stage: Transforms.of(batch_transform, stage, "batch_transform") for stage in STAGES
            },
            provenance=provenance,
        )
        self._loading = LoaderOptions(
            num_workers=num_workers,
            threads=threads,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers,
            prefetch_factor=prefetch_factor,
            multiprocessing_context=multiprocessing_context,
            timeout_s=timeout_s,
            as_tuple=as_tuple,
        )
        check_choice("tail", tail, ("drop", "repeat"))
        check_choice("eval_tail", eval_tail, ("uneven", "repeat"))
        check_choice("on_other_data", on_other_data, ("raise", "restart_epoch"))
        check_dtype(dtype)
        check_series(series)
        check_bool("provenance", provenance)
        check_bool("drop_last", drop_last)
        if seed is not None:
            check_int("seed", seed, at_least=0)
        files, fields = to_plain(files), to_plain(fields)
        check_text("index_dir", index_dir)
        samples, split = to_plain(self._samples), to_plain(self._split)
        shuffle, access = to_plain(self._shuffle), to_plain(self._access)
        self.save_hyperparameters(ignore=["transform", "batch_transform"], logger=False)
        self.batch_size = batch_size
        self._files, self._dtype, self._index_dir, self._series = files, dtype, index_dir, series
        self._tail, self._drop_last, self._on_other_data = tail, drop_last, on_other_data
        self._eval_tail = eval_tail
        pool = HandlePool(self._access, processes=max(1, num_workers))
        self._reader = make_reader(reader, pool, threads=self._loading.decoding_threads)
        self._seed = seed
        self._seed_of_checkpoint: int | None = None  # up to the next fit of the Trainer that loaded it
        self._owns_seed = False  # whether the seed of what is restored stays: it was loaded without a Trainer
        self._survey: DataSurvey | None = None
        self._assembly: PreparedData | None = None
        self._weights: Float64Array | None = None
        self._order: Order | None = None
        self._restored: dict[str, Any] | None = None
        self._attached = _TrainerOf()
        self._attached.follow(self)
        self._progress = EpochTracker(self._attached)
        self._notices = Notices()
        self._loaders: ProcessLocalSet[H5DataLoader] = ProcessLocalSet()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attached.follow(self)

    @property
    def batch_size(self) -> int:
        """Samples of one rank in one step; read at each ``*_dataloader()``, so that the Tuner may change it."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size: int) -> None:
        plain = to_plain(batch_size)
        check_int("batch_size", plain, at_least=1, at_most=MOST_IN_BATCH)
        self._batch_size: int = plain

    # ── hooks ────────────────────────────────────────────────────────────────────────────────────────

    def prepare_data(self) -> None:
        """Discover and scan the files once, and keep the index for the next run."""
        if self._survey is None:
            self._survey = self._make_survey()

    def setup(self, stage: str | None = None) -> None:
        """Split the files; on every rank alike, from what rank 0 found."""
        if stage == "fit" and not self._progress.is_running:
            self._begin_fit()
        if self._assembly is None:
            self._survey, self._seed = from_first_rank(self.trainer, self._decide)
            self._survey = with_files_of_this_node(self.trainer, self._survey)
            self._assembly = self._assemble(self._survey)
            check_agreement(self.trainer, self._agreement())
        if self._restored is not None:
            self._check_restored(self._restored)
        if stage in (None, "fit") and self._weights is None:
            self._weigh()

    def teardown(self, stage: str | None = None) -> None:  # noqa: ARG002 - all stages share the files
        """Close this process's files."""
        self._progress.end(self.trainer)
        self._close()

    def on_exception(self, exception: BaseException) -> None:  # noqa: ARG002 - whatever it is
        """Close this process's files: Lightning calls no teardown after an exception."""
        self._progress.end(self.trainer)
        self._close()

    def train_dataloader(
        self, rank: int | None = None, world_size: int | None = None
    ) -> DataLoader[Any] | list[Any]:
        """Batches of the training split, shuffled, equally many on each rank; ``[]`` without the split.

        Without a Trainer each pass over it, or over another training loader of this DataModule, is the next epoch.

        Args:
            rank: the part of the samples that the loader delivers, together with ``world_size``. Where neither is
                given, those of the Trainer, else of ``torch.distributed`` when an epoch begins, else all samples.
            world_size: number of parts.

        Raises:
            ShardingError: there are too few samples, or nothing says which of several ranks this is.
        """
        dataset = self.train_dataset
        if dataset is None:
            return []
        shards_of = partial(
            TrainingShards, len(dataset), self.batch_size, tail=self._tail, drop_last=self._drop_last
        )
        given = given_share(rank, world_size)
        finder = ShareFinder(given, self._attached)
        known = finder.known()
        if known is not None:
            log_tail(shards_of(known.world_size))
            self._progress.prepare(shards_of(known.world_size))
        elif self.trainer is not None:
            self._progress.prepare(shards_of(1))
        tell = partial(self._notices.of_training, is_told=known is not None)
        division = Division(self._training_order(), shards_of, finder, tell)
        return self._loader(dataset, ShardedSampler(dataset, TrainingEpochs(division, self._progress, given)))

    def val_dataloader(
        self, rank: int | None = None, world_size: int | None = None
    ) -> DataLoader[Any] | list[Any]:
        """Batches of the validation split, each sample once; ``[]`` without the split.

        Args:
            rank: see `train_dataloader`.
            world_size: see `train_dataloader`.
        """
        return self._evaluation_loader(self.val_dataset, given_share(rank, world_size))

    def test_dataloader(
        self, rank: int | None = None, world_size: int | None = None
    ) -> DataLoader[Any] | list[Any]:
        """Batches of the test split, each sample once; ``[]`` without the split.

        Args:
            rank: see `train_dataloader`.
            world_size: see `train_dataloader`.
        """
        return self._evaluation_loader(self.test_dataset, given_share(rank, world_size))

    def predict_dataloader(
        self, rank: int | None = None, world_size: int | None = None
    ) -> DataLoader[Any] | list[Any]:
        """Batches of ``files.predict``, else of the test split, each sample once; ``[]`` without either.

        Args:
            rank: see `train_dataloader`.
            world_size: see `train_dataloader`.
        """
        return self._evaluation_loader(self.predict_dataset, given_share(rank, world_size))

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the next training epoch, of whatever loader; under a Trainer, its number counts.

        Args:
            epoch: from 0.
        """
        number = to_number(epoch, "epoch")
        check_int("epoch", number, at_least=0)
        self._progress.set_next(number)

    def state_dict(self) -> dict[str, Any]:
        """Position, seed, split and order, so that a run goes on where this one was, with the same samples.

        Without a Trainer, the position is that of the only training iterator that delivers batches.

        Raises:
            ResumeError: several iterators deliver batches: save the ``state_dict()`` of a loader instead.
        """
        if self._assembly is None:
            return {}
        return {"version": 2, "position": self._progress.now().to_plain(), **self._record()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the seed of the checkpoint, unless one was given, and the position, if training goes on.

        Without a Trainer, the next training epoch goes on at the position.

        Raises:
            SplitMismatchError: training would go on with another split.
            ResumeError: training would go on with samples in another order.
        """
        if not state_dict and self.trainer is not None:
            return
        check_state(state_dict)
        # Evaluation under a Trainer loads the same state, but goes on with nothing.
        goes_on = self.trainer is None or self._is_training
        self._restored = {name: value for name, value in state_dict.items() if goes_on or name != "position"}
        self._owns_seed = self.trainer is None
        if self._assembly is not None:
            self._check_restored(self._restored)

    # ── what was found and decided ───────────────────────────────────────────────────────────────────

    @property
    def seed(self) -> int:
        """The seed of splits, orders and transforms."""
        if self._seed_of_checkpoint is not None:
            return self._seed_of_checkpoint
        if self._seed is None:
            self._seed = _seed_of_environment()
        return self._seed

    @property
    def train_dataset(self) -> SampleDataset | None:
        """The training samples; None without a training split."""
        return self._assembled.datasets.get("train")

    @property
    def val_dataset(self) -> SampleDataset | None:
        """The validation samples; None without a validation split."""
        return self._assembled.datasets.get("val")

    @property
    def test_dataset(self) -> SampleDataset | None:
        """The test samples; None without a test split."""
        return self._assembled.datasets.get("test")

    @property
    def predict_dataset(self) -> SampleDataset | None:
        """The samples of ``files.predict``, else of the test split; None without either."""
        return self._assembled.datasets.get("predict")

    @property
    def sample_spec(self) -> dict[str, FieldSpec]:
        """Key → shape, type and classes of what a model gets, for models that are built from the data."""
        return next(iter(self._assembled.datasets.values())).sample_spec()

    @property
    def splits(self) -> dict[str, list[str]]:
        """Split → paths of its files, in order."""
        return self._assembled.files()

    def locate(self, ids: npt.ArrayLike | torch.Tensor) -> list[SampleLocation]:
        """File, series and row of samples.

        Args:
            ids: numbers over the whole index as in ``batch["sample_id"]``, ``(N,)``, or one of them.

        Raises:
            TypeError: masks, floats, or anything else that is no list of numbers.
            IndexError: an id outside of the index.
        """
        index = self._assembled.survey.index
        where = index.locate(to_numbers(ids, "ids", allow_scalar=True))
        rows = zip(where.file.tolist(), where.series.tolist(), where.row.tolist(), strict=True)
        return [
            SampleLocation(index.path(file), index.series_name(series), row) for file, series, row in rows
        ]

    def summary(self) -> Summary:
        """Files, series, rows, samples and bytes of each split, and whether anything is shared; prints well."""
        found, keep_together = self._assembled, self._split.keep_together
        return summarise(
            found.survey,
            found.plan,
            found.new_files,
            keep_together=keep_together,
            on_missing=self._access.on_missing,
        )

    def save_split(self, path: str | os.PathLike[str]) -> None:
        """Write the split to a file that `Split(manifest=…)` reads."""
        found = self._assembled.survey
        save_manifest(self._assembled.plan, found.index, os.fspath(path), found.catalog.skipped)

    # ── copies ───────────────────────────────────────────────────────────────────────────────────────

    def __copy__(self) -> H5DataModule:
        """A module of its own that calls the same transforms; see `__getstate__`."""
        transforms = (*self._stages.transform.values(), *self._stages.batch_transform.values())
        return copy.deepcopy(self, {id(one): one for one in transforms})

    def __getstate__(self) -> dict[str, Any]:
        """What a copy and a pickle take along: no Trainer, and nothing that is at work.

        The index, the catalog and the split are shared by copies, since they never change; a reader is copied without
        its open files and caches.
        """
        return {**self.__dict__, "trainer": None, "_loaders": ProcessLocalSet()}

    # ── delegation ───────────────────────────────────────────────────────────────────────────────────

    @property
    def _assembled(self) -> PreparedData:
        if self._assembly is None:
            raise NotSetUpError(
                "the data are not set up: call dm.prepare_data() and dm.setup(), or let a Trainer do it"
            )
        return self._assembly

    def _make_survey(self) -> DataSurvey:
        return survey(
            self._files,
            self._fields,
            self._samples,
            access=self._access,
            dtype=self._dtype,
            series=self._series,
            keep_together=self._split.keep_together,
            index_dir=self._index_dir,
            processes=self._loading.num_workers or None,
        )

    def _assemble(self, found: DataSurvey) -> PreparedData:
        return assemble(
            found, self._split, reader=self._reader, access=self._access, stages=self._stages, seed=self.seed
        )

    @property
    def _is_training(self) -> bool:
        return self.trainer is not None and bool(self.trainer.training)

    def _decide(self) -> tuple[DataSurvey, int]:
        return self._survey or self._make_survey(), self.seed

    def _agreement(self) -> dict[str, Any]:
        """What must be the same on all ranks."""
        options = {"batch_size": self.batch_size, "tail": self._tail, "drop_last": self._drop_last}
        return {**options, "shuffle": to_plain(self._shuffle), "split": self._assembled.plan.fingerprint}

    def _weigh(self) -> None:
        """Read on rank 0 how likely each training sample is to be drawn, if they are drawn."""
        dataset = self.train_dataset
        if dataset and self._shuffle.drawn_by is not None:
            self._weights = from_first_rank(self.trainer, lambda: read_weights(dataset, self._shuffle))

    def _training_order(self) -> Order:
        if self._order is None:
            dataset, weights = self.train_dataset, self._weights
            if weights is None and dataset is not None:
                # Set up for another stage, there are none yet, and other ranks need not be here.
                weights = read_weights(dataset, self._shuffle)
            self._order = self._assembled.training_order(self._shuffle, weights)
        return self._order

    def _record(self) -> dict[str, Any]:
        """What the samples of training and their order depend on."""
        return {
            "seed": self.seed,
            "samples": to_plain(self._samples),
            "shuffle": to_plain(self._shuffle),
            "order": fingerprint(self._training_order()) if self.train_dataset else "",
            "split": to_plain_split(self._assembled.plan, self._assembled.survey.index),
        }

    def _begin_fit(self) -> None:
        """A Trainer begins a fit; what it resumes, if anything, is loaded later."""
        self._progress.begin_fit()
        if self._restored is not None:
            self._restored.pop("position", None)
        if self._seed_of_checkpoint is not None:
            self._seed_of_checkpoint = None
            self._assemble_again()

    def _assemble_again(self) -> None:
        """Split the same files with the seed as it is now."""
        self._assembly, self._order = self._assemble(self._assembled.survey), None
        if self._weights is not None:
            self._weigh()

    def _check_restored(self, state: Mapping[str, Any]) -> None:
        """Hold the data against those of the checkpoint, after taking over its seed; go on at its position."""
        self._restored = None
        if self.hparams["seed"] is None and state["seed"] != self.seed:
            if self._owns_seed:
                self._seed = int(state["seed"])
            else:
                self._seed_of_checkpoint = int(state["seed"])
            self._assemble_again()
        goes_on = "position" in state and (self.trainer is None or self._is_training)
        differences = explain_difference(state if goes_on else {"split": state["split"]}, self._record())
        check_same_data(differences, is_training=goes_on, on_other_data=self._on_other_data)
        if goes_on:
            position = Position.of_plain(state["position"])
            self._progress.resume(position.restarted() if differences else position)

    def _loader(self, dataset: SampleDataset, sampler: ShardedSampler) -> H5DataLoader:
        lacking = self._assembled.survey.fields.spec().keys() - dataset.field_spec.keys()
        if dataset.stage == "train" and self._eval_tail == "repeat":
            lacking |= {IS_REPEAT}  # which samples are repeated is told in evaluation alone
        options = self._loading.without(lacking)
        loader = make_loader(dataset, sampler, batch_size=self.batch_size, options=options)
        self._loaders.add(loader)
        return loader

    def _close(self) -> None:
        for loader in self._loaders:
            loader.close()
        self._reader.close()

    def _evaluation_loader(
        self, dataset: SampleDataset | None, given: Share | None
    ) -> DataLoader[Any] | list[Any]:
        if dataset is None:
            return []
        shards_of = partial(
            EvaluationShards,
            len(dataset),
            batch_size=self.batch_size,
            tail=self._eval_tail,
            allow_empty=self.allow_zero_length_dataloader_with_multiple_devices,
        )
        finder = ShareFinder(given, self._attached)
        if (known := finder.known()) is not None:
            shards_of(known.world_size)
        tell = partial(self._notices.of_evaluation, dataset.stage, finder)
        division = Division(PathOrder(len(dataset)), shards_of, finder, tell)
        return self._loader(dataset, ShardedSampler(dataset, EvaluationEpochs(division)))


class _TrainerOf:
    """The Trainer that a DataModule is attached to, for loaders that outlive it; a copy knows none at first."""

    def __init__(self) -> None:
        self._module: weakref.ref[H5DataModule] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def follow(self, module: H5DataModule) -> None:
        """Look at this DataModule from now on."""
        self._module = weakref.ref(module)

    def __call__(self) -> Any:
        module = self._module() if self._module is not None else None
        return None if module is None else module.trainer


def _seed_of_environment() -> int:
    """The seed that `seed_everything` left for all processes of the job, else 0."""
    found = os.environ.get("PL_GLOBAL_SEED", "0")
    if not (found.isascii() and found.isdigit()):
        raise OptionError(
            f"the environment variable PL_GLOBAL_SEED must be an integer of at least 0, found {found!r}: unset it, set "
            "it with seed_everything(), or give seed="
        )
    check_int("PL_GLOBAL_SEED", int(found), at_least=0)
    return int(found)
