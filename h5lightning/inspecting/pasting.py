"""A suggestion as code to paste: Python, YAML for Hydra, and the command line."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from h5lightning.inspecting.suggesting import Suggestion
from h5lightning.options import Whole

__all__ = ["Code", "code_for"]

_WIDTH = 78
# Hydra's grammar and YAML both take these as they are; https://hydra.cc/docs/advanced/override_grammar/basic
_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.+/)[A-Za-z0-9_./*?%+-]*", re.ASCII)
_WORDS_OF_YAML = frozenset(["null", "true", "false", "yes", "no", "on", "off", "nan", "inf"])
_VARIABLE = re.compile(r"\$\{(\w+)\}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """The same data three times.

    Args:
        python: statements that make ``dm``.
        yaml: a configuration of a Hydra application.
        command: a command line.
    """

    python: str
    yaml: str
    command: str


def code_for(suggestion: Suggestion) -> Code:
    """Code for the arguments that differ from the defaults."""
    arguments = _arguments(suggestion)
    return Code(_python(arguments), _yaml(arguments), _command(arguments, suggestion.is_categorical))


def _arguments(suggestion: Suggestion) -> dict[str, Any]:
    files = suggestion.files
    found: dict[str, Any] = {"files": files[0] if len(files) == 1 else list(files)}
    if suggestion.fields is not None:
        found["fields"] = {key: _short(field) for key, field in suggestion.fields.items()}
    if isinstance(suggestion.samples, Whole):
        found["samples"] = suggestion.samples
    found |= {name: option for name in ("split", "access") if _changes(option := getattr(suggestion, name))}
    return found | ({"dtype": suggestion.dtype} if suggestion.dtype else {})


def _short(field: Any) -> Any:
    """A field as users write it: its path, where that is all."""
    changes = _changes(field)
    if set(changes) == {"path"}:
        return field.path
    return f"attr:{field.attr}" if set(changes) == {"attr"} else field


def _changes(option: Any) -> dict[str, Any]:
    """What an option sets other than by default."""
    own = {field.name: (getattr(option, field.name), field.default) for field in dataclasses.fields(option)}
    return {name: value for name, (value, default) in own.items() if value != default}


# ── Python ───────────────────────────────────────────────────────────────────────────────────────────


def _python(arguments: Mapping[str, Any]) -> str:
    names = sorted({"H5DataModule", *_options_in(arguments.values())})
    lines = [f"    {name}={_literal(value, len(name) + 6)}," for name, value in arguments.items()]
    return "\n".join([f"from h5lightning import {', '.join(names)}", "", "dm = H5DataModule(", *lines, ")"])


def _options_in(values: Any) -> set[str]:
    found = set()
    for value in values:
        if dataclasses.is_dataclass(value):
            found.add(type(value).__name__)
        elif isinstance(value, Mapping):
            found |= _options_in(value.values())
    return found


def _literal(value: Any, column: int = 0) -> str:
    if isinstance(value, Mapping):
        return _enclosed(
            "{", [f"{_literal(key)}: {_literal(item)}" for key, item in value.items()], "}", column
        )
    if isinstance(value, list):
        return _enclosed("[", [_literal(item) for item in value], "]", column)
    if dataclasses.is_dataclass(value):
        given = [f"{name}={_literal(item)}" for name, item in _changes(value).items()]
        if "path" in _changes(value):
            given[0] = given[0].removeprefix("path=")
        return f"{type(value).__name__}({', '.join(given)})"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
    return repr(value)


def _enclosed(opening: str, items: Sequence[str], closing: str, column: int) -> str:
    line = opening + ", ".join(items) + closing
    if column + len(line) < _WIDTH:
        return line
    return "\n".join([opening, *(f"        {item}," for item in items), f"    {closing}"])


# ── YAML and the command line ────────────────────────────────────────────────────────────────────────


def _yaml(arguments: Mapping[str, Any]) -> str:
    lines = [line for name, value in arguments.items() for line in _yaml_lines(name, value)]
    return "\n".join(["defaults:", "  - data: h5", "  - _self_", "", "data:", *lines])


def _yaml_lines(name: str, value: Any) -> list[str]:
    line = f"  {name}: {_flow(value, json.dumps)}"
    if len(line) <= _WIDTH or not isinstance(value, (list, Mapping)):
        return [line]
    if isinstance(value, list):
        return [f"  {name}:", *(f"    - {_flow(item, json.dumps)}" for item in value)]
    return [f"  {name}:", *(f"    {key}: {_flow(item, json.dumps)}" for key, item in value.items())]


def _command(arguments: Mapping[str, Any], is_categorical: bool | None) -> str:
    overrides = []
    for name, value in arguments.items():
        # What a split and access consist of are known keys, so that each can be set alone.
        is_single = name in ("split", "access")
        parts = (
            {f"{name}.{key}": item for key, item in _changes(value).items()} if is_single else {name: value}
        )
        overrides += [f"data.{key}={_for_shell(_flow(item, _hydra_quote))}" for key, item in parts.items()]
    if is_categorical is not None:
        overrides.append(f"model={'classifier' if is_categorical else 'regressor'}")
    line = " ".join(["h5lightning train", *overrides])
    return line if len(line) <= _WIDTH else " \\\n  ".join(["h5lightning train", *overrides])


def _flow(value: Any, quote: Callable[[str], str]) -> str:
    """A value on one line, as YAML and Hydra's grammar both know it but for their quotes."""
    if dataclasses.is_dataclass(value):
        kind = getattr(value, "kind", None)
        return _flow({**({"kind": kind} if kind else {}), **_changes(value)}, quote)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, quote) for item in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    text = _VARIABLE.sub(r"${oc.env:\1}", value)
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML else quote(text)


def _hydra_quote(text: str) -> str:
    # Backslashes are plain, except before a quote, where each must be doubled.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def _for_shell(text: str) -> str:
    return text if re.fullmatch(r"[\w./:-]+", text, re.ASCII) else shlex.quote(text)
