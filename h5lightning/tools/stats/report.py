"""The report of `h5lightning stats`: what was computed of each field, as plain values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.datamodule.setup import prepare, survey_files
from h5lightning.errors import FieldError
from h5lightning.loading.passes.read_statistics import read_statistics
from h5lightning.options import Normalize, Split
from h5lightning.planning.fields import FieldPlan
from h5lightning.planning.passes.rows_of_field import row_shape_of
from h5lightning.planning.ragged_fields import DerivedField
from h5lightning.planning.statistics import FieldStatistics, StatisticsRequest
from h5lightning.storage.data_survey import DataSurvey
from h5lightning.storage.discovery import discover
from h5lightning.tools.overview.dataset_summary import summarize_datasets
from h5lightning.tools.overview.infer_fields import infer_fields
from h5lightning.tools.overview.scan import scan_readable, shared_attrs

__all__ = ["FieldReport", "StatsReport", "stats_of_files"]

_BINS = 64
# Shares of the values at which a histogram is cut; the ends of the range hold few values.
_CUTS = tuple(np.linspace(0.0, 1.0, 4 * _BINS + 1).tolist())


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class FieldReport:
    """The statistics of one field.

    Args:
        key: its key.
        title: the field and its dataset.
        dtype: the type in which it is delivered.
        row_shape: shape of a row; None along an axis whose length varies.
        per: what has statistics of its own; see `Normalize`.
        names: the name of each channel, where a list of datasets or columns was joined; else empty.
        statistics: what was computed.
        classes: name of a category → how often it occurs; None for a field without categories.
        histogram: the borders of bins, and how many values lie in each; None unless asked for.
    """

    key: str
    title: str
    dtype: str
    row_shape: tuple[int | None, ...]
    per: str
    names: tuple[str, ...]
    statistics: FieldStatistics
    classes: Mapping[str, int] | None = None
    histogram: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None

    def channels(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The name of each channel, and its place in the arrays of the statistics; an empty name for a single one."""
        shape = self.statistics.mean.shape
        for place in product(*map(range, shape)):
            is_named = len(place) == 1 and len(self.names) == shape[0]
            yield self.names[place[0]] if is_named else ", ".join(map(str, place)), place

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON; None stands for numbers that there are none of."""
        found = self.statistics
        names = ("mean", "std", "min", "max", "count", "nonfinite", "masked")
        plain: dict[str, Any] = {
            "key": self.key,
            "field": self.title,
            "dtype": self.dtype,
            "row_shape": list(self.row_shape),
            "per": self.per,
            **{name: _plain(getattr(found, name).tolist()) for name in names},
        }
        if self.names:
            plain["names"] = list(self.names)
        if found.quantiles:
            plain["quantiles"] = {
                f"{share:g}": _plain(values.tolist()) for share, values in found.quantiles.items()
            }
        if self.classes is not None:
            plain["classes"] = dict(self.classes)
        if self.histogram is not None:
            plain["histogram"] = {
                name: _plain(part.tolist())
                for name, part in zip(("borders", "counts"), self.histogram, strict=True)
            }
        return plain


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class StatsReport:
    """The statistics of files.

    Args:
        root: the deepest directory that the files have in common.
        files: files with rows that were read.
        rows: rows that were read.
        split_by: how the rows of train were chosen; empty if all rows were read.
        fields: the fields, in the order of the user.
        left_out: key of a field without statistics → the reason.
    """

    root: str
    files: int
    rows: int
    split_by: str
    fields: tuple[FieldReport, ...]
    left_out: Mapping[str, str]

    def to_plain(self) -> dict[str, Any]:
        """A mapping for JSON."""
        return {
            "root": self.root,
            "files": self.files,
            "rows": self.rows,
            "split_by": self.split_by,
            "fields": [field.to_plain() for field in self.fields],
            "left_out": dict(self.left_out),
        }


def stats_of_files(
    patterns: Sequence[str],
    *,
    quantiles: Sequence[float] = (),
    has_histograms: bool = False,
    progress: bool = True,
    **options: Any,
) -> StatsReport:
    """Read all rows of train of some files once; without ``split``, all rows.

    Args:
        patterns: globs or paths.
        quantiles: shares of the values, such as 0.01, of which to compute the quantiles.
        has_histograms: whether to compute histograms.
        progress: show progress bars if stderr is a terminal.
        options: options of `H5DataModule`; ``normalize`` says ``per`` and ``where`` of a field, which else has one
            statistic of all numbers.

    Raises:
        H5LightningError: patterns without files, or options, fields or a split that cannot be used.
    """
    is_split = options.get("split") is not None
    if not is_split:
        options["split"] = Split(val=None, test=None)
    chosen, surveyed = _surveyed(patterns, options, progress=progress)
    # The normalisation says what to compute; here, nothing is normalised.
    data = prepare(dataclasses.replace(chosen, normalize=None), surveyed, chosen.seed or 0)
    plans, left_out = _with_numbers(surveyed)
    asked = chosen.normalize or {}
    requests = {key: _request(key, asked, tuple(quantiles)) for key in plans}
    common: dict[str, Any] = {"access": chosen.access, "reader": chosen.reader, "index_dir": chosen.index_dir}
    common |= {"threads": chosen.threads, "progress": progress}
    try:
        found = read_statistics(surveyed, data.plan, requests, **common)
        whole = {key: dataclasses.replace(one, per="all", quantiles=_CUTS) for key, one in requests.items()}
        cut = read_statistics(surveyed, data.plan, whole, **common) if has_histograms else {}
    finally:
        data.reader.close()
    fields = (_report(plans[key], requests[key].per, one, cut.get(key)) for key, one in found.items())
    part = data.plan.parts["train"]
    files, rows = part.files(surveyed.index), part.rows
    by = data.plan.by if is_split else ""
    return StatsReport(surveyed.index.root, len(files), rows, by, tuple(fields), left_out)


def _surveyed(
    patterns: Sequence[str], options: Mapping[str, Any], *, progress: bool
) -> tuple[DataModuleOptions, DataSurvey]:
    """The options, and the survey: without fields, of all datasets, or else of those that `inspect` suggests."""
    chosen = DataModuleOptions(list(patterns), **options)
    try:
        return chosen, survey_files(chosen)
    except FieldError:
        if chosen.fields is not None:
            raise
    catalog = scan_readable(discover(list(patterns)), processes=None, progress=progress)
    inferred = infer_fields(summarize_datasets(catalog), len(catalog), shared_attrs(catalog))
    suggested: dict[str, Any] = {"fields": inferred.fields}
    if options.get("samples") is None and options.get("series") is None:
        suggested |= {"samples": inferred.samples, "series": inferred.series}
    chosen = DataModuleOptions(list(patterns), **{**options, **suggested})
    return chosen, survey_files(chosen)


def _with_numbers(surveyed: DataSurvey) -> tuple[dict[str, FieldPlan], dict[str, str]]:
    """The fields that have numbers, and why the others have none."""
    plans: dict[str, FieldPlan] = {}
    left_out: dict[str, str] = {}
    for plan in surveyed.fields.plans:
        if isinstance(plan, DerivedField) or plan.path.startswith("pad:"):
            left_out[plan.key] = "is made of another field"
        elif plan.spec.dtype.startswith("complex"):
            left_out[plan.key] = f"is {plan.spec.dtype}"
        elif np.dtype("float32" if plan.spec.dtype == "bfloat16" else plan.spec.dtype).kind not in "fiub":
            left_out[plan.key] = "has no numbers"
        else:
            plans[plan.key] = plan
    return plans, left_out


def _request(key: str, asked: Mapping[str, Normalize], quantiles: tuple[float, ...]) -> StatisticsRequest:
    one = asked.get(key)
    if one is None:
        return StatisticsRequest("all", None, quantiles)
    return StatisticsRequest(one.per, one.where, quantiles)


def _report(plan: FieldPlan, per: str, found: FieldStatistics, cut: FieldStatistics | None) -> FieldReport:
    classes = plan.spec.classes
    counts = None
    if classes is not None and found.classes is not None:
        counts = dict(zip(classes, found.classes.tolist(), strict=True))
    return FieldReport(
        key=plan.key,
        title=plan.title,
        dtype=plan.spec.dtype,
        row_shape=row_shape_of(plan),
        per=per,
        names=plan.spec.columns or (),
        statistics=found,
        classes=counts,
        histogram=None if cut is None or not int(cut.count) else _histogram(cut),
    )


def _histogram(cut: FieldStatistics) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Borders of equal bins, and about how many values lie in each, from the quantiles of all values."""
    shares = np.asarray(list(cut.quantiles))
    values = np.asarray([float(value) for value in cut.quantiles.values()])
    low, high = float(cut.min), float(cut.max)
    borders = np.linspace(low, high, _BINS + 1) if high > low else np.asarray([low - 0.5, low + 0.5])
    # At a value that many have, the share jumps.
    below = shares[np.clip(values.searchsorted(borders, side="right") - 1, 0, None)]
    inner = np.interp(borders, values, shares)
    at = np.where(np.isin(borders, values), below, inner)
    at[0], at[-1] = 0.0, 1.0
    return borders, np.diff(np.maximum.accumulate(at)) * int(cut.count)


def _plain(value: Any) -> Any:
    """Numbers for JSON, which has no NaN."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
