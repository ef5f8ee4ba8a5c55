r"""Text with names from files, made safe to print.

A name may hold characters that control a terminal (C0 and C1 controls), change the direction of text, break the line,
or are invisible. Each character that Python's ``repr`` would escape is replaced by that escape. Backslashes stay, so
that escaping twice gives the same text.
"""

from __future__ import annotations

import json
import logging
import re
from numbers import Number
from typing import Any

__all__ = ["json_text", "visible", "visible_lines", "visible_logger"]

_OUTSIDE_ASCII_OR_DELETE = re.compile(r"[^\x00-\x7e]")


def visible(text: str) -> str:
    r"""``text`` on one line, with escapes for characters that are not printable.

    Example:
        >>> print(visible("a\x1b[2J\u202eb\n"))
        a\x1b[2J\u202eb\n
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


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


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _json_escape(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if char == "\x7f" else json.dumps(char)[1:-1]


def _show_arguments(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(arg if isinstance(arg, Number) else visible(str(arg)) for arg in record.args)
    return True
