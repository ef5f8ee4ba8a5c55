"""Texts as they are written in code that somebody will paste; what is not printable is always escaped."""

from __future__ import annotations

import json
import re
import shlex

from h5lightning.core.visible import visible

__all__ = ["hydra_text", "python_text", "shell_word", "yaml_text"]


def python_text(text: str) -> str:
    """A literal of Python."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)


def yaml_text(text: str) -> str:
    """A text of YAML in double quotes; its escapes are those of Python (json has no names for all characters)."""
    return '"' + visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def hydra_text(text: str) -> str:
    """A quoted text of Hydra's grammar, which knows no escapes: for `shell_word`, and not to be printed."""
    # Backslashes are plain, except before a quote, where each must be doubled.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)\Z", r"\1\1", escaped) + '"'


def shell_word(text: str) -> str:
    """One word of a command line for bash, zsh and ksh; plain where that is possible."""
    if re.fullmatch(r"[\w./:-]+", text, re.ASCII):
        return text
    return shlex.quote(text) if text.isprintable() else f"$'{''.join(map(_shell_character, text))}'"


def _shell_character(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    # By bytes: what \u means depends on the locale.
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in _encoded(char))


def _encoded(char: str) -> bytes:
    try:
        return char.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return char.encode("utf-8", "surrogatepass")
