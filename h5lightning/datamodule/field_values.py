"""What a DataModule tells of the values of its fields: statistics, and how to undo the normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from h5lightning.core.formatting import listed
from h5lightning.datamodule.denormalize import TensorStatistics, denormalized, denormalized_entries
from h5lightning.errors import FieldError, MissingFieldError
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.field_spec import class_count

if TYPE_CHECKING:
    from h5lightning.datamodule.lifecycle import DataLifecycle
    from h5lightning.datamodule.options import DataModuleOptions

__all__ = ["FieldValues"]


class FieldValues:
    """The part of `H5DataModule` that speaks of values."""

    _lifecycle: DataLifecycle
    _options: DataModuleOptions

    @property
    def statistics(self) -> dict[str, TensorStatistics]:
        """Key of each field that is normalised → its statistics, as tensors: those of a checkpoint, else of train."""
        return {key: TensorStatistics.of(one.statistics) for key, one in self._lifecycle.statistics.items()}

    def num_classes(self, key: str) -> int:
        """Number of categories of a field, to build a model from the data.

        Raises:
            MissingFieldError: there is no such field.
            FieldError: it has no categories.
        """
        return class_count(next(iter(self._lifecycle.data.datasets.values())).sample_spec(), key)

    def class_weights(self, key: str) -> torch.Tensor:
        """Weights for a loss that give each category of a field the same influence, ``(classes,)``, float32.

        The weight of a category is the number of rows of the train split, divided by the number of categories and by
        the number of rows that have this one.

        Raises:
            MissingFieldError: there is no such field.
            FieldError: it has no categories, or one that does not occur in the train split.
            SplitError: there is no train split.
        """
        self.num_classes(key)
        counts = self._lifecycle.class_counts(key)
        if (counts == 0).any():
            names = self._lifecycle.data.survey.fields.spec()[key].classes or ()
            absent = [repr(name) for name, count in zip(names, counts.tolist(), strict=True) if not count]
            raise FieldError(
                f"class_weights: {listed(absent, 3)} of field {key!r} does not occur in the train split and has "
                "no weight: name the categories that do, or divide the data in another way"
            )
        return torch.from_numpy(counts.sum() / (len(counts) * counts)).to(torch.float32)

    def denormalize(self, values: Any, *, key: str | None = None) -> Any:
        """The numbers that normalised ones were made of, on any device; gradients pass through.

        Padding of ragged samples is no number, and does not become 0 again.

        Args:
            values: a batch, of which entries that are not normalised stay as they are; or with ``key`` a tensor
                ``(…, *axes)`` of that field, such as the prediction of a model, whose last axes are those of its
                statistics: of ``per="last"``, the last one.
            key: the field; None for a batch.

        Raises:
            MissingFieldError: ``key`` is no field that is normalised.
            FieldError: a tensor of another shape.
            TypeError: neither tensors nor a batch.
        """
        used = self._lifecycle.statistics
        if key is not None:
            if key not in used:
                raise MissingFieldError(
                    f"denormalize: field {key!r} is not normalised{did_you_mean(key, used)}"
                )
            return denormalized(values, key, used[key])
        if isinstance(values, Mapping):
            return denormalized_entries(values, used)
        keys = self._options.as_tuple
        if isinstance(values, (list, tuple)) and keys is not None and len(keys) == len(values):
            return tuple(denormalized_entries(dict(zip(keys, values, strict=True)), used).values())
        found = type(values).__name__
        hint = "; of a tensor, say the field: key=…" if isinstance(values, torch.Tensor) else ""
        raise TypeError(f"denormalize needs a batch, found {found}{hint}")
