"""Patterns of files: variables, braces and wildcards.

A `Pattern` is one entry of ``files``. After its variables and braces are expanded, each alternative is a `Glob`: a
fixed directory, and patterns for the names below it. No directory is listed here.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from glob import escape as glob_escape

from h5lightning.errors import DiscoveryError

__all__ = [
    "Glob",
    "Pattern",
    "common_directory",
    "escape",
    "expand_braces",
    "globs_of",
    "has_wildcard",
    "name_matcher",
    "spell_out",
]

RECURSIVE = "**"

_MAX_ALTERNATIVES = 10_000
_WILDCARD = re.compile(r"[*?\[]")
_SPECIAL = re.compile(r"[*?\[{$]")
_BRACE = re.compile(r"[{},]")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^{}]*)\})", re.ASCII)
# One slash is enough: Path("s3://bucket") says s3:/bucket. Chains such as simplecache::s3:// count too.
_URL = re.compile(r"([A-Za-z][\w+.:-]+):/", re.ASCII)


@dataclass(frozen=True, slots=True)
class Glob:
    """Names to look for below one directory.

    Args:
        base: an absolute path without wildcards: the directory, or the file itself if there are no parts.
        parts: a pattern for each name below ``base``; ``**`` matches any number of directories.
    """

    base: str
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, directory: str) -> Glob:
        """The glob of a text without braces, relative to an absolute ``directory``.

        Raises:
            DiscoveryError: ``..`` after a wildcard.
        """
        names = [name for name in text.split("/") if name not in ("", ".")]
        fixed = next((depth for depth, name in enumerate(names) if has_wildcard(name)), len(names))
        parts = tuple(names[fixed:])
        if ".." in parts:
            raise DiscoveryError(f"{text!r} has '..' after a wildcard: name the directory instead")
        start = "/" if text.startswith("/") else directory
        return cls(os.path.abspath(os.path.join(start, *names[:fixed])), parts)

    @property
    def directory(self) -> str:
        """The deepest directory that contains all matches; it need not exist."""
        return self.base if self.parts else os.path.dirname(self.base)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of ``files``.

    Args:
        text: the entry as written.
        globs: one for each alternative of its braces.
        origin: the line and the list that it comes from, for messages; empty if it is in no list.
    """

    text: str
    globs: tuple[Glob, ...]
    origin: str = ""

    @property
    def named(self) -> str:
        """The entry and where it comes from, for messages."""
        return f"{self.text!r}" + (f" ({self.origin})" if self.origin else "")

    @classmethod
    def of(cls, text: str, directory: str, origin: str = "") -> Pattern:
        """The pattern of files to take, relative to an absolute ``directory``.

        Raises:
            DiscoveryError: a URL, an undefined variable, a directory, or a text that cannot be a path.
        """
        spelled = spell_out(text, directory)
        if spelled.endswith("/"):
            raise DiscoveryError(f"{text!r} names directories: for the files in them, write '{text}**/*.h5'")
        return cls(text, globs_of(spelled, directory), origin)


def common_directory(patterns: Iterable[Pattern]) -> str:
    """The deepest directory that contains all matches of all patterns; it need not exist."""
    return os.path.commonpath([glob.directory for pattern in patterns for glob in pattern.globs])


def escape(path: str) -> str:
    """A pattern that matches only ``path``, whatever wildcards, variables and braces it contains.

    Example:
        >>> escape("a[1]/${HOME}.h5")
        'a[[]1]/[$]{HOME}.h5'
    """
    escaped = re.sub(r"\$(?=[\w{])|^[~@]", r"[\g<0>]", glob_escape(path), flags=re.ASCII)
    # Braces with a comma cannot be escaped, only replaced by a wildcard.
    return escaped if _first_group(escaped) is None else escaped.replace("{", "?")


def has_wildcard(name: str) -> bool:
    """Whether ``name`` contains ``*``, ``?`` or ``[``."""
    return _WILDCARD.search(name) is not None


@lru_cache(maxsize=1024)
def name_matcher(part: str) -> Callable[[str], object]:
    """The function that matches names with ``part``; only a part with a leading dot matches hidden names."""
    visible = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(visible + fnmatch.translate(part)).match


def spell_out(text: str, directory: str) -> str:
    """``text`` with variables and ``~`` replaced, unless a file has exactly this name.

    Raises:
        DiscoveryError: a URL, an undefined variable, or a text that cannot be a path.
    """
    _check_text(text)
    spelled = text if _is_file(text, directory) else os.path.expanduser(_replace_variables(text))
    _check_text(spelled)
    return spelled


def globs_of(spelled: str, directory: str) -> tuple[Glob, ...]:
    """The globs of a text without variables, one for each alternative of its braces."""
    if _is_file(spelled, directory):
        return (Glob(os.path.abspath(os.path.join(directory, spelled))),)
    return tuple(Glob.of(alternative, directory) for alternative in expand_braces(spelled))


def _check_text(text: str) -> None:
    if not text:
        raise DiscoveryError("an empty pattern matches no files: remove it")
    if "\0" in text:
        raise DiscoveryError(f"{text!r} holds a NUL character, which a file name cannot: correct it")
    if url := _URL.match(text):
        raise DiscoveryError(
            f"{text!r} is a URL ({url[1]}://), which is not supported yet. Copy the files to a disk, "
            "or mount their storage, and use the local path"
        )


def _is_file(text: str, directory: str) -> bool:
    """Whether a text that looks like a pattern is the name of a file."""
    return bool(_SPECIAL.search(text)) and os.path.isfile(os.path.join(directory, text))


def _replace_variables(text: str) -> str:
    return _VARIABLE.sub(lambda match: _value(match[1] or match[2], text), text)


def _value(variable: str, text: str) -> str:
    if variable not in os.environ:
        raise DiscoveryError(f"{text!r}: the environment variable {variable!r} is not set: export it")
    return os.environ[variable]


def expand_braces(text: str) -> list[str]:
    """All alternatives of ``{a,b}``, also nested; braces without a comma stay.

    Raises:
        DiscoveryError: there are too many alternatives.

    Example:
        >>> expand_braces("{a,b{1,2}}.h5")
        ['a.h5', 'b1.h5', 'b2.h5']
    """
    group = _first_group(text)
    if group is None:
        return [text]
    head, options, tail = group
    middles = [middle for option in options for middle in expand_braces(option)]
    ends = expand_braces(tail)
    if len(middles) * len(ends) > _MAX_ALTERNATIVES:
        raise DiscoveryError(f"{text!r} has more than {_MAX_ALTERNATIVES} alternatives: use wildcards")
    return [head + middle + end for middle in middles for end in ends]


def _first_group(text: str) -> tuple[str, list[str], str] | None:
    """The text before, the alternatives in, and the text after the first braces that contain a comma."""
    for opening in (match.start() for match in re.finditer(r"\{", text)):
        depth, cuts = 0, [opening]
        for match in _BRACE.finditer(text, opening):
            depth += {"{": 1, "}": -1, ",": 0}[match[0]]
            if match[0] == "," and depth == 1:
                cuts.append(match.start())
            if depth == 0:
                if len(cuts) == 1:
                    break
                cuts.append(match.start())
                options = [text[start + 1 : stop] for start, stop in itertools.pairwise(cuts)]
                return text[:opening], options, text[match.end() :]
    return None
