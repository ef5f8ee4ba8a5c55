"""Groups of files that stay together: files with the same part of the path, or the same attribute."""

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
        files: the files to label, ``(files,)``.
        attributes: with ``attr:NAME``, the value of each file of the index, None where a file lacks it.

    Returns:
        The label of each of ``files``.

    Raises:
        OptionError: the regular expression cannot be used.
        SplitError: a file has no such value.
    """
    kind, _, source = keep_together.partition(":")
    is_path = kind == "path"
    found = _from_paths(source, names, files) if is_path else _from_attributes(source, files, attributes)
    labels = []
    for file, label in zip(files.tolist(), found, strict=True):
        if label is None:
            lacks = f"does not match {source!r}" if is_path else f"has no attribute {source!r}"
            raise SplitError(
                f"split.keep_together={keep_together!r}: {names[file]} {lacks}, so that it belongs to no group. "
                "Change keep_together, or exclude the file with a pattern that begins with '!'"
            )
        labels.append(label)
    return labels


def group_files(
    keep_together: str, names: StringTable, files: Int64Array, attributes: Sequence[str | None] | None
) -> Int64Array:
    """The group of each file of the index, numbered in the order of the first files, -1 for other files.

    Args and errors are those of `group_labels`.
    """
    numbers: dict[str, int] = {}
    labels = group_labels(keep_together, names, files, attributes)
    groups = np.full(len(names), -1, dtype=np.int64)
    groups[files] = [numbers.setdefault(label, len(numbers)) for label in labels]
    return groups


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
