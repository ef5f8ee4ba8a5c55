"""Which rows count: conditions on values, by the key of a field or the path of a dataset."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from h5lightning.errors import OptionError
from h5lightning.options.checks import to_plain

__all__ = ["Condition", "Range", "Where", "coerce_where"]


@dataclasses.dataclass(frozen=True)
class Range:
    """Values of at least ``min`` and below ``below``; None where there is no bound."""

    min: float | None = None
    below: float | None = None


# "finite"; "true" for a mask; a range; or a list of values.
Condition: TypeAlias = str | Range | list[Any]
Where: TypeAlias = dict[str, Condition]


def coerce_where(value: object) -> Where | None:
    """The conditions of rows, by field key or path; all of them must hold.

    A condition is ``"finite"``; ``True`` for a mask, whose elements must all be true; a tuple ``(a, b)`` for values of
    at least a and below b, None where there is no bound, in YAML ``{min: a, below: b}``; or a list of values.

    Raises:
        OptionError: anything else.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise OptionError(f"where must map keys of fields, or paths, to conditions; found {value!r}")
    return {str(key): _condition(str(key), one) for key, one in value.items()} or None


def _condition(key: str, value: Any) -> Condition:
    if value in ("finite", "true") and isinstance(value, str):
        return value
    if value is True:
        return "true"
    if isinstance(value, Range):
        value = (value.min, value.below)
    if isinstance(value, Mapping) and value and not set(value) - {"min", "below"}:
        value = (value.get("min"), value.get("below"))
    if isinstance(value, tuple) and len(value) == 2:
        low, below = (_bound(key, to_plain(one)) for one in value)
        if low is None and below is None:
            raise OptionError(
                f"where.{key}: the range {value!r} has no bound; 'finite' leaves out NaN and infinity"
            )
        if low is not None and below is not None and not low < below:
            raise OptionError(
                f"where.{key}: the range {value!r} holds no value: its first bound must be the lower one"
            )
        return Range(low, below)
    values = to_plain(value)
    if isinstance(values, list) and values and all(type(one) in (str, int, float, bool) for one in values):
        return values
    raise OptionError(
        f"where.{key} must be 'finite', True for a mask, a tuple (low, below) with None for no bound, or a list of "
        f"values; found {value!r}"
    )


def _bound(key: str, value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (is_number and not math.isnan(value)):
        return value  # type: ignore[no-any-return]
    raise OptionError(f"where.{key}: the bounds of a range must be numbers or None, found {value!r}")
