"""Read the attributes of matches: at the matched object, then at the groups above it, then at the file."""

from __future__ import annotations

from typing import Any

from h5py import h5a, h5f, h5o

from h5lightning.core.star_paths import concrete, split_at_star
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.matches.places import Place
from h5lightning.storage.scanning.metadata_values import ValueReader, attribute_value, read_attributes
from h5lightning.storage.scanning.scan_request import ScanRequest

__all__ = ["MatchAttributes"]


class MatchAttributes:
    """Reads the requested attributes of each match; those of the file and of shared objects are read once.

    An attribute without a path is looked for at the matched object, that of the first path with rows, then at the
    groups above it, then at the file. Arguments are those of `MatchScan`, and the place of that path.
    """

    def __init__(
        self, fid: h5f.FileID, file: str, request: ScanRequest, reader: ValueReader, place: Place
    ) -> None:
        self._fid = fid
        self._file = file
        self._reader = reader
        self._group, self._part, _ = split_at_star(request.matched[0])
        named = [(name, *name.rpartition("@")[::2]) for name in request.attrs]
        self._of_match = [
            (name, path, attribute) for name, path, attribute in named if not path or "*" in path
        ]
        self._shared = self._read([name for name, path, _ in named if path and "*" not in path])
        self._above: dict[str, Any] = {}
        for name, path, attribute in self._of_match:
            if not path:
                self._above |= self._found_above(name, attribute)
        self._place = place

    def of(self, text: str) -> dict[str, Any]:
        """The attributes of a match, by the names of the request."""
        if not self._of_match:
            return self._shared
        found = dict(self._shared)
        own = concrete(self._part, text)
        for name, path, attribute in self._of_match:
            if path:
                for value in self._read([f"{concrete(path, text)}@{attribute}"]).values():
                    found[name] = value
            elif self._has(text, own, attribute):
                found[name] = self._own_value(own, attribute)
            elif name in self._above:
                found[name] = self._above[name]
        return found

    def _own_value(self, own: str, attribute: str) -> Any:
        """The value of an attribute that a matched object has."""
        where = f"{self._group}/{own}" if self._group else own
        owner = h5o.open(self._place.group, encoded(own))
        return attribute_value(owner, f"{where}@{attribute}", self._file, self._reader)

    def _has(self, text: str, own: str, attribute: str) -> bool:
        """Whether a matched object, to which a hard link leads, has an attribute."""
        place = self._place
        if place.group is None or not place.is_in_file or not place.texts.get(text):
            return False
        return bool(h5a.exists(place.group, encoded(attribute), obj_name=encoded(own)))

    def _found_above(self, name: str, attribute: str) -> dict[str, Any]:
        """The attribute of the nearest group above the matches that has it; nothing if none has."""
        parts = self._group.split("/") if self._group else []
        for depth in range(len(parts), -1, -1):
            owner = "/".join(parts[:depth])
            if values := self._read([f"{owner}@{attribute}"]):
                return {name: next(iter(values.values()))}
        return {}

    def _read(self, names: list[str]) -> dict[str, Any]:
        return read_attributes(self._fid, names, self._file, self._reader) if names else {}
