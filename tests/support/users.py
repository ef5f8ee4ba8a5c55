"""What users do with their own files: load them, train, and see that nothing leaks and that all values are right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningModule, Trainer

from h5lightning import H5DataModule

__all__ = ["Place", "Sample", "Scale", "check_user", "delivered", "train"]

Array = npt.NDArray[Any]
# Name of the file, name of the series, row; of windows along several axes, the start along each.
Place = tuple[str, str, int | tuple[int, ...]]
Sample = Mapping[str, Array]
# The places of train → what is subtracted from values, and what they are divided by.
Scale = Callable[[Sequence[Place]], tuple[Array, Array]]
STAGES = ("train", "val", "test")


class _Tiny(LightningModule):
    """A model of one weight, which every floating field goes through; all fields, where none is floating."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.steps = 0

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
        self.steps += 1
        values = list(_tensors([*batch.values()]))
        floating = [value.abs() for value in values if value.is_floating_point() or value.is_complex()]
        return sum(((self.weight * value.float()).mean() - 1) ** 2 for value in floating or values)  # type: ignore[return-value]

    def validation_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        assert batch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _tensors(values: list[Any]) -> Iterator[torch.Tensor]:
    """The tensors of lists of lists."""
    for value in values:
        yield from _tensors(value) if isinstance(value, list) else (value,)


def train(dm: H5DataModule, steps: int = 2) -> None:
    """Train so many steps with a Trainer."""
    model = _Tiny()
    trainer = Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=1,
    )  # fmt: skip
    trainer.fit(model, datamodule=dm)
    assert model.steps == steps


def _split_samples(batch: dict[str, Any], ragged: Mapping[str, str]) -> dict[str, list[Array]]:
    """Key → the value of each sample of a batch, without what pads it.

    Args:
        batch: what a loader delivers.
        ragged: key of a field that is padded or concatenated → key of its lengths.
    """
    found: dict[str, list[Array]] = {}
    for key, values in batch.items():
        if key not in ragged:
            found[key] = [value.numpy() for value in values]
            continue
        lengths = batch[ragged[key]].tolist()
        if values.shape[0] == sum(lengths) and values.shape[:2] != (len(lengths), max(lengths)):
            found[key] = [value.numpy() for value in values.split(lengths)]
            continue
        assert values.shape[:2] == (len(lengths), max(lengths))
        assert all(not value[length:].any() for value, length in zip(values, lengths, strict=True)), key
        found[key] = [value[:length].numpy() for value, length in zip(values, lengths, strict=True)]
    return found


def delivered(dm: H5DataModule, ragged: Mapping[str, str] | None = None) -> dict[str, dict[Place, Sample]]:
    """Split → the samples that its loader delivers, each once, by where they lie.

    Args:
        dm: with ``provenance=True``.
        ragged: key of a field that is padded or concatenated → key of its lengths.
    """
    found: dict[str, dict[Place, Sample]] = {}
    for stage in STAGES:
        samples: dict[Place, Sample] = {}
        for batch in getattr(dm, f"{stage}_dataloader")():
            ids = batch.pop("sample_id")
            values = _split_samples(batch, ragged or {})
            for number, location in enumerate(dm.locate(ids)):
                file, series, row = location
                place = (os.path.basename(file), series, row if len(location.start) == 1 else location.start)
                assert place not in samples
                samples[place] = {key: value[number] for key, value in values.items()}
        found[stage] = samples
    return found


def check_user(
    dm: H5DataModule,
    expected: Mapping[Place, Sample] | Callable[[Place], Sample],
    *,
    apart: Callable[[Place], Any] = lambda place: place[:2],
    count: int | None = None,
    ragged: Mapping[str, str] | None = None,
    scaled: Mapping[str, Scale] | None = None,
) -> dict[str, dict[Place, Sample]]:
    """Train two steps, read all splits, and compare each sample; no series is in two splits.

    Args:
        dm: with ``provenance=True``.
        expected: each sample as h5py reads it; or a function that reads one.
        apart: what must not be in two splits.
        count: samples of all splits, where ``expected`` is a function.
        ragged: key of a field that is padded or concatenated → key of its lengths.
        scaled: key of a normalised field → what returns shift and scale from the places of train.

    Returns:
        The samples of each split.
    """
    train(dm)
    dm.prepare_data()
    dm.setup()
    found = delivered(dm, ragged)
    dm.teardown()
    owners: dict[Any, set[str]] = {}
    scales = {key: scale([*found["train"]]) for key, scale in (scaled or {}).items()}
    for stage, samples in found.items():
        for place, sample in samples.items():
            owners.setdefault(apart(place), set()).add(stage)
            _same(place, sample, expected(place) if callable(expected) else expected[place], scales)
    assert all(len(stages) == 1 for stages in owners.values()), owners
    every = sum(len(samples) for samples in found.values())
    assert every == (count if callable(expected) else len(expected))
    assert len(found["train"]) > 0
    return found


def _same(place: Place, found: Sample, expected: Sample, scales: Mapping[str, tuple[Array, Array]]) -> None:
    assert set(found) == set(expected), place
    for key, value in expected.items():
        if key in scales:
            shift, scale = scales[key]
            assert found[key].dtype == np.float32, (place, key)
            exact = (value.astype("f8") - shift) / scale
            np.testing.assert_allclose(found[key], exact, rtol=1e-5, atol=1e-5, err_msg=f"{place} {key}")
            continue
        assert found[key].dtype == value.dtype, (place, key)
        np.testing.assert_array_equal(found[key], value, err_msg=f"{place} {key}")
