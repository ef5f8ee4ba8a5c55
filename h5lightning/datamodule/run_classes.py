"""The categories of the fields of a run: those of a checkpoint, else those of its own files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from h5lightning.errors import ResumeError
from h5lightning.options import Field
from h5lightning.planning.fields import Fields
from h5lightning.storage.data_survey import DataSurvey

__all__ = ["RunClasses"]


class RunClasses:
    """The names of categories that a checkpoint brought, until the next fit: a model knows no other ones."""

    def __init__(self) -> None:
        self._of_checkpoint: dict[str, tuple[str, ...]] = {}
        self._is_kept = False

    def lacking(self, fields: Mapping[str, Field] | None) -> list[str]:
        """The fields whose categories neither a checkpoint brought nor the user listed."""
        return [
            key
            for key, field in (fields or {}).items()
            if field.categories is True and key not in self._of_checkpoint
        ]

    def remarks(self, fields: Mapping[str, Field] | None) -> list[str]:
        """Sentences about lists of categories that those of a checkpoint replace."""
        remarks = []
        for key, names in self._of_checkpoint.items():
            listed = getattr((fields or {}).get(key), "categories", None)
            if isinstance(listed, Sequence) and tuple(map(str, listed)) != names:
                remarks.append(
                    f"field {key!r}: the checkpoint has the categories {list(names)!r:.200}, in this order; "
                    f"they are delivered instead of the listed ones, {list(listed)!r:.200}"
                )
        return remarks

    def applied(self, survey: DataSurvey) -> DataSurvey:
        """What was found of the files, with the categories that count now."""
        return survey.with_classes(self._of_checkpoint) if self._of_checkpoint else survey

    def are_others(self, survey: DataSurvey, current: Fields) -> bool:
        """Whether other categories count now than those of some fields, which were planned of the same files."""
        return bool(self.to_plain(self.applied(survey).fields) != self.to_plain(current))

    def take_over(self, saved: object, *, is_kept: bool) -> None:
        """Use the categories of a checkpoint, for good or until the next fit.

        Args:
            saved: as `to_plain` wrote them; anything else if the checkpoint has none.
            is_kept: whether they stay after the next fit has begun.

        Raises:
            ResumeError: they are damaged.
        """
        if not isinstance(saved, Mapping):
            return
        lists = [names if isinstance(names, (list, tuple)) else [None] for names in saved.values()]
        if not all(isinstance(name, str) for names in lists for name in names):
            raise ResumeError(f"the categories in the checkpoint are damaged: {saved!r:.200}")
        self._of_checkpoint = {key: tuple(names) for key, names in saved.items()}
        self._is_kept = is_kept

    def begin_fit(self) -> None:
        """Drop the categories of a checkpoint that an earlier run loaded."""
        if not self._is_kept:
            self._of_checkpoint = {}

    @staticmethod
    def to_plain(fields: Fields, lacking: Collection[str] = ()) -> Any:
        """What `take_over` reads, of these fields but some; ``...`` if none has categories."""
        known = {key: one for key, one in fields.categories().items() if key not in lacking}
        return {key: list(one.names) for key, one in known.items()} or ...
