"""From what a user may write to options: wherever an option is accepted, a mapping with its keys is too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_choice, nearest
from h5lightning.options.field import Field
from h5lightning.options.samples import Rows, Samples, Whole, Windows
from h5lightning.options.split import Split

__all__ = ["check_series", "coerce", "coerce_fields", "coerce_samples", "split_for"]

T = TypeVar("T")

_NAMES = ("path", "attr", "member")  # of a field; may be given in pieces

_SERIES = ("file",)
_SAMPLE_KINDS: dict[str, type[Samples]] = {kind.kind: kind for kind in (Rows, Windows, Whole)}


def coerce(kind: type[T], value: object, name: str) -> T:
    """The option itself, or the option that a mapping describes.

    Args:
        kind: the option class.
        value: an instance, a mapping with the same keys, or None for the defaults.
        name: how the user calls the argument, for the error.

    Raises:
        OptionError: an unknown key (the nearest known one is named), or a value that the option refuses.
    """
    if isinstance(value, kind):
        return value
    if value is None:
        return kind()
    if not isinstance(value, Mapping):
        raise OptionError(f"{name} must be {kind.__name__} or a mapping with its keys, found {value!r}")
    options = dataclasses.fields(cast("Any", kind))
    known = [option.name for option in options]
    for key in value:
        if key not in known:
            raise OptionError(f"{name} has no option {key!r}{nearest(key, known)}")
    for option in options:
        if option.default is dataclasses.MISSING and option.name not in value:
            raise OptionError(f"{name} needs {option.name!r}, found {dict(value)!r}")
    return kind(**dict(value))


def split_for(files: object, value: object) -> Split:
    """The split of what the user wrote, given the patterns that it applies to.

    With a mapping of files, sizes apply only if they are given, and only for splits that it does not name.

    Args:
        files: patterns, or a mapping of splits to patterns.
        value: a `Split`, a mapping with its keys, or None.
    """
    if not isinstance(files, Mapping):
        return coerce(Split, value, "split")
    if value is None or isinstance(value, Mapping):
        value = {"val": None, "test": None, **(value or {})}
    split = coerce(Split, value, "split")
    val, test = (None if name in files else getattr(split, name) for name in ("val", "test"))
    return dataclasses.replace(split, val=val, test=test)


def coerce_samples(value: object) -> Samples:
    """Rows, windows or whole series, from an option, a mapping with ``kind`` or None (rows)."""
    if value is None:
        return Rows()
    if isinstance(value, (Rows, Windows, Whole)):
        return value
    if not isinstance(value, Mapping):
        raise OptionError(f"samples must be Rows, Windows, Whole or a mapping with 'kind', found {value!r}")
    options = dict(value)
    kind = options.pop("kind", "windows" if "length" in options else None)
    check_choice("samples.kind", kind, tuple(_SAMPLE_KINDS))
    for reserved in ("axis", "pad"):
        if reserved in options:
            raise OptionError(f"samples.{reserved} is reserved and not available yet")
    return coerce(_SAMPLE_KINDS[cast("str", kind)], options, "samples")


def check_series(value: object) -> None:
    """Raise `OptionError` unless ``value`` is None or names what a series is."""
    if value is not None:
        check_choice("series", value, _SERIES)


def coerce_fields(value: object) -> dict[str, Field] | None:
    """Sample key → `Field`, from what a user may write; None stays None (all eligible datasets).

    Raises:
        OptionError: an entry that is no path, ``attr:NAME``, `Field` or mapping, or no entry at all.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    entries = dict(value) if isinstance(value, Mapping) else _listed_fields(value)
    if not entries:
        raise OptionError("fields names nothing: give at least one, or leave it out to use all that fit")
    for key, option in (("sample_id", "provenance=True"), ("is_repeat", "eval_tail='repeat'")):
        if key in entries:
            raise OptionError(f"fields: the key {key!r} is reserved for {option}; choose another key")
    return {str(key): _field(str(key), entry) for key, entry in entries.items()}


def _listed_fields(value: object) -> dict[object, object]:
    if not isinstance(value, Iterable):
        raise OptionError(f"fields must map keys to paths or list paths, found {value!r}")
    paths = list(value)
    if not all(isinstance(path, str) for path in paths):
        known = next((path for path in paths if isinstance(path, Field) and path.path), None)
        how = f": {{{known.path!r}: {known.text()}}}" if known else ""
        raise OptionError(
            f"a list of fields holds paths, which become the keys; found {paths!r}. Options need a mapping{how}"
        )
    return {path.strip("/"): path for path in paths}


def _field(key: str, value: object) -> Field:
    if isinstance(value, str):
        return Field(attr=value.removeprefix("attr:")) if value.startswith("attr:") else Field(value)
    if not isinstance(value, (Field, Mapping)):
        raise OptionError(f"fields.{key} must be a path, 'attr:NAME', a Field or a mapping, found {value!r}")
    return coerce(Field, _joined(value) if isinstance(value, Mapping) else value, f"fields.{key}")


def _joined(option: Mapping[Any, Any]) -> dict[Any, Any]:
    """The option with names in one piece.

    OmegaConf would read a name that holds ``${…}``, however often it is escaped, once more than that; in pieces,
    ``["$", "{…}"]``, it is only text.
    """
    return {
        name: "".join(value) if name in _NAMES and _is_pieces(value) else value
        for name, value in option.items()
    }


def _is_pieces(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(piece, str) for piece in value)
