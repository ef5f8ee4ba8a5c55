r"""Text that holds names from files, as it may be printed.

A name may hold what commands a terminal (C0 and C1 controls), turns the direction of reading (bidirectional
controls), begins a line of its own, or is not seen at all. Whatever Python's ``repr`` would escape is shown by the
same escape. Backslashes stay as they are, so that text may go through here any number of times.
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
    r"""``text`` on one line, with escapes in place of characters that are not printable.

    Example:
        >>> print(visible("a\x1b[2J\u202eb\n"))
        a\x1b[2J\u202eb\n
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def visible_lines(text: str) -> str:
    """The same for text whose line feeds are its author's: names in it must be `visible` already."""
    return text if text.isprintable() else "\n".join(map(visible, text.split("\n")))


def json_text(value: Any) -> str:
    r"""JSON over several lines, in which ``\uXXXX`` stands for what is not printable; it decodes to ``value``."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Below U+007F json itself escapes what is inside of texts.
    return _OUTSIDE_ASCII_OR_DELETE.sub(lambda found: _json_escape(found[0]), text)


def visible_logger(name: str) -> logging.Logger:
    """The logger of a module, in whose messages the arguments are `visible`."""
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
