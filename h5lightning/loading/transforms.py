"""The user's transforms: chosen by stage, called with ``info`` if they take it, seeded by sample.

A transform that draws random numbers takes them from ``info.generator``: seeded by (seed, epoch, sample), it
gives the same numbers for any number of workers, threads and ranks. The global random state is not touched.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from h5lightning.core.permutation import KeyDeriver, derive_key
from h5lightning.errors import OptionError
from h5lightning.options.checks import did_you_mean
from h5lightning.options.samples import STAGES
from h5lightning.storage.files.lent_file import FileLender

if TYPE_CHECKING:
    import h5py

__all__ = ["STAGES", "BatchInfo", "SampleInfo", "Transform", "TransformOption", "Transforms"]

Transform: TypeAlias = Callable[..., Any]
TransformOption: TypeAlias = (
    Transform | Sequence[Transform] | Mapping[str, Transform | Sequence[Transform]] | None
)


@dataclass(frozen=True, slots=True)
class SampleInfo:
    """Where a sample comes from.

    Args:
        id: number of the sample in the whole index.
        path: the file.
        series: the name of its series, or its number in the file; empty if each file is one series.
        row: first row of the sample in its series; the drawn one, with ``jitter``.
        stage: ``train``, ``val``, ``test`` or ``predict``.
        epoch: the epoch, from 0.
        seed: the seed of the run.
        others: where its window begins along the axes beside that of the rows; empty for samples along one axis.
        lender: opens the file; None outside of a call.
    """

    id: int
    path: str
    series: str
    row: int
    stage: str
    epoch: int
    seed: int
    others: tuple[int, ...] = ()
    lender: FileLender | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def start(self) -> tuple[int, ...]:
        """The first entry of its window along each axis, the row first."""
        return (self.row, *self.others)

    def file(self) -> h5py.File:
        """The file of the sample, open for reading until the call of the transform ends.

        It stays open from call to call, within ``access.max_open_files``, and is checked for changes. Each call that
        asks twice gets the same object.

        Raises:
            ClosedFileError: the call has ended; also raised by the file and its datasets.
            BadFileError: HDF5 cannot open it.
            FileChangedError: it changed since it was scanned; also raised when the call ends.
        """
        return (self.lender or FileLender(None)).file(self.path)

    @property
    def generator(self) -> torch.Generator:
        """A generator seeded by (seed, epoch, sample): keep it, each access makes a new one."""
        return _generator(_sample_keys(self.seed, self.epoch)(self.id))

    @classmethod
    def of_samples(
        cls,
        ids: Iterable[int],
        paths: Iterable[str],
        series: Iterable[str],
        rows: Iterable[int],
        others: Iterable[tuple[int, ...]] | None = None,
        *,
        stage: str,
        epoch: int,
        seed: int,
        lender: FileLender | None = None,
    ) -> Iterator[SampleInfo]:
        """The same as one call for each sample, in a third of the time."""
        set_id, set_path, set_series, set_row, set_stage, set_epoch, set_seed, set_others, set_lender = (
            _SETTERS
        )
        along = repeat(()) if others is None else others
        for number, path, name, row, other in zip(ids, paths, series, rows, along):  # noqa: B905 - one may have no end
            info = object.__new__(cls)
            set_id(info, number)
            set_path(info, path)
            set_series(info, name)
            set_row(info, row)
            set_stage(info, stage)
            set_epoch(info, epoch)
            set_seed(info, seed)
            set_others(info, other)
            set_lender(info, lender)
            yield info


# Unlike those of `object`, they look up no name.
_SETTERS: list[Callable[[SampleInfo, Any], None]] = [
    getattr(SampleInfo, field.name).__set__ for field in dataclasses.fields(SampleInfo)
]


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """Which samples a batch consists of.

    Args:
        ids: numbers of the samples in the whole index.
        stage: ``train``, ``val``, ``test`` or ``predict``.
        epoch: the epoch, from 0.
        seed: the seed of the run.
        places: where each sample comes from, made when it is asked for: ``info.places[0].file()`` opens a file.
    """

    ids: tuple[int, ...]
    stage: str
    epoch: int
    seed: int
    places: Sequence[SampleInfo] = dataclasses.field(default=(), repr=False, compare=False)

    @property
    def generator(self) -> torch.Generator:
        """A generator seeded by (seed, epoch, samples): keep it, each access makes a new one."""
        return _generator(derive_key("batch transform", self.seed, self.epoch, *self.ids))


@dataclass(frozen=True, slots=True)
class Transforms:
    """The transforms of one stage, applied one after the other.

    Args:
        steps: each transform, and whether it takes ``info`` as its second argument.
    """

    steps: tuple[tuple[Transform, bool], ...] = ()

    @classmethod
    def of(cls, option: TransformOption, stage: str, name: str = "transform") -> Transforms:
        """The transforms of a stage, from what the user gave.

        Raises:
            OptionError: an unknown stage, or something that cannot be called.
        """
        if isinstance(option, Mapping):
            for key in option:
                if key not in STAGES:
                    raise OptionError(f"{name} has no stage {key!r}{did_you_mean(key, STAGES)}")
        # Any: a configuration may hold text where a transform should be.
        chosen: Any = option.get(stage) if isinstance(option, Mapping) else option
        if chosen is None:
            return cls()
        listed = list(chosen) if isinstance(chosen, Sequence) and not isinstance(chosen, str) else [chosen]
        for transform in listed:
            if not callable(transform):
                raise OptionError(f"{name} must be callable, found {transform!r}")
        return cls(tuple((transform, _takes_info(transform)) for transform in listed))

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def takes_info(self) -> bool:
        """Whether a transform takes ``info``."""
        return any(takes_info for _, takes_info in self.steps)

    def __call__(self, data: Any, info: SampleInfo | BatchInfo | None = None) -> Any:
        """Apply all transforms to a sample or a batch; ``info`` may be left out if none takes it.

        Raises:
            RuntimeError: a transform raised `StopIteration`, which would end the epoch silently.
            OptionError: a transform returned nothing.
        """
        try:
            for transform, takes_info in self.steps:
                data = transform(data, info) if takes_info else transform(data)
                if data is None:
                    what = "batch" if isinstance(info, BatchInfo) else "sample"
                    raise OptionError(f"the transform {transform!r} returned None, expected the {what}")
        except StopIteration as error:
            raise RuntimeError(
                "a transform raised StopIteration: catch it there, or raise another error"
            ) from error
        return data


def _takes_info(transform: Transform) -> bool:
    # The signature of a module is that of its forward: __call__ accepts anything.
    called = transform.forward if isinstance(transform, torch.nn.Module) else transform
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except (TypeError, ValueError):  # some builtins have no signature
        return False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 and (
        positional[1].default is inspect.Parameter.empty or positional[1].name == "info"
    )


@lru_cache(maxsize=16)
def _sample_keys(seed: int, epoch: int) -> KeyDeriver:
    return KeyDeriver("sample transform", seed, epoch)


def _generator(key: int) -> torch.Generator:
    generator = torch.Generator()
    generator.manual_seed(key >> 1)
    return generator
