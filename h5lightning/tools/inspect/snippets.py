"""Code to paste for a suggestion: Python, YAML for Hydra, and a command line."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from h5lightning.core.visible import hydra_text, python_text, shell_word, yaml_text
from h5lightning.options import Field, Rows, Split
from h5lightning.options.samples import StageSamples
from h5lightning.storage.discovery.patterns import escape
from h5lightning.tools.overview.suggest import Suggestion

__all__ = ["Code", "code_for"]

_WIDTH = 78
# Hydra's grammar and YAML both read these without quotes: https://hydra.cc/docs/advanced/override_grammar/basic
_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.+/)[A-Za-z0-9_./*?%+-]*", re.ASCII)
_YAML_WORDS = frozenset(["null", "true", "false", "yes", "no", "on", "off", "nan", "inf"])
# A variable in a pattern, with the same syntax as `discovery`, and the backslashes before it.
_VARIABLE = re.compile(r"(\\*)\$\{([^{}]*)\}")
_MISSING = "???"  # means "no value" in OmegaConf


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """Code for the same data: Python that creates ``dm``, a configuration for Hydra, and a command line."""

    python: str
    yaml: str
    command: str


def code_for(suggestion: Suggestion) -> Code:
    """Code for the arguments that differ from the defaults."""
    arguments = _arguments(suggestion)
    config = _for_config(arguments, suggestion.fields)
    return Code(_python(arguments), _yaml(config), _command(config, suggestion.is_categorical))


def _arguments(suggestion: Suggestion) -> dict[str, Any]:
    files = suggestion.files
    arguments: dict[str, Any] = {"files": files[0] if len(files) == 1 else list(files)}
    if suggestion.fields is not None:
        arguments["fields"] = {key: _short(field) for key, field in suggestion.fields.items()}
    if isinstance(suggestion.samples, StageSamples):
        arguments["samples"] = _changes(suggestion.samples)
    elif suggestion.samples != Rows():
        arguments["samples"] = suggestion.samples
    if suggestion.series is not None:
        arguments["series"] = suggestion.series
    options = {name: getattr(suggestion, name) for name in ("split", "shuffle", "access")}
    arguments |= {name: option for name, option in options.items() if option is not None and _changes(option)}
    return arguments | ({"dtype": suggestion.dtype} if suggestion.dtype else {})


def _short(field: Any) -> Any:
    """A field in its shortest form: its path, if nothing else is set."""
    changes = _changes(field)
    # A text that begins with attr: names an attribute.
    is_path = set(changes) == {"path"} and isinstance(field.path, str)
    if is_path and not field.path.startswith("attr:"):
        return field.path
    return f"attr:{field.attr}" if set(changes) == {"attr"} else field


def _changes(option: Any) -> dict[str, Any]:
    """The values of an option that differ from the defaults."""
    fields = dataclasses.fields(option)
    if isinstance(option, Split) and option.given:
        # Their defaults do not apply then.
        fields = tuple(field for field in fields if field.name not in ("val", "test"))
    return {field.name: value for field in fields if (value := getattr(option, field.name)) != field.default}


def _python(arguments: Mapping[str, Any]) -> str:
    names = sorted({"H5DataModule", *_options_in(arguments.values())})
    lines = [f"    {name}={_literal(value, len(name) + 6)}," for name, value in arguments.items()]
    return "\n".join([f"from h5lightning import {', '.join(names)}", "", "dm = H5DataModule(", *lines, ")"])


def _options_in(values: Any) -> set[str]:
    names = set()
    for value in values:
        if dataclasses.is_dataclass(value):
            names.add(type(value).__name__)
        elif isinstance(value, Mapping):
            names |= _options_in(value.values())
    return names


def _literal(value: Any, column: int = 0) -> str:
    if isinstance(value, Mapping):
        items = [f"{_literal(key)}: {_literal(item)}" for key, item in value.items()]
        return _enclosed("{", items, "}", column)
    if isinstance(value, tuple) and all(type(item) is int for item in value):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return _enclosed("[", [_literal(item) for item in value], "]", column)
    if dataclasses.is_dataclass(value):
        given = [f"{name}={_literal(item)}" for name, item in _changes(value).items()]
        if given:  # what a field or a window is begins with its path or its length
            given[0] = re.sub(r"^(?:path|length)=", "", given[0])
        return f"{type(value).__name__}({', '.join(given)})"
    if isinstance(value, str):
        return python_text(value)
    return repr(value)


def _enclosed(opening: str, items: Sequence[str], closing: str, column: int) -> str:
    line = opening + ", ".join(items) + closing
    if column + len(line) < _WIDTH:
        return line
    return "\n".join([opening, *(f"        {item}," for item in items), f"    {closing}"])


def _for_config(arguments: Mapping[str, Any], fields: Mapping[str, Field] | None) -> dict[str, Any]:
    r"""The arguments without ``${…}`` in names; patterns keep it only for variables that the user typed.

    Escaping it as ``\${…}`` does not work: Hydra resolves a configuration twice when it instantiates an object.
    """
    files = arguments["files"]
    changed: dict[str, Any] = {
        "files": _pattern(files) if isinstance(files, str) else [_pattern(text) for text in files]
    }
    if fields is not None:
        changed["fields"] = {key: _config_field(field) for key, field in fields.items()}
    return {**arguments, **changed}


def _pattern(text: str) -> str:
    """A pattern in which OmegaConf finds the same variables as `discovery`, and no others."""
    if text == _MISSING:
        return f"./{text}"
    mark, name = ("!", text[1:]) if text.startswith("!") and not os.path.isfile(text) else ("", text)
    if "${" in name and os.path.isfile(name):
        return mark + escape(name)
    pieces = _VARIABLE.split(text)
    literal = [piece.replace("${", "[$]{") for piece in pieces[::3]]
    variables = [*map(_interpolation, pieces[1::3], pieces[2::3]), ""]
    return "".join(part for pair in zip(literal, variables, strict=True) for part in pair)


def _interpolation(backslashes: str, variable: str) -> str:
    """An interpolation that reads a variable; OmegaConf halves the backslashes before it."""
    name = variable if re.fullmatch(r"\w+", variable, re.ASCII) else f"'{variable}'"
    return f"{2 * backslashes}${{oc.env:{name}}}"


def _config_field(field: Field) -> Any:
    """A field in its shortest form; names that OmegaConf would change are written in pieces."""
    changes = _changes(field)
    changed = {
        name: in_pieces for name, value in changes.items() if (in_pieces := _in_pieces(value)) != value
    }
    return changes | changed if changed else _short(field)


def _in_pieces(value: Any) -> Any:
    """A name, or a list of names, with each name that OmegaConf would change in pieces; else the value itself."""
    if isinstance(value, (list, tuple)):
        is_names = all(isinstance(name, str) for name in value)
        return [piece for name in value for piece in _pieces(name)] if is_names else value
    pieces = _pieces(value) if isinstance(value, str) else []
    return pieces if len(pieces) > 1 else value


def _pieces(name: str) -> list[str]:
    return ["?", "??"] if name == _MISSING else re.split(r"(?<=\$)(?=\{)", name)


def _yaml(arguments: Mapping[str, Any]) -> str:
    lines = [line for name, value in arguments.items() for line in _yaml_lines(name, value)]
    return "\n".join(["defaults:", "  - data: h5", "  - _self_", "", "data:", *lines])


def _yaml_lines(name: str, value: Any) -> list[str]:
    line = f"  {name}: {_flow(value, yaml_text)}"
    if len(line) <= _WIDTH or not isinstance(value, (list, Mapping)):
        return [line]
    if isinstance(value, list):
        return [f"  {name}:", *(f"    - {_flow(item, yaml_text)}" for item in value)]
    return [f"  {name}:", *(f"    {key}: {_flow(item, yaml_text)}" for key, item in value.items())]


def _command(arguments: Mapping[str, Any], is_categorical: bool | None) -> str:
    overrides = []
    for name, value in arguments.items():
        # The keys of split, shuffle and access are known to Hydra, so that each can be set alone.
        is_single = name in ("split", "shuffle", "access")
        parts = (
            {f"{name}.{key}": item for key, item in _changes(value).items()} if is_single else {name: value}
        )
        overrides += [f"data.{key}={shell_word(_flow(item, hydra_text))}" for key, item in parts.items()]
    if is_categorical is not None:
        overrides.append(f"model={'classifier' if is_categorical else 'regressor'}")
    line = " ".join(["h5lightning train", *overrides])
    return line if len(line) <= _WIDTH else " \\\n  ".join(["h5lightning train", *overrides])


def _flow(value: Any, quote: Callable[[str], str]) -> str:
    """A value on one line, in the syntax that YAML and Hydra's grammar share, except for their quotes."""
    if dataclasses.is_dataclass(value):
        kind = getattr(value, "kind", None)
        return _flow({**({"kind": kind} if kind else {}), **_changes(value)}, quote)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item, quote) for item in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS
    return value if is_plain else quote(value)
