"""Run all checks, one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from h5lightning.core.progress import Advance, progress_bar
from h5lightning.datamodule.setup import assemble
from h5lightning.errors import (
    BadFileError,
    FieldError,
    H5LightningError,
    MissingDataError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.loading.order_values import OrderValues, order_fields, read_order_values
from h5lightning.options import Access, Field, Rows, Shuffle, Split, Windows, single_fields
from h5lightning.options.coerce import SeriesOption, coerce_series
from h5lightning.options.samples import SamplesOption
from h5lightning.planning.fields import check_dtype
from h5lightning.planning.nonconforming_files import NEVER_WRITTEN
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.discovery import discover
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import Reader
from h5lightning.storage.survey import survey
from h5lightning.tools.check.border_check import check_borders
from h5lightning.tools.check.category_check import check_categories, has_categories
from h5lightning.tools.check.epoch_check import check_evaluation, check_orders, check_training
from h5lightning.tools.check.loader_check import check_loaders
from h5lightning.tools.check.reader_check import check_finite, check_readers
from h5lightning.tools.check.resume_check import check_resumption
from h5lightning.tools.check.run import CheckResult, CheckRun
from h5lightning.tools.check.scan_check import check_catalog, check_changes, check_columns, check_splits
from h5lightning.tools.check.settings import CheckSettings
from h5lightning.tools.check.unwritten_rows import unwritten_since
from h5lightning.tools.check.value_check import check_values
from h5lightning.tools.check.written_end_check import check_written_ends
from h5lightning.tools.overview.dataset_summary import summarize_datasets
from h5lightning.tools.overview.field_lookup import samples_for
from h5lightning.tools.overview.infer_fields import InferredFields, infer_fields
from h5lightning.tools.overview.scan import scan_readable, shared_attrs

__all__ = ["CheckReport", "check_files"]

_Check = tuple[str, int, Callable[[Advance], CheckResult | tuple[CheckResult, ...]]]


@dataclasses.dataclass(frozen=True, slots=True)
class CheckReport:
    """The results of all checks.

    Args:
        patterns: the patterns of the files.
        root: the deepest directory that they have in common; empty if the files could not be used.
        fields: keys of a batch.
        samples: split → number of samples.
        results: the results, in the order of the checks.
    """

    patterns: tuple[str, ...]
    root: str
    fields: tuple[str, ...]
    samples: Mapping[str, int]
    results: tuple[CheckResult, ...]

    @property
    def has_passed(self) -> bool:
        """Whether all checks passed."""
        return all(result.has_passed for result in self.results)

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        plain = dataclasses.asdict(self)
        del plain["results"]
        results = [{"passed": result.has_passed, **dataclasses.asdict(result)} for result in self.results]
        # Programs read this key.
        return {"passed": self.has_passed, **plain, "outcomes": results}


def check_files(
    patterns: Sequence[str],
    fields: Mapping[str, Field] | None = None,
    samples: SamplesOption | None = None,
    *,
    split: Split | None = None,
    shuffle: Shuffle | None = None,
    access: Access | None = None,
    dtype: str | None = None,
    series: SeriesOption | Mapping[str, Any] = None,
    seed: int = 0,
    settings: CheckSettings | None = None,
    index_dir: str | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> CheckReport:
    """Check splits, orders, the division among ranks, loaders and readers for some files.

    Args:
        patterns: globs or paths.
        fields: sample key → `Field`; None for those that `h5lightning inspect` suggests.
        samples: the layout of samples in a series, in all stages or in each; None for rows.
        split: the division of the data.
        shuffle: the order of training.
        access: how the files are opened.
        dtype: the type in which floating fields are delivered.
        series: what a series is; ``file`` to treat each file as one, whatever divides its rows.
        seed: the seed of splits and orders.
        settings: the extent of the checks.
        index_dir: the directory of the index; None for the user's cache directory.
        processes: scanning processes; None for one on each core.
        progress: show progress bars if stderr is a terminal.

    Raises:
        H5LightningError: patterns without files, or options, fields or a split that cannot be used.
    """
    check_dtype(dtype)
    series = coerce_series(series)
    options = _RunOptions(split or Split(), shuffle or Shuffle(), access or Access(), seed)
    if fields is None:
        suggestion = _suggested(patterns, processes=processes, progress=progress)
        fields, named = suggestion.fields, series
        series = suggestion.series if series is None else series
        samples = samples or (suggestion.samples if named is None else samples_for(None, series))
    scan = {"dtype": dtype, "series": series, "index_dir": index_dir, "processes": processes}
    try:
        scanned = _survey(patterns, fields, samples or Rows(), options, scan)
    except (BadFileError, MissingDataError, SchemaError, UnsupportedFieldError) as error:
        return _unusable(patterns, fields or {}, error)
    stored = frozenset(key for key, field in (fields or {}).items() if field.decode == "stored")
    return _check_scanned(patterns, scanned, options, settings or CheckSettings(), stored, progress=progress)


@dataclasses.dataclass(frozen=True, slots=True)
class _RunOptions:
    """Options of the run to check."""

    split: Split
    shuffle: Shuffle
    access: Access
    seed: int


def _suggested(patterns: Sequence[str], *, processes: int | None, progress: bool) -> InferredFields:
    """The fields, samples and series that `h5lightning inspect` would suggest."""
    catalog = scan_readable(discover(list(patterns)), processes=processes, progress=progress)
    if not len(catalog):
        raise FieldError("none of the files can be read: run 'h5lightning inspect' for the reasons")
    return infer_fields(summarize_datasets(catalog), len(catalog), shared_attrs(catalog))


def _survey(
    patterns: Sequence[str],
    fields: Mapping[str, Field] | None,
    samples: SamplesOption,
    options: _RunOptions,
    scan: Mapping[str, Any],
) -> DataSurvey:
    # A bad file must not hide the others.
    tolerant = dataclasses.replace(options.access, on_bad_file="skip", max_bad_fraction=1)
    kept, given = options.split.keep_together, options.split.given
    return survey(list(patterns), fields, samples, access=tolerant, keep_together=kept, given=given, **scan)


def _unusable(patterns: Sequence[str], fields: Mapping[str, Field], error: H5LightningError) -> CheckReport:
    """The report on files that cannot be used together."""
    reason = f"{type(error).__name__}: {error}{_first_unwritten(error, patterns, fields)}"
    failed = CheckResult(_broken_promise(error), "all files", (reason,))
    return CheckReport(tuple(patterns), "", tuple(fields), {}, (failed,))


def _check_scanned(
    patterns: Sequence[str],
    scanned: DataSurvey,
    options: _RunOptions,
    settings: CheckSettings,
    stored: frozenset[str],
    *,
    progress: bool,
) -> CheckReport:
    with HandlePool(options.access, scanned_files=scanned.scanned_files) as pool:
        reader = make_reader("auto", pool)
        run, unread = _make_run(scanned, options, reader, settings, stored)
        results = (*unread, *_results(run, options.split.keep_together, progress=progress))
    sizes = {stage: len(dataset) for stage, dataset in run.data.datasets.items()}
    return CheckReport(tuple(patterns), scanned.index.root, tuple(scanned.fields.spec()), sizes, results)


def _broken_promise(error: H5LightningError) -> str:
    """A sentence that would be true without the error."""
    if isinstance(error, MissingDataError):
        return "no value is missing"
    if isinstance(error, UnsupportedFieldError):
        return "the meaning of all numbers is known"
    return "files fit together"


def _first_unwritten(error: H5LightningError, patterns: Sequence[str], fields: Mapping[str, Field]) -> str:
    """The first row that was not written, for an error about unwritten values."""
    if NEVER_WRITTEN not in str(error):
        return ""
    files, paths = discover(list(patterns)), dict.fromkeys(part.path for _, part in single_fields(fields))
    rows = (
        (name, unwritten_since(files.path(file), filter(None, paths)))
        for file, name in enumerate(files.names)
    )
    return next((f". In {name}, {where}" for name, where in rows if where), "")


def _make_run(
    scanned: DataSurvey,
    options: _RunOptions,
    reader: Reader,
    settings: CheckSettings,
    stored: frozenset[str],
) -> tuple[CheckRun, tuple[CheckResult, ...]]:
    """The run, and a failed result if what its order needs cannot be read, so that it has no order."""
    data = assemble(
        scanned, options.split, reader=reader, access=options.access, seed=options.seed, provenance=True
    )
    values, order = OrderValues(), None
    unread: tuple[CheckResult, ...] = ()
    try:
        if "train" in data.datasets:
            values = read_order_values(data.datasets["train"], options.shuffle)
            order = data.training_order(data.fitted(options.shuffle), values)
    except BadFileError as error:
        fields = ", ".join(map(repr, order_fields(options.shuffle)))
        unread = (CheckResult("the order can be read", f"fields {fields}", (str(error),)),)
    return CheckRun(data, order, values.weights, settings, reader, options.access, stored), unread


def _results(run: CheckRun, keep_together: str | None, *, progress: bool) -> tuple[CheckResult, ...]:
    results = [check_catalog(run), check_splits(run, keep_together), check_columns(run)]
    for description, total, check in _checks(run):
        with progress_bar(description, total, is_enabled=progress) as advance:
            made = check(advance)
            results += [made] if isinstance(made, CheckResult) else made
    # Checked last, listed beside the other checks of files.
    results.insert(2, check_changes(run))
    return tuple(results)


def _checks(run: CheckRun) -> Iterator[_Check]:
    """The checks that take long, each with its description and number of steps."""
    settings, files = run.settings, len(run.index.names)
    if run.order is not None:
        worlds = settings.ranks_for(run.order.size)
        yield "orders", settings.epochs, partial(check_orders, run)
        yield "division among ranks", len(worlds) * settings.epochs, partial(check_training, run)
        yield "resumption", settings.resumptions, partial(check_resumption, run)
        yield "loaders", len(run.loader_ranks()) * len(settings.workers), partial(check_loaders, run)
    sizes = [len(dataset) for stage, dataset in run.data.datasets.items() if stage != "train"]
    if sizes:
        steps = sum(len(settings.ranks_for(size)) for size in sizes)
        yield "evaluation", steps, partial(check_evaluation, run)
    for part in _parts(run):
        if isinstance(part.index.samples, Windows):
            yield "windows", files, partial(_named, part, partial(check_borders, part, part.index.samples))
    yield "meaning of numbers", files, partial(check_values, run)
    if has_categories(run):
        yield "categories", files, partial(check_categories, run)
    if run.access.on_missing == "raise":
        yield "ends of files", files, partial(check_written_ends, run)
    for part in _parts(run):
        yield "both readers", files, partial(_named, part, partial(check_readers, part))
    if settings.finite:
        yield "all values", files, partial(check_finite, run)


def _parts(run: CheckRun) -> Iterator[CheckRun]:
    """The run for each layout of samples."""
    sections = run.data.survey.sections
    for index in sections.indices:
        yield dataclasses.replace(run, stage=sections.stages_of(index)[0])


def _named(part: CheckRun, check: Callable[[Advance], CheckResult], advance: Advance) -> CheckResult:
    """The result of a check of one layout, with its stages if there are several layouts."""
    result, sections = check(advance), part.data.survey.sections
    if len(sections.indices) == 1:
        return result
    return dataclasses.replace(result, name=f"{result.name} ({', '.join(sections.stages_of(part.index))})")
