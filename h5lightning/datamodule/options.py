"""The options of `H5DataModule`: what a user may write becomes typed values, which are checked once.

Every Hydra application in the environment imports this module (`h5lightning.config` derives its schema from the class):
at the top it imports neither torch, Lightning, h5py nor NumPy.
"""

# ruff: noqa: RUF009 - what `_option` returns is a field of the dataclass
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from h5lightning.errors import OptionError
from h5lightning.options import Access, Field, Normalize, Shuffle, Split, Table
from h5lightning.options.checks import (
    MOST_IN_BATCH,
    check_bool,
    check_choice,
    check_int,
    check_seconds,
    check_text,
    to_plain,
)
from h5lightning.options.coerce import (
    SeriesOption,
    coerce,
    coerce_fields,
    coerce_normalize,
    coerce_samples,
    coerce_series,
    coerce_table,
    split_for,
)
from h5lightning.options.samples import STAGES, SamplesOption
from h5lightning.options.where import Where, coerce_where

__all__ = ["MOST_PROCESSES", "DataModuleOptions", "plain_batch_size"]

_CALLABLES = ("transform", "batch_transform")
# A typing error should not fill the machine with processes, or its memory with batches.
MOST_PROCESSES = 4096
_MOST_PREFETCHED = 1_000_000


def _option(default: Any, read: Callable[[Any], Any]) -> Any:
    """An option with the default that a user sees, and the function that turns what a user may write into the value."""
    return dataclasses.field(default=default, metadata={"read": read})


def _unchanged(value: Any) -> Any:
    return value


def _read_shuffle(value: object) -> Shuffle:
    return coerce(Shuffle, {"mode": value} if isinstance(value, str) else value, "shuffle")


def _read_transforms(value: Any, *, name: str) -> Mapping[str, Any]:
    from h5lightning.loading.transforms import Transforms

    return {stage: Transforms.of(value, stage, name) for stage in STAGES}


def plain_batch_size(value: object) -> int:
    """The batch size as an int.

    Raises:
        OptionError: it is no positive integer, or too large.
    """
    plain = to_plain(value)
    check_int("batch_size", plain, at_least=1, at_most=MOST_IN_BATCH)
    return int(plain)


@dataclasses.dataclass(frozen=True)
class DataModuleOptions:
    """The arguments of `H5DataModule`, where their meaning is described.

    The defaults are those that a user sees; an instance holds the values that they stand for, of the types below.

    Raises:
        OptionError: a value that an option does not accept.
    """

    files: Any
    fields: dict[str, Field] | None = _option(None, coerce_fields)
    samples: SamplesOption = _option(None, coerce_samples)
    split: Split = _option(None, _unchanged)  # depends on the files: see __post_init__
    batch_size: int = _option(32, plain_batch_size)
    num_workers: int = 0
    threads: int | None = None
    shuffle: Shuffle = _option("auto", _read_shuffle)
    reader: str = _option("auto", _unchanged)
    dtype: str | None = _option(None, _unchanged)
    transform: Mapping[str, Any] = _option(None, partial(_read_transforms, name="transform"))
    batch_transform: Mapping[str, Any] = _option(None, partial(_read_transforms, name="batch_transform"))
    access: Access = _option(None, lambda value: coerce(Access, value, "access"))
    provenance: bool = False
    as_tuple: list[str] | None = None
    tail: str = _option("drop", _unchanged)
    eval_tail: str = _option("uneven", _unchanged)
    drop_last: bool = False
    pin_memory: bool = False
    persistent_workers: bool = False
    prefetch_factor: int | None = None
    multiprocessing_context: str | None = _option(None, _unchanged)
    timeout_s: float = 0
    seed: int | None = None
    index_dir: str | None = None
    on_other_data: str = _option("raise", _unchanged)
    series: SeriesOption = _option(None, coerce_series)
    table: Table | None = _option(None, coerce_table)
    where: Where | None = _option(None, coerce_where)
    normalize: dict[str, Normalize] | None = _option(None, coerce_normalize)

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> DataModuleOptions:
        """Read the options among the arguments of a call."""
        return cls(**{option.name: arguments[option.name] for option in dataclasses.fields(cls)})

    def __post_init__(self) -> None:
        object.__setattr__(self, "split", split_for(self.files, self.split))
        for option in dataclasses.fields(self):
            read = option.metadata.get("read", to_plain)
            object.__setattr__(self, option.name, read(getattr(self, option.name)))
        self._check()

    def _check(self) -> None:
        from h5lightning.planning.fields import check_dtype

        self._check_loading()
        check_choice("reader", self.reader, ("auto", "direct", "h5py"))
        check_choice("tail", self.tail, ("drop", "repeat"))
        check_choice("eval_tail", self.eval_tail, ("uneven", "repeat"))
        check_choice("on_other_data", self.on_other_data, ("raise", "restart_epoch"))
        check_dtype(self.dtype)
        for name in ("provenance", "drop_last", "pin_memory", "persistent_workers"):
            check_bool(name, getattr(self, name))
        check_text("index_dir", self.index_dir)
        if self.seed is not None:
            check_int("seed", self.seed, at_least=0)

    def _check_loading(self) -> None:
        check_int("num_workers", self.num_workers, at_least=0, at_most=MOST_PROCESSES)
        if self.threads is not None:
            check_int("threads", self.threads, at_least=0, at_most=MOST_PROCESSES)
        if self.prefetch_factor is not None:
            check_int("prefetch_factor", self.prefetch_factor, at_least=1, at_most=_MOST_PREFETCHED)
        context = self.multiprocessing_context
        if context is not None:
            check_choice("multiprocessing_context", context, ("fork", "forkserver", "spawn"))
        check_seconds("timeout_s", self.timeout_s)
        keys: object = self.as_tuple
        is_list = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if keys is not None and not (keys and is_list):
            raise OptionError(f"as_tuple must list keys of the batch, such as ['x', 'y']; found {keys!r}")

    @property
    def for_workers(self) -> dict[str, Any]:
        """Arguments of torch's DataLoader about its worker processes."""
        return {
            "timeout": self.timeout_s,
            "persistent_workers": self.persistent_workers,
            "prefetch_factor": self.prefetch_factor,
            "multiprocessing_context": self.multiprocessing_context,
        }

    def hyperparameters(self, fields: object) -> list[Any]:
        """The values without the transforms, in order, in the plain types that a checkpoint may hold.

        Args:
            fields: as the user wrote them.
        """
        names = [option.name for option in dataclasses.fields(self) if option.name not in _CALLABLES]
        return [to_plain(fields if name == "fields" else getattr(self, name)) for name in names]
