"""Describe each match of the ``*`` in the paths of a request, in one open file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from h5py import h5d, h5f, h5g, h5l

from h5lightning.core.natural_order import natural_key
from h5lightning.core.star_paths import concrete, split_at_star
from h5lightning.core.string_table import StringTable
from h5lightning.planning.catalog.extents import Extents
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.catalog.unit_table import Entry, FileMatches, UnitTableBuilder
from h5lightning.storage.hdf5.external import encoded
from h5lightning.storage.scanning.conventions.plain_names import has_plain_name
from h5lightning.storage.scanning.matches.match_attributes import MatchAttributes
from h5lightning.storage.scanning.matches.places import Place
from h5lightning.storage.scanning.matches.starred import starred
from h5lightning.storage.scanning.matches.templates import Template, template_of
from h5lightning.storage.scanning.metadata_values import ValueReader
from h5lightning.storage.scanning.rows.value_source import inner_dataset
from h5lightning.storage.scanning.scan_request import ScanRequest

__all__ = ["Describe", "MatchScan", "Tell"]

# The path, and the path in the request → the schema, and where the values are stored.
Describe: TypeAlias = Callable[[str, str], tuple[DatasetSchema, Extents | None] | None]
Tell: TypeAlias = Callable[[float], None]

_MOST_TEMPLATES = 4
_STEP = 500  # matches between two calls of `Tell`
_HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError)


class MatchScan:
    """The scan of what a ``*`` matches in one file.

    Args:
        fid: the open file.
        file: where it lies.
        request: what to look for.
        reader: reads attributes.
        describe: describes the object at a path in full, as any object of a file; None if there is none.
    """

    def __init__(
        self, fid: h5f.FileID, file: str, request: ScanRequest, reader: ValueReader, describe: Describe
    ) -> None:
        self._fid = fid
        self._request = request
        self._describe = describe
        self._builder = UnitTableBuilder()
        self._chunks_left = request.most_chunks
        places: dict[tuple[str, str], Place] = {}
        paths = dict.fromkeys((*(request.paths or ()), *request.same))
        self._paths = tuple(paths)
        self._of_path: dict[str, _MatchedPath] = {}
        for path in (path for path in paths if "*" in path):
            group, part, _ = split_at_star(path)
            if (group, part) not in places:
                places[group, part] = Place(fid, file, group, part, request.allow_external)
            may_be_plain = path not in request.same
            self._of_path[path] = _MatchedPath(
                fid, file, path, places[group, part], may_be_plain=may_be_plain
            )
        place = self._of_path[request.matched[0]].place
        self._attributes = MatchAttributes(fid, file, request, reader, place)

    def found(self, tell: Tell) -> FileMatches:
        """Describe all matches; ``tell`` is called with the share of the file that was scanned since the last call."""
        part = split_at_star(self._request.matched[0])[1]
        candidates = {text for path in self._request.matched for text in self._of_path[path].place.texts}
        candidates_in_order = sorted(candidates, key=lambda text: natural_key(concrete(part, text)))
        shared: dict[str, Entry | None] = {}
        texts: list[str] = []
        for number, text in enumerate(candidates_in_order, start=1):
            entries = self._entries(text)
            if any(entries[path] is not None for path in self._request.matched):
                shared = self._shared(is_first=not texts) if len(texts) < 2 else shared
                both = (entries[path] if path in entries else shared[path] for path in self._paths)
                self._builder.add([entry for entry in both if entry is not None], self._attributes.of(text))
                texts.append(text)
            if number % _STEP == 0:
                tell(_STEP / len(candidates))
        return FileMatches(part, StringTable.of(texts), self._builder.table())

    def _entries(self, text: str) -> dict[str, Entry | None]:
        """The dataset of each path with a ``*`` in one match; None where there is none."""
        groups: _Groups = {}
        return {path: self._entry(matched, text, groups) for path, matched in self._of_path.items()}

    def _entry(self, matched: _MatchedPath, text: str, groups: _Groups) -> Entry | None:
        if text not in matched.place.texts:
            return None
        did = matched.opened(text, groups)
        if did is not None:
            entry = matched.by_template(did, self._builder, self._chunks_left)
            if entry is not None:
                self._chunks_left -= _chunks_of(entry)
                return entry
        one = self._describe(concrete(matched.path, text), matched.path)
        if one is None or (one[0].dtype == "group" and not self._may_be_group(matched.path, text)):
            return None
        schema, extents = starred(one[0], matched.path, text), one[1]
        if extents is not None and extents.numbers.size > max(self._chunks_left, 3):
            extents = None
        entry = self._builder.entry(schema, extents)
        self._chunks_left -= _chunks_of(entry)
        if did is not None:
            matched.learn(did, schema, extents, self._builder)
        return entry

    def _may_be_group(self, path: str, text: str) -> bool:
        """Whether a group is a match: of a path that goes on, or a column of AnnData whose values are asked for."""
        if not path.endswith("*"):
            return True
        is_asked = path in self._request.row_values or path in self._request.row_texts
        return is_asked and inner_dataset(self._fid, concrete(path, text)) is not None

    def _shared(self, *, is_first: bool) -> dict[str, Entry | None]:
        """The datasets that all matches of the file share; the positions of their values are kept once."""
        shared: dict[str, Entry | None] = {}
        for path in self._paths:
            if path not in self._of_path:
                one = self._describe(path, path)
                shared[path] = one and self._builder.entry(one[0], one[1] if is_first else None)
        return shared


# What was opened for one match: the groups below its place, by the place and the path from there.
_Groups: TypeAlias = dict[tuple[int, str], h5g.GroupID | None]


class _MatchedPath:
    """A path with a ``*``, and what its datasets have in common."""

    __slots__ = (
        "_fid",
        "_file",
        "_leaf",
        "_may_be_plain",
        "_parents",
        "_part",
        "_templates",
        "path",
        "place",
    )

    def __init__(self, fid: h5f.FileID, file: str, path: str, place: Place, *, may_be_plain: bool) -> None:
        self.path = path
        self.place = place
        self._fid = fid
        self._file = file
        _, self._part, below = split_at_star(path)
        rest = below.split("/")
        self._parents = rest[:-1] if rest[-1] else []
        self._leaf = encoded(rest[-1]) if rest[-1] else b""
        self._may_be_plain = may_be_plain and place.is_in_file
        self._templates: list[Template] = []

    def opened(self, text: str, groups: _Groups) -> h5d.DatasetID | None:
        """The dataset of a match, if only hard links lead to it and no convention knows it by its path."""
        if not (self._may_be_plain and self.place.texts[text] and has_plain_name(concrete(self.path, text))):
            return None
        part = encoded(concrete(self._part, text))
        try:
            if not self._leaf:
                parent, leaf = self.place.group, part
            else:
                parent, leaf = self._parent(part, groups), self._leaf
                if parent is None or parent.links.get_info(leaf).type != h5l.TYPE_HARD:
                    return None
            if parent is None or parent.links.exists(leaf + b"_index"):
                return None
            return h5d.open(parent, leaf)
        except _HDF5_ERRORS:
            return None  # no such dataset, or a damaged one: the full description says so

    def _parent(self, part: bytes, groups: _Groups) -> h5g.GroupID | None:
        """The group in which the dataset lies; None if it is reached by another link than a hard one."""
        key = (id(self.place), "/".join(self._parents))
        if key not in groups:
            group = h5g.open(self.place.group, part)
            for name in self._parents:
                if group.links.get_info(encoded(name)).type != h5l.TYPE_HARD:
                    group = None
                    break
                group = h5g.open(group, encoded(name))
            groups[key] = group
        return groups[key]

    def by_template(self, did: h5d.DatasetID, builder: UnitTableBuilder, most_chunks: int) -> Entry | None:
        """The description of a dataset that is like one before; None if it must be described in full."""
        for template in self._templates:
            entry = template.entry(did, builder, most_chunks)
            if entry is not None:
                return entry
        return None

    def learn(
        self, did: h5d.DatasetID, schema: DatasetSchema, extents: Extents | None, builder: UnitTableBuilder
    ) -> None:
        """Keep what was found out in full, for datasets like this one."""
        template = template_of(self._fid, self._file, did, schema, extents, builder)
        if template is not None:
            self._templates = [template, *self._templates][:_MOST_TEMPLATES]


def _chunks_of(entry: Entry) -> int:
    """Numbers that are kept for the chunks of a dataset; a dataset without chunks counts as none."""
    numbers = entry[-1]
    return 0 if numbers is None or isinstance(numbers, int) or numbers.size < 2 else numbers.size
