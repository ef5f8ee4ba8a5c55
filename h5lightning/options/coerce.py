"""Options from the values that users write: an option, a mapping with its keys, a path, or None."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar, cast

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_choice, did_you_mean
from h5lightning.options.field import Field
from h5lightning.options.normalize import Normalize
from h5lightning.options.samples import STAGES, Rows, Samples, SamplesOption, StageSamples, Whole, Windows
from h5lightning.options.series import Series
from h5lightning.options.split import Split
from h5lightning.options.table import Table

__all__ = [
    "SeriesOption",
    "coerce",
    "coerce_fields",
    "coerce_normalize",
    "coerce_one_samples",
    "coerce_samples",
    "coerce_series",
    "coerce_table",
    "split_for",
]

# What the user says of series: nothing, each file, or something else.
SeriesOption: TypeAlias = Series | Literal["file"] | None

T = TypeVar("T")

_NAMES = ("path", "attr", "member")  # options of a field that may be given in pieces
_SAMPLE_KINDS: dict[str, type[Samples]] = {kind.kind: kind for kind in (Rows, Windows, Whole)}


def coerce(kind: type[T], value: object, name: str) -> T:
    """The option itself, or the option of a mapping with its keys, or of None for the defaults.

    Raises:
        OptionError: a key is unknown (the error names the nearest known key) or missing, or a value is refused.
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
            raise OptionError(f"{name} has no option {key!r}{did_you_mean(key, known)}")
    for option in options:
        if option.default is dataclasses.MISSING and option.name not in value:
            raise OptionError(f"{name} needs {option.name!r}, found {dict(value)!r}")
    return kind(**dict(value))


def split_for(files: object, value: object) -> Split:
    """The split options for these files.

    If ``files`` maps splits to patterns, fractions apply only if they are given, and only to splits that it lacks.
    """
    if not isinstance(files, Mapping):
        return coerce(Split, value, "split")
    if value is None or isinstance(value, Mapping):
        value = {"val": None, "test": None, **(value or {})}
    split = coerce(Split, value, "split")
    val, test = (None if name in files else getattr(split, name) for name in ("val", "test"))
    return dataclasses.replace(split, val=val, test=test)


def coerce_samples(value: object) -> SamplesOption:
    """The layout of samples: one for all stages, or one for each, from a mapping with only names of stages.

    Raises:
        OptionError: see `coerce_one_samples`; or there is no layout for ``train``.
    """
    if isinstance(value, StageSamples):
        return value
    if not isinstance(value, Mapping) or not any(key in STAGES for key in value):
        return coerce_one_samples(value)
    if other := [key for key in value if key not in STAGES]:
        raise OptionError(
            f"samples has a layout for {next(key for key in value if key in STAGES)!r}, but {other[0]!r} is no stage"
            f"{did_you_mean(other[0], STAGES)}"
        )
    if value.get("train") is None:
        raise OptionError(
            f"samples names {', '.join(map(repr, value))} and lacks 'train', whose layout the other stages share where "
            "they have none: add it, for example {train: {length: 5}}"
        )
    return StageSamples(**{stage: _samples_of(stage, one) for stage, one in value.items() if one is not None})


def _samples_of(stage: str, value: object) -> Samples:
    try:
        return coerce_one_samples(value)
    except OptionError as error:
        raise OptionError(f"samples.{stage}: {error}") from None


def coerce_one_samples(value: object) -> Samples:
    """One layout of samples, from an option, a mapping with ``kind``, or None for rows.

    Raises:
        OptionError: anything else, an unknown key, or a layout for each stage.
    """
    if value is None:
        return Rows()
    if isinstance(value, (Rows, Windows, Whole)):
        return value
    if isinstance(value, StageSamples) or (isinstance(value, Mapping) and value and {*value} <= {*STAGES}):
        raise OptionError(
            "samples has a layout for each stage, which only H5DataModule takes: here, give one of them, such as "
            "samples=Windows(5)"
        )
    if not isinstance(value, Mapping):
        raise OptionError(f"samples must be Rows, Windows, Whole or a mapping with 'kind', found {value!r}")
    options = dict(value)
    implied = "windows" if "length" in options else "whole" if "take" in options else None
    kind = options.pop("kind", implied)
    for name, one in options.items():
        if kind is None and isinstance(one, (Rows, Windows, Whole, Mapping)):
            raise OptionError(
                f"samples has a layout for {name!r}, which is no stage{did_you_mean(name, STAGES)}"
            )
    if kind is None:
        kinds = ", ".join(map(repr, _SAMPLE_KINDS))
        raise OptionError(
            f"samples needs a kind, one of {kinds}, or a length, which makes windows; found {dict(value)!r}"
        )
    check_choice("samples.kind", kind, tuple(_SAMPLE_KINDS))
    return coerce(_SAMPLE_KINDS[cast("str", kind)], options, "samples")


