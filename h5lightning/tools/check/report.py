"""All checks, one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from h5lightning.core.progress import Advance, progress_bar
from h5lightning.datamodule.setup import StageOptions, assemble
from h5lightning.errors import (
    BadFileError,
    FieldError,
    H5LightningError,
    MissingDataError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.loading.sample_weights import read_weights
from h5lightning.loading.transforms import STAGES, Transforms
from h5lightning.options import Access, Field, Rows, Samples, Shuffle, Split, Windows
from h5lightning.options.coerce import check_series
from h5lightning.planning.fields import check_dtype
from h5lightning.planning.nonconforming_files import NEVER_WRITTEN
from h5lightning.storage.discovery import discover
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import choose_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.storage.survey import DataSurvey, survey
from h5lightning.tools.check.border_check import prove_borders
from h5lightning.tools.check.change_check import prove_unchanged
from h5lightning.tools.check.column_check import prove_columns
from h5lightning.tools.check.epoch_check import prove_evaluation, prove_orders, prove_training
from h5lightning.tools.check.loader_check import prove_loaders
from h5lightning.tools.check.reader_check import prove_finite, prove_readers
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.resume_check import prove_resumption
from h5lightning.tools.check.run import CheckRun
from h5lightning.tools.check.settings import ProofSettings
from h5lightning.tools.check.split_check import prove_catalog, prove_splits
from h5lightning.tools.check.unwritten_rows import unwritten_since
from h5lightning.tools.check.value_check import prove_values
from h5lightning.tools.check.written_end_check import prove_written_ends
from h5lightning.tools.overview.dataset_table import entries_of
from h5lightning.tools.overview.guess_fields import guess
from h5lightning.tools.overview.scan import scan_readable, shared_attrs

__all__ = ["CheckReport", "prove_files"]

_Check = tuple[str, int, Callable[[Advance], CheckResult | tuple[CheckResult, ...]]]


@dataclasses.dataclass(frozen=True, slots=True)
class CheckReport:
    """What was checked, and what was found.

    Args:
        patterns: what was asked for.
        root: the deepest directory that they have in common; empty if the files could not be used.
        fields: keys of a batch.
        samples: split → samples.
        outcomes: the checks, in the order in which they were made.
    """

    patterns: tuple[str, ...]
    root: str
    fields: tuple[str, ...]
    samples: Mapping[str, int]
    outcomes: tuple[CheckResult, ...]

    @property
    def has_passed(self) -> bool:
        """Whether all checks passed."""
        return all(outcome.has_passed for outcome in self.outcomes)

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        outcomes = [
            {"passed": outcome.has_passed, **dataclasses.asdict(outcome)} for outcome in self.outcomes
        ]
        return {"passed": self.has_passed, **dataclasses.asdict(self), "outcomes": outcomes}


def prove_files(
    patterns: Sequence[str],
    fields: Mapping[str, Field] | None = None,
    samples: Samples | None = None,
    *,
    split: Split | None = None,
    shuffle: Shuffle | None = None,
    access: Access | None = None,
    dtype: str | None = None,
    series: str | None = None,
    seed: int = 0,
    settings: ProofSettings | None = None,
    index_dir: str | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> CheckReport:
    """Check splits, orders, shares of ranks, loaders and readers on some files.

    Args:
        patterns: globs or paths.
        fields: sample key → `Field`; None for those that `h5lightning inspect` suggests.
        samples: how samples lie in a series; None for rows.
        split: how the data are divided.
        shuffle: the order of training.
        access: how the files are opened.
        dtype: the type that floating fields are delivered in.
        series: ``file`` for each file as one series, whatever divides its rows.
        seed: the seed of splits and orders.
        settings: over what the checks go.
        index_dir: where the index is kept; None for the user's cache directory.
        processes: scanning processes; None for one on each core.
        progress: show bars where somebody watches.

    Raises:
        H5LightningError: patterns that match nothing, or options, fields or a split that cannot be.
    """
    check_dtype(dtype)
    check_series(series)
    access, split = access or Access(), split or Split()
    if fields is None:
        fields, samples = _guessed(patterns, samples, processes=processes, progress=progress)
    scan: dict[str, Any] = {
        "dtype": dtype,
        "series": series,
        "keep_together": split.keep_together,
        "index_dir": index_dir,
        "processes": processes,
    }
    try:
        # A bad file must not hide the others.
        tolerant = dataclasses.replace(access, on_bad_file="skip", max_bad_fraction=1)
        found = survey(list(patterns), fields, samples or Rows(), access=tolerant, **scan)
    except (BadFileError, MissingDataError, SchemaError, UnsupportedFieldError) as error:
        told = f"{type(error).__name__}: {error}{_border(error, patterns, fields or {})}"
        misfit = CheckResult(_broken_promise(error), "all files", (told,))
        return CheckReport(tuple(patterns), "", tuple(fields or ()), {}, (misfit,))
    stored = frozenset(key for key, field in (fields or {}).items() if field.decode == "stored")
    run = _Run(split, shuffle or Shuffle(), access, seed, stored)
    return _proof(tuple(patterns), found, run, settings or ProofSettings(), progress=progress)


def _broken_promise(error: H5LightningError) -> str:
    """What would be true without the error."""
    if isinstance(error, MissingDataError):
        return "no value is missing"
    return (
        "numbers are what they stand for"
        if isinstance(error, UnsupportedFieldError)
        else "files fit together"
    )


def _border(error: H5LightningError, patterns: Sequence[str], fields: Mapping[str, Field]) -> str:
    """Where the first file that was not written to its end stops, for an error that speaks of such."""
    if NEVER_WRITTEN not in str(error):
        return ""
    found, paths = discover(list(patterns)), dict.fromkeys(field.path for field in fields.values())
    told = (
        (name, unwritten_since(found.path(file), filter(None, paths)))
        for file, name in enumerate(found.names)
    )
    return next((f". In {name}, {where}" for name, where in told if where), "")


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """Options of the run that is proven."""

    split: Split
    shuffle: Shuffle
    access: Access
    seed: int
    stored: frozenset[str]


def _guessed(
    patterns: Sequence[str], samples: Samples | None, *, processes: int | None, progress: bool
) -> tuple[Mapping[str, Field] | None, Samples]:
    """What `h5lightning inspect` would suggest."""
    catalog = scan_readable(discover(list(patterns)), processes=processes, progress=progress)
    if not len(catalog):
        raise FieldError("none of the files can be read: see 'h5lightning inspect'")
    found = guess(entries_of(catalog), len(catalog), shared_attrs(catalog))
    return found.fields, samples or found.samples


def _proof(
    patterns: tuple[str, ...], found: DataSurvey, run: _Run, settings: ProofSettings, *, progress: bool
) -> CheckReport:
    with HandlePool(run.access, scanned_files=found.scanned_files) as pool:
        case, unread = _case(found, run, choose_reader("auto", pool), settings)
        outcomes = (*unread, *_outcomes(case, run.split.keep_together, progress=progress))
    sizes = {stage: len(dataset) for stage, dataset in case.assembly.datasets.items()}
    return CheckReport(patterns, found.index.root, tuple(found.fields.spec()), sizes, outcomes)


def _case(
    found: DataSurvey, run: _Run, reader: Reader, settings: ProofSettings
) -> tuple[CheckRun, tuple[CheckResult, ...]]:
    """The run, and what is to be said if its weights cannot be read: then it has no order."""
    none = {stage: Transforms.of(None, stage) for stage in STAGES}
    stages = StageOptions(transform=none, batch_transform=none, provenance=True)
    assembly = assemble(found, run.split, reader=reader, access=run.access, stages=stages, seed=run.seed)
    weights, order = None, None
    unread: tuple[CheckResult, ...] = ()
    try:
        if "train" in assembly.datasets:
            weights = read_weights(assembly.datasets["train"], run.shuffle)
            order = assembly.training_order(run.shuffle, weights)
    except BadFileError as error:
        unread = (CheckResult("weights can be read", f"field {run.shuffle.drawn_by!r}", (str(error),)),)
    return CheckRun(assembly, order, weights, settings, reader, run.access, run.stored), unread


def _outcomes(case: CheckRun, keep_together: str | None, *, progress: bool) -> tuple[CheckResult, ...]:
    found = [prove_catalog(case), prove_splits(case, keep_together), prove_columns(case)]
    for description, total, check in _checks(case):
        with progress_bar(description, total, is_wanted=progress) as advance:
            made = check(advance)
            found += [made] if isinstance(made, CheckResult) else made
    # Looked at last, told beside the other checks of files.
    found.insert(2, prove_unchanged(case))
    return tuple(found)


def _checks(case: CheckRun) -> Iterator[_Check]:
    """What takes long, each with the number of its steps."""
    settings, files = case.settings, len(case.index.names)
    if case.order is not None:
        worlds = settings.ranks_for(case.order.size)
        yield "orders", settings.epochs, partial(prove_orders, case)
        yield "shares of ranks", len(worlds) * settings.epochs, partial(prove_training, case)
        yield "resumption", settings.resumptions, partial(prove_resumption, case)
        yield "loaders", len(case.places()) * len(settings.workers), partial(prove_loaders, case)
    sizes = [len(dataset) for stage, dataset in case.assembly.datasets.items() if stage != "train"]
    if sizes:
        yield (
            "evaluation",
            sum(len(settings.ranks_for(size)) for size in sizes),
            partial(prove_evaluation, case),
        )
    if isinstance(case.index.samples, Windows):
        yield "windows", files, partial(prove_borders, case, case.index.samples)
    yield "what numbers mean", files, partial(prove_values, case)
    if case.access.on_missing == "raise":
        yield "ends of files", files, partial(prove_written_ends, case)
    yield "both readers", files, partial(prove_readers, case)
    if settings.finite:
        yield "all values", files, partial(prove_finite, case)
