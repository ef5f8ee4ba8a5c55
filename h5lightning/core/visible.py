r"""Text with names from files, made safe to print, or to paste into code.

A name may hold characters that control a terminal (C0 and C1 controls), change the direction of text, break the line,
or are invisible. Each character that Python's ``repr`` would escape is replaced by that escape. Backslashes stay, so
that escaping twice gives the same text.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
from numbers import Number
from typing import Any

__all__ = [
    "hydra_text",
    "json_text",
    "python_text",
    "shell_word",
    "visible",
    "visible_lines",
    "visible_logger",
    "yaml_text",
]

_OUTSIDE_ASCII_OR_DELETE = re.compile(r"[^\x00-\x7e]")


def visible(text: str) -> str:
    r"""``text`` on one line, with escapes for characters that are not printable.

    Example:
        >>> print(visible("a\x1b[2J\u202eb\n"))
        a\x1b[2J\u202eb\n
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def visible_lines(text: str) -> str:
    """As `visible`, but line feeds stay: names in the text must be `visible` already."""
    return text if text.isprintable() else "\n".join(map(visible, text.split("\n")))


def json_text(value: Any) -> str:
    r"""Indented JSON of ``value``, with ``\uXXXX`` for characters that are not printable."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # json itself escapes controls below U+007F.
    return _OUTSIDE_ASCII_OR_DELETE.sub(lambda found: _json_escape(found[0]), text)


def visible_logger(name: str) -> logging.Logger:
    """The logger of a module; arguments of its messages are made `visible`."""
    logger = logging.getLogger(name)
    logger.addFilter(_show_arguments)
    return logger


def python_text(text: str) -> str:
    """A Python literal."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)


def yaml_text(text: str) -> str:
    """A YAML string in double quotes, with the escapes of Python (json cannot escape every character)."""
    return '"' + visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def hydra_text(text: str) -> str:
    """A quoted string of Hydra's grammar, which has no escapes: pass it to `shell_word` before printing it."""
    # A backslash stands for itself, but before a quote it must be doubled.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)\Z", r"\1\1", escaped) + '"'


def shell_word(text: str) -> str:
    """One word of a command line for bash, zsh and ksh, without quotes if possible."""
    if re.fullmatch(r"[\w./:-]+", text, re.ASCII):
        return text
    return shlex.quote(text) if text.isprintable() else f"$'{''.join(map(_shell_character, text))}'"


def _json_escape(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if char == "\x7f" else json.dumps(char)[1:-1]


def _show_arguments(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(arg if isinstance(arg, Number) else visible(str(arg)) for arg in record.args)
    return True


def _shell_character(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    # As bytes: the meaning of \u depends on the locale.
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in _encoded(char))


def _encoded(char: str) -> bytes:
    try:
        return char.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return char.encode("utf-8", "surrogatepass")
