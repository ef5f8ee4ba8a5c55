"""Lists of files: ``@list.txt`` stands for the paths and patterns in a text file, one on each line.

Relative ones start from the directory of the list. Empty lines and those that begin with ``#`` say nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from h5lightning.errors import DiscoveryError
from h5lightning.storage.discovery.patterns import spell_out

__all__ = ["Entry", "entries_of", "naming_line"]

_MARK = "@"
_PROBE_BYTES = 8192  # text has no NUL in its beginning


class Entry(NamedTuple):
    """A path or pattern.

    Args:
        text: as it is written.
        directory: the absolute directory that it starts from, if it is relative.
        origin: its line and list, for messages; empty if it is in no list.
    """

    text: str
    directory: str
    origin: str = ""


def entries_of(text: str, directory: str) -> Iterator[Entry]:
    """The paths and patterns of a list; the text itself, if it names no list.

    Args:
        text: an entry of ``files``, without ``!``.
        directory: the absolute directory that it starts from.

    Raises:
        DiscoveryError: the list cannot be read, or a line is no path and no pattern.
    """
    if not text.startswith(_MARK):
        yield Entry(text, directory)
        return
    path = os.path.abspath(os.path.join(directory, spell_out(text[1:], directory)))
    for number, name in enumerate(_lines(text, path), start=1):
        if name and not name.startswith("#"):
            origin = f"line {number} of {path!r}"
            _check_line(name, origin)
            yield Entry(name, os.path.dirname(path), origin)


@contextmanager
def naming_line(entry: Entry) -> Iterator[None]:
    """Put the line of the list before what is wrong with an entry."""
    try:
        yield
    except DiscoveryError as error:
        if not entry.origin:
            raise
        raise DiscoveryError(f"{entry.origin}: {error}") from None


def _lines(text: str, path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            start = file.read(_PROBE_BYTES)
            if b"\0" in start:
                raise DiscoveryError(
                    f"{path!r} is no text: {text!r} must name a list of files. {_hint(text)}"
                )
            content = start + file.read()
    except OSError as error:
        raise DiscoveryError(
            f"the list of files {path!r} cannot be read: {error.strerror}. {_hint(text)}"
        ) from error
    # Names are bytes: those that are no text survive.
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [os.fsdecode(line.strip(b" \t\r")) for line in lines]


def _hint(text: str) -> str:
    return f"'{_MARK}' is followed by the path of a list; a file with this name is './{text}'"


def _check_line(name: str, origin: str) -> None:
    if name.startswith("!"):
        raise DiscoveryError(
            f"{origin}: {name!r} leaves files out, but a list says what it stands for. Write it next to the list, or "
            "write what to leave out in a list of its own: '!@other.txt'"
        )
    if name.startswith(_MARK):
        raise DiscoveryError(f"{origin}: {name!r} names another list: name it next to this one, in 'files'")
