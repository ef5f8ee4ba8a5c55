"""Values as plain types, the only ones that a checkpoint may hold to be read with ``weights_only``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, cast

__all__ = ["make_plain", "to_plain"]


def to_plain(value: object) -> Any:
    """Options, mappings and sequences as dicts, lists and scalars, for hyperparameters and checkpoints."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return kind | {key: to_plain(item) for key, item in dataclasses.asdict(value).items()}
    return _plain(value)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, str) or hasattr(value, "__fspath__"):
        return str(value)
    if getattr(value, "ndim", None) == 0:  # a NumPy scalar, or an array or tensor of one number
        return cast("Any", value).item()
    return [to_plain(item) for item in value] if isinstance(value, Iterable) else value


def make_plain(option: object) -> None:
    """Turn the values of an option into plain types, in place."""
    for field in dataclasses.fields(cast("Any", option)):
        object.__setattr__(option, field.name, _plain(getattr(option, field.name)))
