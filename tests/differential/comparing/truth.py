"""What h5py and NumPy say: all samples of all files, and the values of each; nothing here plans as the package does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import torch

from comparing.configurations import Configuration
from comparing.disagreement import DisagreementError, expect
from comparing.filesets import NUMBER, FileSet, place_of
from h5lightning import Field, Rows, Windows

__all__ = ["Sample", "Truth"]


class Sample(NamedTuple):
    """Which sample: the number of its file and its first row."""

    file: int
    row: int

    def __repr__(self) -> str:
        return f"{self.file}:{self.row}"


class Truth:
    """What each sample of a set of files holds.

    Args:
        files: the set.
        folder: where it was written.
        configuration: how it is loaded.
    """

    def __init__(self, files: FileSet, folder: str, configuration: Configuration) -> None:
        self._samples, self._fields = configuration.samples, configuration.fields
        self._dtype = configuration.options.get("dtype")
        self._paths = [os.path.realpath(path) for path in files.paths(folder)]
        self._number_of = {path: number for number, path in enumerate(self._paths)}
        self._rows = files.rows
        self._values = {
            key: [self._read(path, field) for path in self._paths] for key, field in self._fields.items()
        }

    # ── samples ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def samples(self) -> list[Sample]:
        """All samples, file by file."""
        return [Sample(file, row) for file, rows in enumerate(self._rows) for row in self._starts(rows)]

    @property
    def keys(self) -> list[str]:
        """The fields."""
        return list(self._fields)

    def rows_of(self, sample: Sample) -> list[int]:
        """All rows that a sample is made of."""
        return [sample.row + step for step in self._steps(None, sample.file)]

    def sample_at(self, path: str, row: int) -> Sample:
        """The sample that begins at a row of a file."""
        return Sample(self._number_of[os.path.realpath(path)], row)

    def in_path_order(self, sample: Sample) -> tuple[str, int]:
        """A key to sort samples by, as files are ordered: by their names as text."""
        return self._paths[sample.file], sample.row

    def _starts(self, rows: int) -> Iterable[int]:
        if isinstance(self._samples, Rows):
            return range(rows)
        if isinstance(self._samples, Windows):
            span = (self._samples.length - 1) * self._samples.dilation + 1
            return range(0, rows - span + 1, self._samples.stride)
        return range(1)

    def _steps(self, steps: tuple[int, int] | None, file: int) -> list[int]:
        """Rows from the first row of a sample."""
        if isinstance(self._samples, Rows):
            return [0]
        length = self._samples.length if isinstance(self._samples, Windows) else self._rows[file]
        dilation = self._samples.dilation if isinstance(self._samples, Windows) else 1
        return [step * dilation for step in range(*(steps or (0, length)))]

    # ── values ───────────────────────────────────────────────────────────────────────────────────────

    def value(self, key: str, sample: Sample) -> npt.NDArray[Any]:
        """What a field of one sample holds, in the type that is delivered."""
        field, stored = self._fields[key], self._values[key][sample.file]
        if field.attr is not None or field.constant:
            return stored
        if isinstance(self._samples, Rows):
            found: npt.NDArray[Any] = stored[sample.row]
            return found
        rows = [sample.row + step for step in self._steps(field.steps, sample.file)]
        return stored[rows]

    def expected(self, key: str, samples: Sequence[Sample]) -> torch.Tensor:
        """A field of a batch."""
        stacked = np.stack([np.asarray(self.value(key, sample)) for sample in samples])
        native = stacked.astype(stacked.dtype.newbyteorder("="))
        wanted = self._fields[key].dtype or (self._dtype if native.dtype.kind == "f" else None)
        tensor = torch.from_numpy(np.ascontiguousarray(native))
        return tensor if wanted is None else tensor.to(getattr(torch, wanted))

    def identify(self, batch: Mapping[str, Any]) -> list[Sample]:
        """Which samples a batch holds, by nothing but the values of its number field."""
        field, found = self._fields[NUMBER], batch[NUMBER]
        flat = found.reshape(len(found), -1)[:, 0]
        samples = [Sample(*place_of(round(float(number)))) for number in flat]
        for sample in samples:
            if not 0 <= sample.file < len(self._rows) or sample.row >= self._rows[sample.file]:
                raise DisagreementError("the number field holds what no file does", flat.tolist(), self._rows)
        return [
            Sample(sample.file, sample.row - self._steps(field.steps, sample.file)[0]) for sample in samples
        ]

    def hold(self, batch: Mapping[str, Any], keys: Sequence[str] | None = None) -> list[Sample]:
        """Compare each field of a batch with what h5py reads.

        Args:
            batch: what was delivered.
            keys: the fields that it must hold; None for all.

        Returns:
            Its samples.

        Raises:
            DisagreementError: a value, type or shape is another one.
        """
        samples = self.identify(batch)
        for key in self._fields if keys is None else keys:
            _same(key, batch[key], self.expected(key, samples), samples)
        if "row" in batch:
            expect("info.row", batch["row"].tolist(), [sample.row for sample in samples])
        if "total" in batch:
            expect("batch transform", float(batch["total"]), float(batch[NUMBER].double().sum()))
        return samples

    def _read(self, path: str, field: Field) -> npt.NDArray[Any]:
        with h5py.File(path) as file:
            if field.attr is not None:
                return np.asarray(file[field.path or "/"].attrs[field.attr])
            dataset = file[field.path]
            found = dataset[()] if field.member is None else dataset[field.member]
        return np.asarray(found)


def _same(key: str, found: Any, expected: torch.Tensor, samples: Sequence[Sample]) -> None:
    expect(f"type of field {key!r}", (type(found), found.dtype), (torch.Tensor, expected.dtype))
    expect(f"shape of field {key!r}", tuple(found.shape), tuple(expected.shape))
    alike = _alike(found, expected).reshape(len(samples), -1).all(1) if found.numel() else torch.ones(1)
    if bool(alike.all()):
        return
    differs = (~alike).nonzero().flatten()
    place = int(differs[0])
    raise DisagreementError(
        f"field {key!r} of {samples[place]}, {len(differs)} of {len(samples)} samples of a batch differ",
        found[place].tolist(),
        expected[place].tolist(),
    )


def _alike(found: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Where two tensors hold the same bits, or both NaN."""
    same = (_bits(found) == _bits(expected)).all(-1)
    may_be_nan = found.is_floating_point() or found.is_complex()
    return same | (found.isnan() & expected.isnan()) if may_be_nan else same


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of each element, along a last axis of their own."""
    return tensor.detach().contiguous().unsqueeze(-1).view(torch.uint8)
