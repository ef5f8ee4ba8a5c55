"""Lists of names and of values, as users write them in the options of a field."""

from __future__ import annotations

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_text

__all__ = ["as_list", "category_values", "check_names"]


def check_names(name: str, value: object) -> None:
    """Raise `OptionError` unless the value is text, None, or a list of at least one text."""
    if not isinstance(value, list):
        check_text(name, value)
    elif not value:
        raise OptionError(f"{name} is an empty list: name at least one, or leave it out")
    else:
        for one in value:
            if not isinstance(one, str) or not one.strip("/"):
                raise OptionError(f"{name} must be a list of names, found {one!r} in {value!r}")


def category_values(values: object) -> tuple[str | int, ...]:
    """The values of categories in the order of their numbers."""
    if not isinstance(values, list) or not values:
        raise OptionError(
            f"field.categories must be true, for all values that occur, or a list of values; found {values!r}"
        )
    kinds = {type(one) for one in values}
    if kinds - {str, int} or len(kinds) > 1:
        raise OptionError(f"field.categories must list texts, or whole numbers; found {values!r}")
    if len(set(values)) < len(values):
        twice = next(one for one in values if values.count(one) > 1)
        raise OptionError(f"field.categories names {twice!r} twice: {values!r}")
    return tuple(values)


def as_list(value: object) -> object:
    """A tuple of names as the list that users write; anything else as it is."""
    is_names = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    return list(value) if is_names and isinstance(value, tuple) else value
