"""What a scanning process and its parent say to each other: one line of JSON for each task and answer.

Files of a data set share few layouts, so each layout is sent once and then called by its number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from h5lightning import errors
from h5lightning.errors import H5LightningError
from h5lightning.scanning.one_file import Outcome
from h5lightning.schema import DatasetSchema, FileSchema

__all__ = ["Decoder", "Encoder"]


class Encoder:
    """Outcomes → lines. A line is understood only by the decoder of all lines before it."""

    def __init__(self) -> None:
        self._numbers: dict[DatasetSchema, int] = {}

    def encode(self, outcomes: Iterable[Outcome]) -> str:
        """One line, without its end."""
        known = len(self._numbers)
        files = [self._file(outcome) for outcome in outcomes]
        layouts = [layout.to_plain() for layout in list(self._numbers)[known:]]
        return json.dumps({"layouts": layouts, "files": files})

    def _file(self, outcome: Outcome) -> dict[str, Any]:
        if isinstance(outcome, H5LightningError):
            return {"error": type(outcome).__name__, "text": str(outcome)}
        return {"datasets": [self._dataset(dataset) for dataset in outcome.datasets], "attrs": outcome.attrs}

    def _dataset(self, dataset: DatasetSchema) -> list[int]:
        number = self._numbers.setdefault(dataset.layout(), len(self._numbers))
        return [number, *dataset.facts()]


class Decoder:
    """The lines of one encoder → outcomes."""

    def __init__(self) -> None:
        self._layouts: list[DatasetSchema] = []

    def decode(self, line: str | bytes) -> list[Outcome]:
        """The outcomes of one line."""
        message = json.loads(line)
        self._layouts.extend(DatasetSchema.from_plain(plain) for plain in message["layouts"])
        return [self._file(plain) for plain in message["files"]]

    def _file(self, plain: dict[str, Any]) -> Outcome:
        if "error" in plain:
            error: H5LightningError = getattr(errors, plain["error"])(plain["text"])
            return error
        return FileSchema(tuple(self._dataset(facts) for facts in plain["datasets"]), plain["attrs"])

    def _dataset(self, facts: Sequence[int]) -> DatasetSchema:
        number, *rest = facts
        return self._layouts[number].with_facts(*rest)
