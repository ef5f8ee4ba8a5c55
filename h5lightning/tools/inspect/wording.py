"""How files are laid out, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from h5lightning.core.formatting import counted
from h5lightning.options import Whole
from h5lightning.planning.catalog.schema import DatasetSchema, Member
from h5lightning.tools.inspect.issues import row_span
from h5lightning.tools.overview.dataset_table import Entry
from h5lightning.tools.overview.file_attributes import Grouping
from h5lightning.tools.overview.guess_fields import Guess

__all__ = ["hints", "layout_words", "shape_text", "storage_text", "type_text"]

_NOUNS = (
    ("demo", "demonstration"),
    ("ep", "episode"),
    ("im", "image"),
    ("pat", "patient"),
    ("sub", "subject"),
    ("traj", "trajectory"),
)
_MOST_CATEGORIES = 5


def layout_words(entries: Sequence[Entry], guess: Guess | None, files: int) -> tuple[str, ...]:
    """One sentence for each thing that stands out.

    Args:
        entries: the datasets.
        guess: what a sample is made of; None where nothing could be guessed.
        files: how many files hold the datasets.
    """
    others = [
        entry for entry in entries if guess is None or guess.fields is not None or entry not in guess.entries
    ]
    return (*_samples(guess, files), *_families(others), *_sparse(entries), *_tables(entries))


def hints(guess: Guess | None, groupings: Sequence[Grouping], *, may_be_time: bool = True) -> tuple[str, ...]:
    """What could be changed in the suggested code, and why.

    Args:
        guess: what a sample is made of; None where nothing could be guessed.
        groupings: attributes that several files share.
        may_be_time: whether rows may be times.
    """
    return (*(_forecast(guess) if may_be_time else ()), *map(_grouping_text, groupings))


def type_text(entry: Entry) -> str:
    """``float32``; ``>float32`` for big-endian; ``table`` for a compound."""
    dtype = entry.schema.dtype
    if entry.schema.members:
        return "table"
    if not re.fullmatch(r"[<>|][a-z]\d+", dtype):
        return dtype
    name = np.dtype(dtype).name
    return f">{name}" if dtype.startswith(">") else name


def shape_text(entry: Entry) -> str:
    """All axes, the first with the lengths that occur: ``60–140 × 2 × 64``."""
    if entry.schema.storage == "none" or not entry.schema.shape:
        return "" if entry.schema.storage == "none" else "scalar"
    return " × ".join([row_span(entry.rows), *map(str, entry.schema.row_shape)])


def storage_text(entry: Entry) -> str:
    """Chunks and filters, or the kind of storage."""
    schema = entry.schema
    place = " × ".join(map(str, schema.chunks)) if schema.chunks else schema.storage
    return ", ".join([place, *schema.filters])


def _samples(guess: Guess | None, files: int) -> Iterator[str]:
    if guess is None:
        return
    x = guess.entries[0]
    if isinstance(guess.samples, Whole):
        yield f"The whole file looks like one sample: {files:,} files, each with '/{x.path}' of {shape_text(x)}"
        return
    rows = f"{row_span(x.rows)} in each file, {int(x.rows.sum()):,} in all" if files > 1 else row_span(x.rows)
    if guess.fields is None:
        yield f"Columns: {len(x.paths):,} datasets '/{x.path}' of one number a row. Rows: {row_span(x.rows)}"
        return
    yield f"Rows: {rows}. A sample is one row: {_sample_text(guess)}"


def _sample_text(guess: Guess) -> str:
    """Key and shape of each field, such as ``x of 28 × 28, y``."""
    schemas = {entry.path: entry.schema for entry in guess.entries}
    texts = []
    for key, field in (guess.fields or {}).items():
        schema = schemas.get(field.path)
        shape = " × ".join(map(str, schema.row_shape_of(field.member) if schema is not None else ()))
        texts.append(f"{key} of {shape}" if shape else key)
    return ", ".join(texts)


def _forecast(guess: Guess | None) -> Iterator[str]:
    if guess is not None and set(guess.fields or ()) == {"x"} and not isinstance(guess.samples, Whole):
        x = (guess.fields or {})["x"]
        if guess.entries[0].series:
            yield (
                f"Nothing looks like labels. To predict what follows takes windows of rows, but '/{x.path}' holds "
                "several series one after the other: write each to a file of its own, or accept windows over their "
                "borders with series='file'"
            )
            return
        field = f"{x.path!r}" + (f", decode={x.decode!r}" if x.decode else "")
        yield (
            f"Nothing looks like labels. To predict what follows: samples=Windows(5), fields={{'x': Field({field}, "
            f"steps=(0, 4)), 'y': Field({field}, steps=(4, 5))}}"
        )


def _grouping_text(grouping: Grouping) -> str:
    examples = ", ".join(grouping.examples) + (", …" if grouping.values > len(grouping.examples) else "")
    return (
        f"Files share the attribute {grouping.attr!r} ({grouping.values:,} values: {examples}). To have each value in "
        f"one split only: split=Split(keep_together={'attr:' + grouping.attr!r})"
    )


def _families(entries: Sequence[Entry]) -> Iterator[str]:
    """A sentence for each pattern of groups or of datasets."""
    heads: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.is_family:
            heads.setdefault(entry.path[: _end_of_star(entry.path)], []).append(entry)
    for head, members in heads.items():
        count = max(len({path[: _end_of_star(path, head)] for path in entry.paths}) for entry in members)
        noun = _noun(head)
        if any(entry.path != head for entry in members):
            inner = ", ".join(entry.path.removeprefix(head).strip("/") for entry in members[:4])
            more = ", …" if len(members) > 4 else ""
            yield f"One group per {noun}: '/{head}' ({counted(count, 'group')}), each with {inner}{more}"
        else:
            yield f"One dataset per {noun}: '/{head}' ({counted(len(members[0].paths), 'dataset')})"


def _end_of_star(path: str, head: str | None = None) -> int:
    """Where the first component with a ``*`` ends; in a member, the component at the same depth."""
    depth = (head if head is not None else path[: path.index("*")]).count("/")
    parts = path.split("/")
    return len("/".join(parts[: depth + 1]))


def _noun(head: str) -> str:
    name = head.rpartition("/")[2].replace("*", "").strip("_-. ").lower()
    return next((noun for start, noun in _NOUNS if name.startswith(start)), name or "item")


def _sparse(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        group, _, leaf = entry.path.rpartition("/")
        found = re.search(r"sparse (CSR|CSC) matrix", entry.schema.refusal)
        if leaf == "data" and found:
            yield f"{found[1]} matrix '/{group}': only the values that are not zero are stored, so that it has no rows"


def _tables(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.schema.members:
            yield f"Table '/{entry.path}' with the columns {_some(list(map(_column_text, entry.schema.members)))}"
        if entry.schema.categories or entry.schema.vocabulary:
            yield f"'/{entry.path}' has {_categories_text(entry.schema)}"


def _column_text(column: Member) -> str:
    """Name, type and categories of a column, such as ``values (3 × float32)``."""
    kind = column.dtype if column.refusal else np.dtype(column.dtype).name
    words = " × ".join([*map(str, column.shape), kind])
    if column.categories or column.vocabulary:
        words += f", {_categories_text(column)}"
    return f"{column.name} ({words})"


def _categories_text(coded: DatasetSchema | Member) -> str:
    """How many categories there are, and the first ones; of those that are not kept, what is said of them."""
    names = coded.categories
    if names is None:
        return f"categories: {coded.vocabulary}"
    return f"{len(names):,} {'category' if len(names) == 1 else 'categories'}: {_some(names)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_CATEGORIES]) + (", …" if len(names) > _MOST_CATEGORIES else "")
