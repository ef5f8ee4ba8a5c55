"""`H5DataModule`: Lightning's hooks, each of which delegates to a module beside this one."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from h5lightning.core.sample_numbers import to_number, to_numbers
from h5lightning.datamodule.distributed import AttachedTrainer, given_share
from h5lightning.datamodule.field_values import FieldValues
from h5lightning.datamodule.lifecycle import DataLifecycle
from h5lightning.datamodule.loaders import Loaders
from h5lightning.datamodule.options import DataModuleOptions, plain_batch_size
from h5lightning.datamodule.sample_location import SampleLocation
from h5lightning.datamodule.setup import PreparedData
from h5lightning.datamodule.summary import Summary, summarise
from h5lightning.loading.sample_dataset import SampleDataset
from h5lightning.options import Access, Shuffle, Split, Table
from h5lightning.options.checks import check_int
from h5lightning.options.coerce import SeriesOption
from h5lightning.options.samples import SamplesOption
from h5lightning.planning.fields import FieldSpec
from h5lightning.planning.splitting.manifest import save_manifest

__all__ = ["H5DataModule", "SampleLocation"]

Loader: TypeAlias = DataLoader[Any] | list[Any]


class H5DataModule(FieldValues, LightningDataModule):
    """Trains from HDF5 files: pattern in, batches out, safe with any number of ranks and workers.

    Batches are dicts of tensors ``{key: (N, …)}`` in native byte order. Everything works without a Trainer
    too: ``dm.prepare_data(); dm.setup(); next(iter(dm.train_dataloader()))``.

    Args:
        files: glob, list of globs, or mapping of ``train``, ``val``, ``test``, ``predict`` to either. ``@list.txt`` for
            the paths and globs in a text file, one on each line, relative to its directory.
        fields: sample key → path, ``attr:NAME`` or `Field`; a list of paths; None for all eligible datasets.
        samples: `Rows`, `Windows`, `Whole` or a mapping with ``kind``; None for rows. Or a mapping of ``train``,
            ``val``, ``test`` and ``predict`` to those: a stage that it lacks has the samples of the stage before.
        split: how data become train, val and test; None for `Split` with its defaults or, with a mapping of files, for
            the named splits alone.
        batch_size: samples of one rank in one step.
        num_workers: worker processes; 0 reads in the training process, by threads that prefetch batches.
        threads: threads that read and decode in each loading process; 0 reads each batch when it is asked for,
            None chooses.
        shuffle: a `Shuffle`, its mode, or a mapping; for training only. It can also draw samples by ``weights`` or
            ``balance``.
        reader: ``auto``, ``direct`` or ``h5py``; all return the same bytes.
        dtype: the type in which floating fields are delivered, such as ``float32``; None as stored.
        transform: callable, list of them, or mapping of stage → those; called with each sample, and with a
            `SampleInfo` if it takes two arguments.
        batch_transform: the same for batches; called with each batch, and with a `BatchInfo` if it takes two arguments.
        access: how files are opened and trusted.
        provenance: add ``sample_id``, int64 ``(N,)``, to each batch; see `locate`.
        as_tuple: deliver batches as a tuple of these keys, less the fields that ``files.predict`` lack.
        tail: ``drop`` or ``repeat`` the samples, fewer than ranks, that remain for a last training step.
        eval_tail: how an evaluation on several ranks ends, which takes equally many steps on each: ``uneven``, each
            sample once, with the last two steps one sample shorter on some ranks; or ``repeat``, steps of equal size by
            repeating samples, which ``batch["is_repeat"]``, bool ``(N,)``, marks.
        drop_last: drop the whole last training step unless it is full.
        pin_memory: copy batches to page-locked memory.
        persistent_workers: keep worker processes alive from epoch to epoch.
        prefetch_factor: batches that each worker makes ahead.
        multiprocessing_context: how workers are started: ``fork``, ``forkserver`` or ``spawn``.
        timeout_s: seconds to wait for a worker's batch; 0 waits indefinitely.
        seed: seeds splits, orders and transforms; None for that of `seed_everything`, else 0.
        index_dir: where the index is kept; None for the user's cache directory.
        on_other_data: what happens when training resumes a checkpoint of other files, or of another split, seed,
            ``shuffle`` or ``samples``: ``raise``, or ``restart_epoch``, which begins the interrupted epoch again.
        series: what a series is, whose border no window crosses: `Series`, or a mapping with its keys. ``file``: each
            file, even if a table beside the data divides it into episodes. None: each file too, but `Windows` are an
            error where there is such a table. A ``*`` in the paths of the fields makes each match a series.
        table: a `Table` beside the files, or a mapping with its keys.
        where: key of a field, or path → which rows count: ``"finite"``, ``(low, below)``, a list of values, or True for
            a mask. A sample counts only if all rows that it reads do.
        normalize: key of a field → ``"standard"``, ``"minmax"``, ``"quantile"`` or `Normalize`: its numbers are
            normalised by statistics of the rows of train; see `statistics`.

    Raises:
        OptionError: an option has a value that it does not accept.
    """

    def __init__(
        self,
        files: str | list[str] | dict[str, Any],
        fields: dict[str, Any] | list[str] | None = None,
        samples: SamplesOption | dict[str, Any] | None = None,
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
        series: SeriesOption | dict[str, Any] = None,
        table: Table | dict[str, Any] | None = None,
        where: dict[str, Any] | None = None,
        normalize: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        options = DataModuleOptions.of(locals())
        # save_hyperparameters reads these local variables. A checkpoint may hold plain types only.
        (
            files, fields, samples, split, batch_size, num_workers, threads, shuffle, reader, dtype, access, provenance,
            as_tuple, tail, eval_tail, drop_last, pin_memory, persistent_workers, prefetch_factor,
            multiprocessing_context, timeout_s, seed, index_dir, on_other_data, series, table, where, normalize,
        ) = options.hyperparameters(fields)  # fmt: skip
        self.save_hyperparameters(ignore=["transform", "batch_transform"], logger=False)
        self._options = options
        self.batch_size = options.batch_size
        self._attached = AttachedTrainer()
        self._attached.follow(self)
        self._lifecycle = DataLifecycle(options, self._attached)
        self._loaders = Loaders(options, self._attached, self._lifecycle.tracker)

    @property
    def batch_size(self) -> int:
        """Samples of one rank in one step. Each ``*_dataloader()`` reads it again: the Tuner may change it."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, batch_size: int) -> None:
        self._batch_size = plain_batch_size(batch_size)

    def prepare_data(self) -> None:
        """Discover and scan the files once, and keep the index for the next run."""
        self._lifecycle.scan()

    def setup(self, stage: str | None = None) -> None:
        """Split the files, the same way on every rank, from what rank 0 scanned."""
        self._lifecycle.setup(stage, batch_size=self.batch_size)

    def teardown(self, stage: str | None = None) -> None:  # noqa: ARG002 - all stages share the files
        """Close this process's files."""
        self._close()

    def on_exception(self, exception: BaseException) -> None:  # noqa: ARG002 - whatever it is
        """Close this process's files: Lightning calls no teardown after an exception."""
        self._close()

    def train_dataloader(self, rank: int | None = None, world_size: int | None = None) -> Loader:
        """Batches of the training split, shuffled, equally many on each rank; ``[]`` without the split.

        Without a Trainer, each pass over any training loader of this DataModule is the next epoch.

        Args:
            rank: the part of the samples that the loader delivers; give it together with ``world_size``. Without both,
                the rank of the Trainer counts, else that of ``torch.distributed`` when an epoch begins, else the loader
                delivers all samples.
            world_size: number of parts.

        Raises:
            ShardingError: there are too few samples, or nothing says which of several ranks this is.
        """
        self._lifecycle.complete()
        if self.train_dataset is None:
            return []
        given = given_share(rank, world_size)
        order, remarks = self._lifecycle.training_order, self._lifecycle.decoding_remarks
        return self._loaders.training(self._data, order, self.batch_size, given, remarks=remarks)

    def val_dataloader(self, rank: int | None = None, world_size: int | None = None) -> Loader:
        """Batches of the validation split, each sample once; ``[]`` without the split.

        Its arguments are those of `train_dataloader`.
        """
        return self._evaluation_loader("val", rank, world_size)

    def test_dataloader(self, rank: int | None = None, world_size: int | None = None) -> Loader:
        """Batches of the test split, each sample once; ``[]`` without the split.

        Its arguments are those of `train_dataloader`.
        """
        return self._evaluation_loader("test", rank, world_size)

    def predict_dataloader(self, rank: int | None = None, world_size: int | None = None) -> Loader:
        """Batches of ``files.predict``, else of the test split, each sample once; ``[]`` without either.

        Its arguments are those of `train_dataloader`.
        """
        return self._evaluation_loader("predict", rank, world_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the next training epoch of all loaders; under a Trainer, the Trainer's number counts.

        Args:
            epoch: from 0.
        """
        number = to_number(epoch, "epoch")
        check_int("epoch", number, at_least=0)
        self._lifecycle.tracker.set_next(number)

    def state_dict(self) -> dict[str, Any]:
        """Position, seed, split, order, statistics and categories: a run that loads them continues here.

        Without a Trainer, the position is that of the only training iterator that delivers batches.

        Raises:
            ResumeError: several iterators deliver batches: save the ``state_dict()`` of a loader instead.
        """
        return self._lifecycle.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Use the seed of the checkpoint, unless one was given, and its position, if training continues.

        Its statistics and categories count, whatever those of these files are. Without a Trainer, the next training
        epoch begins at the position.

        Raises:
            SplitMismatchError: training would continue with another split.
            ResumeError: training would continue with samples in another order, or the checkpoint was trained with
                numbers that were normalised in another way.
        """
        self._lifecycle.load_state(state_dict)

    @property
    def seed(self) -> int:
        """The seed of splits, orders and transforms."""
        return self._lifecycle.seed

    @property
    def train_dataset(self) -> SampleDataset | None:
        """The training samples; None without a training split."""
        return self._data.datasets.get("train")

    @property
    def val_dataset(self) -> SampleDataset | None:
        """The validation samples; None without a validation split."""
        return self._data.datasets.get("val")

    @property
    def test_dataset(self) -> SampleDataset | None:
        """The test samples; None without a test split."""
        return self._data.datasets.get("test")

    @property
    def predict_dataset(self) -> SampleDataset | None:
        """The samples of ``files.predict``, else of the test split; None without either."""
        return self._data.datasets.get("predict")

    @property
    def sample_spec(self) -> dict[str, FieldSpec]:
        """Key → shape, type and classes of what a model gets, to build a model from the data; of the first stage."""
        return next(iter(self._data.datasets.values())).sample_spec()

    @property
    def splits(self) -> dict[str, list[str]]:
        """Split → paths of its files, in order."""
        return self._data.files()

    def locate(self, ids: npt.ArrayLike | torch.Tensor) -> list[SampleLocation]:
        """File, series and row of samples.

        Args:
            ids: numbers over the whole index as in ``batch["sample_id"]``, ``(N,)``, or one of them.

        Raises:
            TypeError: masks, floats, or anything else that is not whole numbers.
            IndexError: an id outside the index.
        """
        index, sections = self._data.survey.index, self._data.survey.sections
        numbers = to_numbers(ids, "ids", allow_scalar=True)
        where = sections.locate(numbers)
        found = zip(where.file.tolist(), where.series.tolist(), sections.starts(numbers), strict=True)
        return [
            SampleLocation.of(index.path(file), index.series_name(series), start)
            for file, series, start in found
        ]

    def summary(self) -> Summary:
        """Files, series, rows, samples and bytes of each split, and whether splits share any; print it."""
        data, options = self._data, self._options
        return summarise(
            data.survey,
            data.plan,
            data.new_files,
            new_series=data.new_series,
            keep_together=options.split.keep_together,
            on_missing=options.access.on_missing,
            remarks=self._lifecycle.remarks(),
        )

    def save_split(self, path: str | os.PathLike[str]) -> None:
        """Write the split to a file that `Split(manifest=…)` reads."""
        survey = self._data.survey
        save_manifest(self._data.plan, survey.index, os.fspath(path), survey.catalog.skipped)

    def __copy__(self) -> H5DataModule:
        """An independent module that calls the same transforms; see `__getstate__`."""
        transforms = (*self._options.transform.values(), *self._options.batch_transform.values())
        return copy.deepcopy(self, {id(chain): chain for chain in transforms})

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles contain: no Trainer, no running loader.

        Copies share the index, the catalog and the split, which never change. A reader is copied without its open files
        and caches.
        """
        return {**self.__dict__, "trainer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attached.follow(self)

    @property
    def _data(self) -> PreparedData:
        return self._lifecycle.data

    def _close(self) -> None:
        self._loaders.close()
        self._lifecycle.close()

    def _evaluation_loader(self, stage: str, rank: int | None, world_size: int | None) -> Loader:
        self._lifecycle.complete()
        data, given = self._data, given_share(rank, world_size)
        if stage not in data.datasets:
            return []
        allow_empty = self.allow_zero_length_dataloader_with_multiple_devices
        return self._loaders.evaluation(data, stage, self.batch_size, given, allow_empty=allow_empty)
