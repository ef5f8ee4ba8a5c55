"""Text as a literal in code that a user will paste; characters that are not printable are escaped."""

from __future__ import annotations

import json
import re
import shlex

from h5lightning.core.visible import visible

__all__ = ["hydra_text", "python_text", "shell_word", "yaml_text"]


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
