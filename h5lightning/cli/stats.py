"""`h5lightning stats`: mean, spread, ends and missing values of the fields of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from h5lightning.cli.common_options import (
    AsJson,
    IndexDir,
    Patterns,
    SamplesText,
    Seed,
    SeriesText,
    ShowAll,
)
from h5lightning.cli.report_errors import print_report
from h5lightning.cli.yaml_options import parsed_yaml

if TYPE_CHECKING:
    from rich.table import Table

    from h5lightning.core.terminal import Terminal
    from h5lightning.tools.stats import FieldReport, StatsReport

__all__ = ["stats"]

_MOST_CHANNELS = 8
_MOST_CLASSES = 12
_LEAST_NAME = 12  # letters of a name that stay on one line
_EXAMPLES = {
    "fields": "{x: images}",
    "samples": "{length: 4}",
    "series": "{axis: 0}",
    "split": "{val: 0.2}",
    "table": "{path: labels.csv, file: name}",
    "where": "{energy: finite}",
    "normalize": "{x: {per: last, where: valid}}",
    "access": "{on_missing: fill}",
}


def stats(
    patterns: Patterns,
    fields: Annotated[
        str | None,
        Option(help="As for train: '{x: images}'. By default, all datasets, or what inspect suggests."),
    ] = None,
    samples: SamplesText = None,
    series: SeriesText = None,
    split: Annotated[
        str | None,
        Option(help="As for train: '{val: 0.2}', for the rows of train alone. By default, all rows."),
    ] = None,
    table: Annotated[str | None, Option(help="As for train: '{path: labels.csv, file: name}'.")] = None,
    where: Annotated[str | None, Option(help="As for train: '{energy: finite}'.")] = None,
    normalize: Annotated[
        str | None,
        Option(
            help="As for train: '{x: {per: last}}' for each entry of the last axis of x. By default, per: all."
        ),
    ] = None,
    access: Annotated[str | None, Option(help="As for train: '{on_missing: fill}'.")] = None,
    quantiles: Annotated[str | None, Option(help="Quantiles to compute: 0.01,0.5,0.99.")] = None,
    plot: Annotated[str | None, Option(metavar="FILE", help="Draw histograms to this file.")] = None,
    seed: Seed = 0,
    index_dir: IndexDir = None,
    as_json: AsJson = False,
    show_all: ShowAll = False,
) -> None:
    """Compute mean, standard deviation, ends and missing values of each field, in one pass over the files.

    Values are those that training would normalise: decoded, each row once. They are kept beside the index, so that only
    changed files are read again.

    The exit status is 0, or 2 if the files or options cannot be used.
    """
    from h5lightning.tools.stats import stats_of_files

    if plot is not None:
        from h5lightning.plotting import check_picture

        check_picture(plot)  # before anything is read
    texts = {"fields": fields, "samples": samples, "series": series, "split": split, "table": table}
    texts |= {"where": where, "normalize": normalize, "access": access}
    values = {name: parsed_yaml(name, text, _EXAMPLES[name]) for name, text in texts.items()}
    options: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    report = stats_of_files(
        patterns,
        quantiles=_shares(quantiles),
        has_histograms=plot is not None,
        progress=not as_json,
        seed=seed,
        index_dir=index_dir,
        **options,
    )
    if plot is not None:
        from h5lightning.plotting import plot_histograms

        plot_histograms(_histograms(report), plot)
    print_report(report, partial(_show, show_all=show_all), as_json=as_json)


def _shares(text: str | None) -> tuple[float, ...]:
    from h5lightning.errors import OptionError

    parsed = [] if text is None else parsed_yaml("quantiles", f"[{text}]", "0.01,0.5,0.99")
    if any(isinstance(one, bool) or not isinstance(one, (int, float)) or not 0 <= one <= 1 for one in parsed):
        raise OptionError(f"--quantiles must be numbers from 0 to 1, such as 0.01,0.5,0.99; found {text!r}")
    return tuple(map(float, parsed))


def _histograms(report: StatsReport) -> Mapping[str, Any]:
    """Key of a field → its histogram, or how often each category occurs."""
    return {
        field.key: field.histogram if field.classes is None else field.classes
        for field in report.fields
        if field.histogram is not None
    }


def _show(console: Terminal, report: StatsReport, *, show_all: bool) -> None:
    from h5lightning.cli.rich_output import print_marked
    from h5lightning.core.formatting import counted, listed

    which = f" of train, split by {report.split_by}" if report.split_by else ""
    title = f"{counted(report.rows, 'row')}{which}, in {counted(report.files, 'file')}, in {report.root}"
    console.print(title, style="bold", soft_wrap=True)
    console.print(_table(report, None if show_all else _MOST_CHANNELS))
    for field in report.fields:
        if field.classes is not None:
            counts = [f"{name} {count:,}" for name, count in field.classes.items()]
            most = len(counts) if show_all else _MOST_CLASSES
            console.print(f"{field.key}: {listed(counts, most)}", soft_wrap=True)
    print_marked(console, [("·", "dim", f"{key} {reason}") for key, reason in report.left_out.items()])


def _table(report: StatsReport, most: int | None) -> Table:
    from h5lightning.cli.rich_output import empty_table

    titles = {"nonfinite": "not finite", "masked": "left out"}
    counts = [name for name in titles if any(getattr(one.statistics, name).any() for one in report.fields)]
    has_channels = any(one.statistics.mean.ndim for one in report.fields)
    shares = list(report.fields[0].statistics.quantiles) if report.fields else []
    table = empty_table("field", *(["channel"] if has_channels else []), style="cyan")
    quantiles = (f"{share:g}" for share in shares)
    for name in ("mean", "std", "min", *quantiles, "max", "values", *map(titles.__getitem__, counts)):
        table.add_column(name, justify="right", overflow="fold")
    names = [
        [field.key for field in report.fields],
        [name for one in report.fields for name, _ in one.channels()],
    ]
    for column, texts in zip(table.columns, names[: 2 if has_channels else 1], strict=False):
        column.min_width = min(_LEAST_NAME, max(map(len, texts), default=0))
    hidden = 0
    for field in report.fields:
        channels = list(field.channels())
        hidden += len(channels) - len(channels[:most])
        for number, (name, place) in enumerate(channels[:most]):
            first = "" if number else field.key
            cells = _cells(field, place, shares, counts)
            table.add_row(first, *([name] if has_channels else []), *cells)
    table.caption = f"{hidden:,} more channels: --all lists them" if hidden else None
    return table


def _cells(
    field: FieldReport, place: tuple[int, ...], shares: list[float], counts: list[str]
) -> Iterator[str]:
    found = field.statistics
    for values in (
        found.mean,
        found.std,
        found.min,
        *(found.quantiles[share] for share in shares),
        found.max,
    ):
        yield f"{float(values[place]):.4g}"
    for name in ("count", *counts):
        yield f"{int(getattr(found, name)[place]):,}"