def coerce_series(value: object) -> SeriesOption:
    """What a series is: `Series`, a mapping with its keys, ``file``, or None.

    Raises:
        OptionError: anything else, or an unknown key.
    """
    if value is None or value == "file":
        return cast("SeriesOption", value)
    if not isinstance(value, (Series, Mapping)):
        raise OptionError(f"series must be 'file', Series or a mapping with its keys, found {value!r}")
    return coerce(Series, value, "series")


def coerce_table(value: object) -> Table | None:
    """The table beside the files: `Table`, a mapping with its keys, or None.

    Raises:
        OptionError: anything else, or an unknown key.
    """
    return None if value is None else coerce(Table, value, "table")


def coerce_normalize(value: object) -> dict[str, Normalize] | None:
    """Field key → `Normalize`, from a mapping of keys to its kind, to options or to mappings with their keys.

    Raises:
        OptionError: anything else, or an unknown key.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise OptionError(
            f"normalize must map keys of fields to 'standard', 'minmax', 'quantile' or Normalize(…), found {value!r}"
        )
    options = {str(key): {"kind": one} if isinstance(one, str) else one for key, one in value.items()}
    return {key: coerce(Normalize, one, f"normalize.{key}") for key, one in options.items()} or None


def coerce_fields(value: object) -> dict[str, Field] | None:
    """Sample key → `Field`; None stays None (all suitable datasets).

    Args:
        value: a path, a list of paths, or a mapping from sample keys to paths, ``attr:NAME``, `Field` or mappings.

    Raises:
        OptionError: an entry has another type, or there is no entry.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    entries = dict(value) if isinstance(value, Mapping) else _listed_fields(value)
    if not entries:
        raise OptionError("fields is empty: name at least one dataset, or omit it to use every suitable one")
    for key, option in (("sample_id", "provenance=True"), ("is_repeat", "eval_tail='repeat'")):
        if key in entries:
            raise OptionError(f"fields: the key {key!r} is reserved for {option}; choose another key")
    return {str(key): _field(str(key), entry) for key, entry in entries.items()}


def _listed_fields(value: object) -> dict[object, object]:
    if not isinstance(value, Iterable):
        raise OptionError(f"fields must map keys to paths or list paths, found {value!r}")
    paths = list(value)
    if not all(isinstance(path, str) for path in paths):
        field = next((path for path in paths if isinstance(path, Field) and path.path), None)
        how = f": {{{field.parts()[0].path!r}: {field.text()}}}" if field else ""
        raise OptionError(
            f"a list of fields may hold only paths, which become the keys; found {paths!r}. For options, use a "
            f"mapping{how}"
        )
    return {path.strip("/"): path for path in paths}


def _field(key: str, value: object) -> Field:
    if isinstance(value, str):
        return Field(attr=value.removeprefix("attr:")) if value.startswith("attr:") else Field(value)
    if not isinstance(value, (Field, Mapping)):
        raise OptionError(f"fields.{key} must be a path, 'attr:NAME', a Field or a mapping, found {value!r}")
    return coerce(Field, _joined(value) if isinstance(value, Mapping) else value, f"fields.{key}")


def _joined(option: Mapping[Any, Any]) -> dict[Any, Any]:
    """The option with each name in one piece.

    OmegaConf interpolates ``${…}`` in a name, however often it is escaped, and ``???`` is a value that is missing. In
    pieces, ``["$", "{…}"]`` and ``["?", "??"]``, they are text. Other lists are lists of names.
    """
    return {name: _in_one_piece(value) if name in _NAMES else value for name, value in option.items()}


def _in_one_piece(value: object) -> object:
    if not isinstance(value, (list, tuple)) or not all(isinstance(piece, str) for piece in value):
        return value
    names: list[str] = []
    for piece in value:
        before = names[-1] if names else ""
        if (before.endswith("$") and piece.startswith("{")) or (before, piece) == ("?", "??"):
            names[-1] += piece
        else:
            names.append(piece)
    is_one = len(names) == 1 and len(value) > 1
    return names[0] if is_one else names
