"""Files that must not be separated: one group for each value of a part of the path or of an attribute."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.string_table import StringTable
from h5lightning.errors import OptionError, SplitError

__all__ = ["group_files", "group_labels"]


def group_labels(
    keep_together: str, names: StringTable, files: Int64Array, attributes: Sequence[str | None] | None
) -> list[str]:
    """The value that decides which files belong together.

    Args:
        keep_together: ``path:REGEX`` or ``attr:NAME``.
        names: the relative path of each file of the index.
        files: the files that are asked for, ``(files,)``.
        attributes: with ``attr:NAME``, the value of each file of the index, None where a file lacks it.

    Returns:
        A value for each of ``files``.

    Raises:
        OptionError: the regular expression cannot be used.
        SplitError: a file has no such value.
    """
    kind, _, rest = keep_together.partition(":")
    found = _from_paths(rest, names, files) if kind == "path" else _from_attributes(rest, files, attributes)
    labels = []
    for file, label in zip(files.tolist(), found, strict=True):
        if label is None:
            lacks = f"does not match {rest!r}" if kind == "path" else f"has no attribute {rest!r}"
            raise SplitError(
                f"split.keep_together={keep_together!r}: {names[file]} {lacks}, so that it belongs to no group. "
                "Change keep_together, or exclude the file with a pattern that begins with '!'"
            )
        labels.append(label)
    return labels


def group_files(labels: Sequence[str]) -> Int64Array:
    """Number the groups in the order of their first files.

    Args:
        labels: the value of each file.

    Returns:
        The group of each file, ``(files,)``.
    """
    numbers: dict[str, int] = {}
    return np.asarray([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)


def _from_paths(pattern: str, names: StringTable, files: Int64Array) -> Iterator[str | None]:
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise OptionError(f"split.keep_together: {pattern!r} is not a regular expression: {error}") from error
    if not regex.groups:
        raise OptionError(
            f"split.keep_together: {pattern!r} has no group; put what files share in parentheses, "
            "such as 'path:(patient_[0-9]+)'"
        )
    matches = (regex.search(names[file]) for file in files.tolist())
    return (match.group(1) if match else None for match in matches)


def _from_attributes(
    name: str, files: Int64Array, attributes: Sequence[str | None] | None
) -> Iterator[str | None]:
    if attributes is None:
        raise ValueError(f"keep_together='attr:{name}' needs the attribute of each file")
    return (attributes[file] for file in files.tolist())
