"""Read the names of stored numbers from the attributes of CF: ``flag_values``, ``flag_meanings``, ``flag_masks``."""

from __future__ import annotations

from h5lightning.planning.catalog.annotations import FlagNames, Number
from h5lightning.storage.hdf5.dataset_info import DatasetInfo
from h5lightning.storage.scanning.conventions.number_attributes import NotNumbersError, read_numbers
from h5lightning.storage.scanning.metadata_values import ValueReader

__all__ = ["flag_names"]

_VALUES, _MEANINGS, _MASKS = b"flag_values", b"flag_meanings", b"flag_masks"


def flag_names(info: DatasetInfo, reader: ValueReader) -> FlagNames | None:
    """The names of the numbers of a dataset; None if its attributes give none.

    Raises:
        NeedsProcessError: text must be read in a scanning process.
    """
    if _MEANINGS not in info.attributes or not info.attributes & {_VALUES, _MASKS}:
        return None
    if _MASKS in info.attributes:
        return FlagNames(
            problem="has flag_masks: each of its numbers may stand for several flags at once, so it is no category"
        )
    try:
        values: list[Number] = read_numbers(info.did, _VALUES).tolist()
    except NotNumbersError as error:
        return FlagNames(problem=f"has an attribute 'flag_values' that {error}, expected numbers")
    meanings = reader.attribute(info.did, _MEANINGS.decode())
    names = meanings.split() if isinstance(meanings, str) else meanings
    is_text = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_text or len(names) != len(values):
        found = f"{len(names)} names" if is_text else f"{meanings!r}"
        return FlagNames(
            problem=f"has {len(values)} flag_values, and flag_meanings with {found}: expected as many"
        )
    return FlagNames(tuple(values), tuple(names))
