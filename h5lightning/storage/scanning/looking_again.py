"""Look into files again to explain an error: what they hold nearby, and how two of them differ."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from h5lightning.core.families import families_text, fold, folded_names
from h5lightning.core.star_paths import split_at_star, starred_object
from h5lightning.errors import H5LightningError
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.catalog.catalog import Catalog, SkippedFile
from h5lightning.planning.conventions.error_parts import DifferenceOf
from h5lightning.storage.scanning.describe_file import attribute_names, dataset_names
from h5lightning.storage.scanning.parallel_scan import difference_between, scan_file
from h5lightning.storage.scanning.scan_request import ScanRequest

__all__ = ["attrs_in", "differences_between", "names_in", "unmatched_files"]


def differences_between(catalog: Catalog, *, locking: bool) -> DifferenceOf:
    """The function that looks into two units to explain how they differ in a dataset, whose path may hold a ``*``."""

    def difference(unit: int, expected: int, source: str) -> str:
        own, other = (catalog.with_text(each, source) for each in (unit, expected))
        return difference_between(
            catalog.unit_path(unit), catalog.unit_path(expected), own, other, locking=locking
        )

    return difference


def names_in(path: str) -> list[str]:
    """The paths of the datasets of a file, numbered siblings as one with a ``*``; none if it cannot be read."""
    return folded_names(_datasets_in(path))


def attrs_in(catalog: Catalog, unit: int, owner: str) -> list[str]:
    """The names of the attributes of an object, whose path may hold a ``*``; none if it cannot be read."""
    owners = [owner] if owner or catalog.matches is None else ["", _matched_object(catalog, unit)]
    names: dict[str, None] = {}
    for one in owners:
        with suppress(H5LightningError):
            names |= dict.fromkeys(attribute_names(catalog.unit_path(unit), catalog.with_text(unit, one)))
    return list(names)


def unmatched_files(
    catalog: Catalog, matched: tuple[str, ...], *, allow_external: str | None = None
) -> list[SkippedFile]:
    """The files in which the ``*`` of the paths of fields matches nothing, the first of them with what it holds.

    Args:
        catalog: the files.
        matched: the paths with a ``*`` of fields with rows.
        allow_external: the directory to which external links may lead.
    """
    if catalog.matches is None:
        return []
    found = [
        SkippedFile(catalog.names[file], f"{_text(matched)} matches no dataset in {catalog.path(file)}")
        for file in np.flatnonzero(catalog.matches.counts == 0).tolist()
    ]
    if found:
        nearby = _nearby(f"{catalog.root}/{found[0].name}", matched[0], allow_external)
        found[0] = SkippedFile(found[0].name, f"{found[0].reason}{nearby}")
    return found


def _text(matched: tuple[str, ...]) -> str:
    first = f"'/{matched[0]}'"
    return first if len(matched) == 1 else f"{first}, as the other paths with a '*',"


def _nearby(path: str, matched: str, allow_external: str | None) -> str:
    """Why nothing matches, or what the file holds instead, as the end of a message."""
    place = split_at_star(matched)[0]
    if place:
        with suppress(H5LightningError):
            request = ScanRequest((place,), most_chunks=0, allow_external=allow_external)
            found = scan_file(path, request).dataset(place)
            if found is None:
                place_text = f", which holds no group '/{place}'"
            elif found.dtype == "link":
                return f": '/{place}' {found.refusal}"
            else:
                place_text = "" if found.dtype == "group" else f", where '/{place}' is a dataset"
            return place_text + _instead(path, matched)
    return _instead(path, matched)


def _instead(path: str, matched: str) -> str:
    families, others = fold(_datasets_in(path))
    if not families:
        return did_you_mean(matched, others)
    if not any(family.place == matched for family in families):
        near = did_you_mean(matched, [family.path for family in families])
        if "did you mean" in near:
            return near
    return f". {families_text(families)}: a '*' makes each one a series"


def _datasets_in(path: str) -> list[str]:
    with suppress(H5LightningError):  # this only helps to explain another error
        return dataset_names(path)
    return []


def _matched_object(catalog: Catalog, unit: int) -> str:
    """The path of what the ``*`` matches, which it keeps."""
    layout = catalog.layouts[int(catalog.layout_of[unit])]
    return starred_object(next((dataset.path for dataset in layout if "*" in dataset.path), ""))
