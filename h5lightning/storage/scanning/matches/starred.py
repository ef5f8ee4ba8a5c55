"""What the scan says about one match, as it would say it about any: paths in it keep the ``*``."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from h5lightning.core.star_paths import concrete, starred_object
from h5lightning.planning.catalog.annotations import NOTHING
from h5lightning.planning.catalog.schema import DatasetSchema

__all__ = ["starred"]


def starred(schema: DatasetSchema, path: str, text: str) -> DatasetSchema:
    """The schema of a match with the path of the request, so that a million matches share their layout.

    Args:
        schema: the schema of the object.
        path: the path with the ``*``.
        text: what the ``*`` matched.
    """
    if not schema.refusal and schema.annotations is NOTHING:
        return dataclasses.replace(schema, path=path)
    place = starred_object(path)
    pattern = re.compile(rf"(?<![^/'\s]){re.escape(concrete(place, text))}(?=[/'\[@,\s]|$)")

    def rewritten(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda _: place, value)
        if isinstance(value, tuple):
            return tuple(map(rewritten, value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            values = {item.name: rewritten(getattr(value, item.name)) for item in dataclasses.fields(value)}
            return dataclasses.replace(value, **values)
        return value

    annotations = schema.annotations
    if annotations is not NOTHING:
        annotations = rewritten(annotations)
    refusal = rewritten(schema.refusal)
    return dataclasses.replace(schema, path=path, annotations=annotations, refusal=refusal)
