"""From samples of different shapes to what is delivered: lists, padded, stacked or concatenated tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from h5lightning.core.arrays import Int64Array
from h5lightning.errors import FieldError
from h5lightning.loading.batch_buffers import BufferPool
from h5lightning.loading.ragged_batch import RaggedValues
from h5lightning.planning.encoded_field import BYTES
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.ragged_fields import DerivedField, NestedField

__all__ = ["RaggedDelivery"]


def _value_of(sample: Any, key: str) -> Any:
    return sample.get(key) if isinstance(sample, dict) else None


def _is_of_bytes(value: Any) -> bool:
    """Whether a value is bytes, or a list of them."""
    return isinstance(value, bytes) or (isinstance(value, list) and all(map(_is_of_bytes, value)))


class RaggedDelivery:
    """Delivers the fields of a dataset whose samples may have different shapes, their lengths and their padding.

    Args:
        fields: all fields.
        index: says where samples are.
        memory: for padded tensors.
        most_bytes: bytes of a padded tensor, at most.
    """

    def __init__(self, fields: Fields, index: SampleIndex, memory: BufferPool, most_bytes: int) -> None:
        self._modes = {plan.key: plan.ragged.mode for plan in fields.plans if plan.ragged is not None}
        self._derived = {plan.key: plan for plan in fields.plans if isinstance(plan, DerivedField)}
        self._nested = {plan.key: plan for plan in fields.plans if isinstance(plan, NestedField)}
        self._keys = [plan.key for plan in fields.plans]
        self._titles = {plan.key: plan.title for plan in fields.plans}
        self._index = index
        self._memory = memory
        self._most_bytes = most_bytes

    def __bool__(self) -> bool:
        """Whether there are such fields."""
        return bool(self._modes)

    def combined(
        self, batch: Mapping[str, Any], ids: Int64Array, keys: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """What is delivered of a batch that no transform changes; ``keys`` are the fields to deliver, None for all."""
        chosen = [key for key in self._keys if key in batch or key in self._derived] if keys is None else keys
        delivered = {}
        for key in chosen:
            if key in self._derived:
                plan = self._derived[key]
                if plan.of in batch:
                    delivered[key] = self._derive(plan, batch[plan.of])
            else:
                delivered[key] = self._deliver(key, batch[key], ids) if key in self._modes else batch[key]
        return delivered

    def divided(
        self, batch: Mapping[str, Any], ids: Int64Array
    ) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
        """The tensors of a batch, and the values of the other fields for each of its samples."""
        plain = {key: value for key, value in batch.items() if key not in self._modes}
        columns = {key: self._column(key, batch[key], ids) for key in self._modes if key in batch}
        count = len(next(iter(columns.values()), ()))
        return plain, [{key: column[number] for key, column in columns.items()} for number in range(count)]

    def taken(self, samples: Sequence[Any]) -> dict[str, list[Any]]:
        """Take the values of these fields out of transformed samples.

        Raises:
            FieldError: some of the samples have a field, and others do not.
        """
        columns: dict[str, list[Any]] = {}
        for key, mode in self._modes.items():
            if mode == BYTES and not all(map(_is_of_bytes, (_value_of(sample, key) for sample in samples))):
                continue  # the transform decoded them
            having = [isinstance(sample, dict) and key in sample for sample in samples]
            if any(having):
                if not all(having):
                    raise FieldError(
                        f"the transform returned sample {having.index(False)} of a batch without {key!r}, and others "
                        "with it: return it for all samples, or for none"
                    )
                columns[key] = [sample.pop(key) for sample in samples]
        return columns

    def put_back(
        self, batch: Any, columns: Mapping[str, list[Any]], order: Sequence[str], ids: Int64Array
    ) -> dict[str, Any]:
        """A collated batch with the values that were taken out of its samples, their lengths and their padding.

        Args:
            batch: the other entries.
            columns: the values of each field.
            order: the keys of a sample before they were taken out.
            ids: the ids of the samples.
        """
        values = {key: self._packed(key, column) for key, column in columns.items()}
        delivered = {
            key: self._deliver(key, values[key], ids) if key in values else batch[key] for key in order
        }
        for key, plan in self._derived.items():
            if plan.of in values:
                delivered[key] = self._derive(plan, values[plan.of])
        return delivered

    def add_derived(self, samples: Sequence[Any]) -> None:
        """Add the lengths and the padding of fields to each sample: of one sample alone, nothing is padding."""
        for sample in samples:
            for key, plan in self._derived.items() if isinstance(sample, dict) else ():
                value = sample.get(plan.of)
                if isinstance(value, torch.Tensor) and value.ndim > plan.axis:
                    length = value.shape[plan.axis]
                    sample[key] = (
                        torch.zeros(length, dtype=torch.bool) if plan.is_padding else torch.tensor(length)
                    )

    def check_equal(self, samples: Sequence[Any]) -> None:
        """Raise `FieldError` if torch's own collate function cannot stack the samples of a batch."""
        for key in self._modes:
            values = [sample.get(key) for sample in samples if isinstance(sample, dict)]
            shapes = {tuple(value.shape) for value in values if isinstance(value, torch.Tensor)}
            if len(shapes) > 1:
                raise FieldError(
                    f"{self._titles[key]} has samples of different shapes, such as "
                    f"{' and '.join(map(str, sorted(shapes)[:2]))}, which the default collate function of torch cannot "
                    "put into one batch: DataLoader(dataset, collate_fn=dataset.collate)"
                )

    def collated(self, samples: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
        """What is delivered of single samples, for each of these fields in them, their lengths and their padding."""
        nowhere = np.full(len(samples), -1)
        for key in self._modes:
            if key in samples[0]:
                values = self._packed(key, [sample[key] for sample in samples])
                yield key, self._deliver(key, values, nowhere)
                for told, plan in self._derived.items():
                    if plan.of == key:
                        yield told, self._derive(plan, values)

    def _column(self, key: str, values: RaggedValues | list[Any], ids: Int64Array) -> list[Any]:
        """The samples of a field: tensors; or lists of them, the entries of an index."""
        if isinstance(values, list):
            return values
        views = values.views()
        plan = self._nested.get(key)
        if plan is None:
            return views
        units = self._index.units[self._index.locate(ids).series].tolist()
        return [
            list(torch.split(view, plan.lengths_in(unit))) for view, unit in zip(views, units, strict=True)
        ]

    def _packed(self, key: str, column: Sequence[Any]) -> RaggedValues | list[Any]:
        """Values that a transform returned, in one piece; lists may hold anything."""
        if all(isinstance(value, torch.Tensor) for value in column):
            tensors: list[torch.Tensor] = list(column)
            axes = {value.ndim for value in tensors}
            is_plain = all(value.layout is torch.strided and not value.requires_grad for value in tensors)
            if len(axes) == 1 and is_plain:
                return RaggedValues.of(tensors)
        if self._modes[key] in ("list", BYTES):
            return list(column)
        found = sorted({f"{type(value).__name__}{self._shape_text(value)}" for value in column})
        raise FieldError(
            f"{self._titles[key]} has ragged={self._modes[key]!r}, which needs dense tensors with as many axes "
            f"from the transform, found {', '.join(found[:4])}: return torch tensors, or use ragged='list'"
        )

    @staticmethod
    def _shape_text(value: Any) -> str:
        return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else ""

    def _deliver(self, key: str, values: RaggedValues | list[Any], ids: Int64Array) -> Any:
        if isinstance(values, list):
            return values
        mode, title = self._modes[key], self._titles[key]

        def describe(sample: int) -> str:
            return self._place(ids, sample)

        if mode == "list":
            return self._column(key, values, ids)
        if mode == "stack":
            return values.stacked(title, describe)
        if mode == "pad":
            return values.padded(self._allocated, self._most_bytes, describe)
        shapes = values.layout.shapes
        if shapes.shape[1] == 0 or (shapes[:, 1:] != shapes[:1, 1:]).any():
            differing = shapes[(shapes != shapes[:1]).any(axis=1)][:1].tolist()
            raise FieldError(
                f"{title} has ragged='concat', which needs samples that differ along the first axis alone, found the "
                f"shapes {[tuple(shape) for shape in [*shapes[:1].tolist(), *differing]]}: use ragged='pad' or 'list'"
            )
        return values.concatenated()

    def _derive(self, plan: DerivedField, values: RaggedValues | list[Any]) -> torch.Tensor:
        if isinstance(values, list) or values.layout.shapes.shape[1] <= plan.axis:
            raise FieldError(
                f"field {plan.key!r} ('{plan.path}'): the transform left no axis {plan.axis} of {plan.of!r}"
            )
        if plan.is_padding:
            return torch.from_numpy(values.padding(plan.axis))
        return torch.from_numpy(values.lengths(plan.axis))

    def _allocated(self, numbers: int, dtype: torch.dtype) -> torch.Tensor:
        name = "int16" if dtype is torch.bfloat16 else str(dtype).removeprefix("torch.")
        return self._memory.flat(numbers, np.dtype(name)).view(dtype)

    def _place(self, ids: Int64Array, sample: int) -> str:
        """A sample of a batch, for messages."""
        number = int(ids[sample])
        if number < 0:
            return f"sample {sample} of the batch"
        where, index = self._index.locate([number]), self._index
        name = index.series_name(int(where.series[0]))
        series = f" of series {name!r}" if name else ""
        return f"sample {number} (row {int(where.row[0])}{series} of {index.path(int(where.file[0]))})"
