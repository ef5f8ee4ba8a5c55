"""Describe datasets and the layout of files as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from h5lightning.core.formatting import counted, listed
from h5lightning.options import Whole
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.planning.conventions.series_borders import series_option
from h5lightning.tools.inspect.issues import row_span
from h5lightning.tools.overview.dataset_summary import DatasetSummary
from h5lightning.tools.overview.infer_fields import InferredFields
from h5lightning.tools.overview.scan import Grouping

__all__ = ["hints", "layout_sentences", "shape_text", "storage_text", "type_text"]

_NOUNS = (
    ("demo", "demonstration"),
    ("ep", "episode"),
    ("im", "image"),
    ("pat", "patient"),
    ("sub", "subject"),
    ("traj", "trajectory"),
)
_MAX_LISTED = 5
_MAX_INNER = 4


def layout_sentences(
    datasets: Sequence[DatasetSummary], inferred: InferredFields | None, files: int, *, reason: str = ""
) -> tuple[str, ...]:
    """One sentence for each notable thing about the layout; ``reason`` says which one was recognised."""
    patterns = [
        dataset
        for dataset in datasets
        if dataset.is_pattern
        and (reason or inferred is None or inferred.fields is not None or dataset not in inferred.datasets)
    ]
    samples = (reason,) if reason else _samples(inferred, files)
    return (*samples, *_patterns(patterns), *_sparse(datasets), *_tables(datasets))


def hints(
    inferred: InferredFields | None,
    groupings: Sequence[Grouping],
    *,
    may_be_time: bool = True,
    lists: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """What the user may change in the suggested code, and why."""
    given = [_given_text(lists)] if lists else []
    forecast = _forecast(inferred) if may_be_time else ()
    return (*forecast, *given, *map(_grouping_text, groupings))


def type_text(dataset: DatasetSummary) -> str:
    """``float32``; ``>float32`` for big-endian; ``table`` for a compound type."""
    dtype = dataset.schema.dtype
    if dataset.schema.members:
        return "table"
    if not re.fullmatch(r"[<>|][a-z]\d+", dtype):
        return dtype
    name = np.dtype(dtype).name
    return f">{name}" if dtype.startswith(">") else name


def shape_text(dataset: DatasetSummary) -> str:
    """All axes, the first one with its smallest and largest length: ``60–140 × 2 × 64``."""
    if dataset.schema.storage == "none" or not dataset.schema.shape:
        return "" if dataset.schema.storage == "none" else "scalar"
    return " × ".join([row_span(dataset.rows), *map(str, dataset.schema.row_shape)])


def storage_text(dataset: DatasetSummary) -> str:
    """Chunks and filters, or the kind of storage."""
    schema = dataset.schema
    chunks = " × ".join(map(str, schema.chunks)) if schema.chunks else schema.storage
    return ", ".join([chunks, *schema.filters])


def _samples(inferred: InferredFields | None, files: int) -> Iterator[str]:
    if inferred is None:
        return
    x = inferred.datasets[0]
    if isinstance(inferred.samples, Whole):
        if x.is_pattern:
            yield f"Each dataset looks like one sample: {len(x.paths):,} datasets '/{x.path}' of {shape_text(x)}"
            return
        yield f"The whole file looks like one sample: {files:,} files, each with '/{x.path}' of {shape_text(x)}"
    elif inferred.fields is None:
        yield f"Columns: {len(x.paths):,} datasets '/{x.path}' with one number per row. Rows: {row_span(x.rows)}"
    else:
        total = f" in each file, {int(x.rows.sum()):,} in all" if files > 1 else ""
        total = f" in each series, {int(x.rows.sum()):,} in all" if x.is_pattern else total
        what = "one time of one trajectory" if inferred.samples.axis == 1 else "one row"
        yield f"Rows: {row_span(x.rows)}{total}. A sample is {what}: {_sample_text(inferred)}"


def _sample_text(inferred: InferredFields) -> str:
    """Key and shape of each field, such as ``x of 28 × 28, y``."""
    schemas = {dataset.path: dataset.schema for dataset in inferred.datasets}
    texts = []
    for key, field in (inferred.fields or {}).items():
        part = field.parts()[0]  # no list is inferred
        schema = schemas.get(part.path)
        axes = schema.row_shape_of(part.member) if schema is not None else ()
        shape = " × ".join(map(str, axes[inferred.samples.axes[0] :]))
        texts.append(f"{key} of {shape}" if shape else key)
    return ", ".join(texts)


def _forecast(inferred: InferredFields | None) -> Iterator[str]:
    """How to predict the rows that follow, if there are no labels."""
    if inferred is None or set(inferred.fields or ()) != {"x"} or isinstance(inferred.samples, Whole):
        return
    x = (inferred.fields or {})["x"]
    if inferred.series is not None and inferred.samples.axis == 1:
        field = f"Field({x.path!r}, steps="
        yield (
            "No dataset looks like labels. To predict the next time: samples=Windows(5, axis=1), fields={'x': "
            f"{field}(0, 4)), 'y': {field}(4, 5))}}"
        )
        return
    if inferred.datasets[0].series and inferred.series is None:
        option = series_option(inferred.datasets[0].series[0][0])
        remedy = (
            "write each series to its own file"
            if option is None
            else f"say what a series is, series={option.text()}"
        )
        yield (
            f"No dataset looks like labels. Predicting the next rows needs windows of rows, but '/{x.path}' holds "
            f"several series one after the other: {remedy}, or accept windows across their borders with series='file'"
        )
        return
    field = f"{x.path!r}" + (f", decode={x.decode!r}" if x.decode else "")
    yield (
        f"No dataset looks like labels. To predict the next row: samples=Windows(5), fields={{'x': Field({field}, "
        f"steps=(0, 4)), 'y': Field({field}, steps=(4, 5))}}"
    )


def _given_text(lists: Mapping[str, str]) -> str:
    return f"The files list the series of each split. To divide them in this way: split=Split(given={dict(lists)!r})"


def _grouping_text(grouping: Grouping) -> str:
    examples = listed(grouping.examples, len(grouping.examples), total=grouping.values)
    return (
        f"Files share the attribute {grouping.attr!r} ({grouping.values:,} values: {examples}). To keep each value in "
        f"one split: split=Split(keep_together={'attr:' + grouping.attr!r})"
    )


def _patterns(datasets: Sequence[DatasetSummary]) -> Iterator[str]:
    """A sentence for each pattern of groups or of datasets."""
    groups: dict[str, list[DatasetSummary]] = {}
    for dataset in datasets:
        groups.setdefault(dataset.path[: _end_of_star(dataset.path)], []).append(dataset)
    for group, members in groups.items():
        count = max(len({path[: _end_of_star(path, group)] for path in dataset.paths}) for dataset in members)
        noun = _noun(group)
        if any(dataset.path != group for dataset in members):
            inner = [dataset.path.removeprefix(group).strip("/") for dataset in members]
            each = listed(inner, _MAX_INNER)
            yield f"One group per {noun}: '/{group}' ({counted(count, 'group')}), each with {each}"
        else:
            yield f"One dataset per {noun}: '/{group}' ({counted(len(members[0].paths), 'dataset')})"


def _end_of_star(path: str, group: str | None = None) -> int:
    """Where the first component with a ``*`` ends; for a member of a group, the component at the same depth."""
    depth = (group if group is not None else path[: path.index("*")]).count("/")
    return len("/".join(path.split("/")[: depth + 1]))


def _noun(group: str) -> str:
    name = group.rpartition("/")[2].replace("*", "").strip("_-. ").lower()
    return next((noun for start, noun in _NOUNS if name.startswith(start)), name if len(name) > 1 else "item")


def _sparse(datasets: Iterable[DatasetSummary]) -> Iterator[str]:
    for dataset in datasets:
        group, _, name = dataset.path.rpartition("/")
        found = re.search(r"sparse (CSR|CSC) matrix", dataset.schema.refusal)
        if name == "data" and found:
            yield f"{found[1]} matrix '/{group}': only nonzero values are stored, so that it has no rows"


def _tables(datasets: Iterable[DatasetSummary]) -> Iterator[str]:
    for dataset in datasets:
        schema = dataset.schema
        if schema.members:
            columns = [_column_text(column) for column in schema.members]
            yield f"Table '/{dataset.path}' with the columns {listed(columns, _MAX_LISTED)}"
        if schema.categories or schema.vocabulary:
            yield f"'/{dataset.path}' has {_categories_text(schema)}"


def _column_text(column: Member) -> str:
    """Name, type and categories of a column, such as ``values (3 × float32)``."""
    kind = column.dtype if column.refusal else np.dtype(column.dtype).name
    text = " × ".join([*map(str, column.shape), kind])
    if column.categories or column.vocabulary:
        text += f", {_categories_text(column)}"
    return f"{column.name} ({text})"


def _categories_text(coded: DatasetSchema | Member) -> str:
    """The number of categories and the first ones; if the names are not kept, what is known about them."""
    names = coded.categories
    if names is None:
        return f"categories: {coded.vocabulary}"
    return f"{len(names):,} {'category' if len(names) == 1 else 'categories'}: {listed(names, _MAX_LISTED)}"
