"""Random ways to load a set of files, and the Python code that loads them so again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from comparing.disagreement import code_of
from comparing.filesets import NUMBER, Column, FileSet
from h5lightning import Field, Rows, Shuffle, Split, Whole, Windows
from h5lightning.options import Samples

__all__ = ["Configuration", "Jitter", "Total", "draw_configuration", "with_workers"]

_FLOATS = ("float32", "float64")


class Jitter:
    """A transform that tells of its draw, epoch and place."""

    def __call__(self, sample: dict[str, Any], info: Any) -> dict[str, Any]:
        draw = torch.rand((), generator=info.generator, dtype=torch.float64)
        return {**sample, "draw": draw, "epoch": torch.tensor(info.epoch), "row": torch.tensor(info.row)}

    def __repr__(self) -> str:
        return "Jitter()"


class Total:
    """A batch transform that adds up the numbers."""

    def __call__(self, batch: dict[str, Any], info: Any) -> dict[str, Any]:
        return {**batch, "total": batch[NUMBER].double().sum(), "epochs": torch.tensor(info.epoch)}

    def __repr__(self) -> str:
        return "Total()"


@dataclass(frozen=True)
class Configuration:
    """What is read, and how.

    Args:
        patterns: of the files, below the folder.
        fields: sample key → `Field`.
        samples: how samples lie in a file.
        split: how they are divided.
        options: further arguments of the DataModule.
        parts: split → names of its files, where these are given and not drawn; ``split`` says nothing then.
    """

    patterns: tuple[str, ...]
    fields: dict[str, Field]
    samples: Samples
    split: Split
    options: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, tuple[str, ...]] | None = None

    def with_options(self, **options: Any) -> Configuration:
        """The same with other options."""
        return replace(self, options={**self.options, **options})

    @property
    def batch_size(self) -> int:
        """Samples of a batch."""
        return int(self.options["batch_size"])

    @property
    def is_shuffled(self) -> bool:
        """Whether epochs differ in their order."""
        return bool(self.options["shuffle"].mode != "none")

    @property
    def drawn_by(self) -> str | None:
        """The field that samples are drawn by."""
        found: str | None = self.options["shuffle"].drawn_by
        return found

    def arguments(self, folder: str) -> dict[str, Any]:
        """Those of the DataModule."""
        files: Any = [f"{folder}/{pattern}" for pattern in self.patterns]
        if self.parts is not None:
            files = {name: [f"{folder}/{one}" for one in self.parts[name]] for name in self.parts}
        options = dict(self.options)
        if "allow_external" in options["access"]:
            options["access"] = {**options["access"], "allow_external": folder}
        return {
            "files": files[0] if isinstance(files, list) and len(files) == 1 else files,
            "fields": self.fields,
            "samples": self.samples,
            "split": self.split if self.parts is None else None,
            **options,
        }

    def code(self, folder: str) -> str:
        """Python code that makes the DataModule."""
        defaults: dict[str, Any] = {"threads": None, "reader": "auto", "tail": "drop", "provenance": False}
        chosen = {
            name: value
            for name, value in self.arguments(folder).items()
            if value or value != defaults.get(name, value)
        }
        lines = "".join(f"    {name}={code_of(value)},\n" for name, value in chosen.items())
        return f"dm = H5DataModule(\n{lines})"


def draw_configuration(rng: random.Random, files: FileSet, *, whole: bool = False) -> Configuration:
    """A random way to load them.

    Args:
        rng: decides.
        files: what is loaded.
        whole: a sample is a whole file.
    """
    samples: Samples = Whole() if whole else _draw_samples(rng, files)
    dtype = rng.choice(_FLOATS) if rng.random() < 0.2 else None
    fields = _draw_fields(rng, files, samples)
    options = {
        "batch_size": rng.choice((1, 2, 3, 4, 7, 8, 16, 33)),
        "reader": rng.choice(("auto", "direct", "direct") if _is_direct(files) else ("auto", "auto", "h5py")),
        "threads": rng.choice((None, None, 0, 1, 2, 4)),
        "shuffle": _draw_shuffle(rng, fields, samples),
        "seed": rng.randrange(1000),
        "provenance": rng.random() < 0.8,
        "drop_last": rng.random() < 0.1,
        "tail": rng.choice(("drop", "repeat")),
        "dtype": dtype,
        "transform": Jitter() if rng.random() < 0.35 else None,
        "batch_transform": Total() if rng.random() < 0.2 else None,
        "access": _draw_access(rng, files),
    }
    options["access"] = _with_room(options["shuffle"], options["access"])
    split, parts = _draw_split(rng, files, samples), _draw_parts(rng, files, samples)
    return Configuration(_patterns(rng, files), fields, samples, split, options, parts)


def _draw_parts(rng: random.Random, files: FileSet, samples: Samples) -> dict[str, tuple[str, ...]] | None:
    """Some files for each split, where all have a sample."""
    span = samples.span_rows if isinstance(samples, Windows) else 1
    if len(files.names) < 3 or min(files.rows) < span or rng.random() < 0.85:
        return None
    names = rng.sample(files.names, len(files.names))
    first, second = sorted(rng.sample(range(1, len(names)), 2))
    return {"train": tuple(names[second:]), "val": tuple(names[:first]), "test": tuple(names[first:second])}


def with_workers(rng: random.Random, found: Configuration, *, spawn: float = 0.0) -> Configuration:
    """The same through worker processes."""
    method = rng.choice(("spawn", "forkserver")) if rng.random() < spawn else "fork"
    return found.with_options(
        num_workers=rng.choice((1, 2)),
        persistent_workers=rng.random() < 0.5,
        prefetch_factor=rng.choice((None, 1, 3)),
        multiprocessing_context=method,
        threads=rng.choice((None, 0, 2)),
    )


def _is_direct(files: FileSet) -> bool:
    """Whether reader="direct" surely reads them."""
    plain = all(
        column.storage.layout in ("contiguous", "chunked")
        and not (column.storage.filters or column.storage.plugin)
        and 0 not in column.shape
        for column in files.columns
    )
    return plain and files.column("table") is None


def _patterns(rng: random.Random, files: FileSet) -> tuple[str, ...]:
    every = rng.choice(("**/*.h5", "**/*.{h5,hdf5}")) if files.names[0].endswith(".h5") else "**/*.hdf5"
    # What matches twice counts once.
    return (every, *rng.sample(files.names, 1)) if rng.random() < 0.2 else (every,)


def _draw_samples(rng: random.Random, files: FileSet) -> Samples:
    if rng.random() < 0.6:
        return Rows()
    longest = max(files.rows)
    length = rng.randint(1, max(1, min(6, longest // 3)))
    dilation = rng.randint(1, 3) if (length - 1) * 3 < longest // 2 else 1
    return Windows(length, stride=rng.choice((1, 1, 2, 3, 5)), dilation=dilation)


def _draw_fields(rng: random.Random, files: FileSet, samples: Samples) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    number = files.columns[0]
    member = "number" if number.role == "table" else None
    fields[NUMBER] = Field(number.path, member=member, steps=_draw_steps(rng, samples))
    if number.role == "table":
        fields["column"] = Field(number.path, member="flag", steps=_draw_steps(rng, samples))
    for place, column in enumerate(files.columns[1:]):
        if column.role == "constant":
            fields["grid"] = Field(column.path, constant=True, dtype=_draw_conversion(rng, column))
        elif column.role in ("classes", "weights"):
            fields[column.role] = Field(column.path, steps=(0, 1) if isinstance(samples, Windows) else None)
        else:
            steps, dtype = _draw_steps(rng, samples), _draw_conversion(rng, column)
            fields[f"x{place}"] = Field(column.path, steps=steps, dtype=dtype)
    for place, (name, on, *_) in enumerate(files.attributes):
        fields[f"attribute{place}"] = Field(on, attr=name)
    if isinstance(samples, Windows) and rng.random() < 0.5:
        twice = rng.choice([key for key in fields if fields[key].steps is not None] or [NUMBER])
        found = fields[twice]
        fields["again"] = replace(found, steps=_draw_steps(rng, samples))
    names = list(fields)
    rng.shuffle(names)
    return {name: fields[name] for name in names}


def _draw_steps(rng: random.Random, samples: Samples) -> tuple[int, int] | None:
    if not isinstance(samples, Windows) or rng.random() < 0.4:
        return None
    start = rng.randrange(samples.length)
    return start, rng.randint(start + 1, samples.length)


def _draw_conversion(rng: random.Random, column: Column) -> str | None:
    if rng.random() < 0.7 or column.holes:
        return None
    kind = np.dtype(column.dtype)
    if kind.kind == "f":
        return rng.choice(("float16", "bfloat16", "float32", "float64"))
    if kind.kind == "c":
        return rng.choice(("complex64", "complex128"))
    if kind.kind == "b":
        return rng.choice(("uint8", "int64", "float32", "bool"))
    return "int64" if kind.itemsize < 8 or kind.kind == "i" else None


def _draw_shuffle(rng: random.Random, fields: dict[str, Field], samples: Samples) -> Shuffle:
    mode = rng.choice(("auto", "auto", "full", "block", "none"))
    drawn = rng.random()
    window = rng.choice((1, 100, 4096, 2**28))
    if drawn < 0.08 and mode != "none" and not isinstance(samples, Whole):
        return Shuffle(
            mode, window_bytes=window, **rng.choice(({"weights": "weights"}, {"balance": "classes"}))
        )
    return Shuffle(mode, window_bytes=window)


def _with_room(shuffle: Shuffle, access: dict[str, Any]) -> dict[str, Any]:
    """The same access with a cache that holds a window that was given: others are refused."""
    is_default = shuffle.window_bytes == Shuffle().window_bytes
    return access if is_default or "cache_bytes" not in access else {**access, "cache_bytes": 100_000}


def _draw_access(rng: random.Random, files: FileSet) -> dict[str, Any]:
    access: dict[str, Any] = {}
    if rng.random() < 0.4:
        access["max_open_files"] = rng.choice((1, 2, 4))
    if rng.random() < 0.5:
        access["cache_bytes"] = rng.choice((0, 1, 2000, 100_000))
    if rng.random() < 0.25:
        access["memory_map"] = rng.random() < 0.5
    if rng.random() < 0.1:
        access["locking"] = True
    if files.is_partial:
        access["on_missing"] = "fill"
    if files.has_sources:
        access["allow_external"] = ""  # the folder, once it is known
    return access


def _draw_split(rng: random.Random, files: FileSet, samples: Samples) -> Split:
    ways = ["block", "auto"]
    if isinstance(samples, Rows):
        ways.append("sample")
    if isinstance(samples, Whole) or len(files.rows) >= 5:
        ways = ["file", "auto"]
    by = rng.choice(ways)
    shares = rng.choice(((0.1, 0.1), (0.3, 0.2), (0.25, 0.0), (0.0, 0.25), (0.0, 0.0), (0.5, 0.3)))
    gap = rng.choice((0, 0, 2)) if by == "block" else 0
    if by == "file" and len(files.rows) >= 8 and rng.random() < 0.4:
        return Split(test=rng.choice((None, 0.2)), by=by, folds=3, fold=rng.randrange(3))
    order = rng.choice(("random", "random", "path")) if by in ("file", "block") else "random"
    return Split(val=shares[0] or None, test=shares[1] or None, by=by, order=order, gap=gap)
