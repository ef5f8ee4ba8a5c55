"""All data of a case, read at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from judging.divisions import RefusedError
from judging.options import FieldOption
from judging.places import Array
from judging.reading import read_all, read_meaning

__all__ = ["Files"]


class Files:
    """The datasets and attributes of files.

    Args:
        paths: the files, in their order.
    """

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._values = [read_all(path) for path in paths]
        self._meanings: dict[tuple[int, str, str | None], Array | None] = {}

    def names(self, file: int) -> Iterator[str]:
        """The names of datasets and groups, and of attributes after an ``@``."""
        return iter(self._values[file])

    def get(self, file: int, path: str, text: str = "") -> Array:
        """A dataset of a file, or of the match of a text in it; of a group, what its values mean."""
        name = path.replace("*", text)
        found = self._values[file].get(name)
        if found is None:
            found = self._meaning(file, name, None)
        if not isinstance(found, np.ndarray):
            raise RefusedError(f"no dataset {path}")
        return found

    def seen_by(self, field: FieldOption, file: int, path: str, text: str) -> Array:
        """A dataset as a field sees it: of a field with categories, what its values mean."""
        if field.categories is None:
            return self.get(file, path, text)
        found = self._meaning(file, path.replace("*", text), field.members[0] if field.members else None)
        if found is None:
            raise RefusedError(f"no dataset {path}")
        return found

    def attribute(self, file: int, where: str, name: str) -> Array:
        """An attribute of an object, else of its parents, else of the file."""
        while True:
            found = self._values[file].get(f"{where}@{name}")
            if found is not None:
                return np.asarray(found)
            if not where:
                raise RefusedError(f"no attribute {name}")
            where = where.rpartition("/")[0]

    def _meaning(self, file: int, name: str, member: str | None) -> Array | None:
        place = file, name, member
        if place not in self._meanings:
            self._meanings[place] = read_meaning(self._paths[file], name, member)
        return self._meanings[place]
