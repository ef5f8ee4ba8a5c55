"""Which categories a field has, and which number each value is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from judging.divisions import RefusedError
from judging.labels import plain
from judging.options import FieldOption
from judging.places import Array, Part

if TYPE_CHECKING:
    from judging.contract import Contract

__all__ = ["UNKNOWN", "Vocabularies"]

UNKNOWN = -999  # stands for a value that is no category, where this is an error


class Vocabularies:
    """The categories of all fields of a case.

    Args:
        contract: what the case means.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._known: dict[FieldOption, list[Any]] = {}

    def of(self, field: FieldOption) -> list[Any]:
        """The categories in the order of their numbers."""
        if field not in self._known:
            self._known[field] = self._find(field)
        return self._known[field]

    def numbers(self, field: FieldOption, values: Array) -> Array:
        """The number of each value."""
        numbers = {value: number for number, value in enumerate(self.of(field))}
        other = UNKNOWN if field.unknown is None else field.unknown
        found = np.empty(np.shape(values), np.int64)
        for place in np.ndindex(found.shape):
            found[place] = numbers.get(plain(np.asarray(values, object)[place]), other)
        return found.astype(field.dtype or np.int64)

    def text(self, field: FieldOption) -> tuple[str, ...]:
        """The names of the categories."""
        return tuple(map(str, self.of(field)))

    def _find(self, field: FieldOption) -> list[Any]:
        if isinstance(field.categories, tuple):
            return list(field.categories)
        found = {plain(value) for values in self.every(field) for value in np.asarray(values, object).flat}
        found.discard(None)
        if not found:
            raise RefusedError("no category occurs")
        if len({isinstance(value, str) for value in found}) > 1:
            raise RefusedError("categories that are text and numbers")
        return sorted(found)

    def every(self, field: FieldOption) -> Iterator[Any]:
        """All values that occur in any file."""
        contract = self._contract
        if contract.table is not None and field.table_column is not None:
            yield [line[field.table_column] for line in contract.table.used]
        elif field.attr is not None:
            yield from (contract.attribute_of(one, field) for one in contract.series)
        else:
            used = {(one.file, one.text) for one in contract.series}
            is_all = contract.table is None  # files without a line may be left out
            for file, text in (unit for unit in contract.units if is_all or unit in used):
                yield from (contract.files.seen_by(field, file, path, text) for path in field.paths)

    def _strict(self) -> list[tuple[str, FieldOption]]:
        """The fields in which a value that is no category is an error."""
        fields = self._contract.fields.items()
        return [(key, one) for key, one in fields if one.categories is not None and one.unknown is None]

    @property
    def has_unknown(self) -> bool:
        """Whether a value in a file is no category, and this is an error."""
        return any(
            UNKNOWN in self.numbers(field, np.asarray(values, object))
            for _, field in self._strict()
            for values in self.every(field)
        )

    def has_unknown_in(self, stage: str, ids: Mapping[int, Part]) -> bool:
        """Whether a sample of a stage reads such a value."""
        contract, samples = self._contract, self._contract.case.stage_samples[stage]
        return any(
            UNKNOWN in contract.value(key, contract.everything[number], samples, part)
            for key, _ in self._strict()
            for number, part in ids.items()
        )
