"""Series inside of files: groups of one name, and clips that a table of starts and lengths divides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch

from h5lightning import Series, Windows
from loading.data import Files

__all__ = ["CLIP_FRAMES", "Clips", "Groups", "ItemByItem", "write_clips", "write_groups"]

CLIP_FRAMES = 4
_FRAME = (224, 224, 3)


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups ``data/demo_*`` of equal length, each with equal contiguous float32 datasets ``(rows, columns)``.

    Args:
        name: its name in tables.
        files: how many.
        groups: of each file; 0 for one series of as many rows at ``data``.
        length: rows of each group.
        columns: elements of a row.
        fields: datasets of each group.
        window: rows of a sample.
        batch: samples of a batch.
        options: further arguments of `H5DataModule`.
    """

    name: str
    files: int
    groups: int
    length: int
    columns: int
    fields: int = 1
    window: int = 1
    batch: int = 256
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return self.files * max(1, self.groups) * self.length

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return self.fields * self.window * self.columns * 4

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return self.rows * self.fields * self.columns * 4

    @property
    def names(self) -> list[str]:
        """Names of the datasets of a group."""
        return [f"x{number}" for number in range(self.fields)]

    def arguments(self) -> dict[str, object]:
        """What `H5DataModule` is given."""
        start = "data/demo_*/" if self.groups else "data/"
        windows = {"samples": Windows(self.window)} if self.window > 1 else {}
        fields = {name: start + name for name in self.names}
        return {"fields": fields, "batch_size": self.batch, **windows, **self.options}


def write_groups(groups: Groups, folder: Path) -> Files:
    """Write one file through the fast interface of h5py, and the others as copies of it."""
    folder.mkdir(parents=True)
    path = folder / "00000.h5"
    values = np.random.default_rng(20).random((groups.length, groups.columns), np.float32)
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_group("data")
        owners = [data.create_group(f"demo_{number}") for number in range(groups.groups)] or [data]
        for owner in owners:
            for name in groups.names:
                owner.create_dataset(name, data=values)
    contents = path.read_bytes()
    for number in range(1, groups.files):
        (folder / f"{number:05}.h5").write_bytes(contents)
    return Files(folder=folder)


@dataclass(frozen=True, slots=True)
class Clips:
    """Videos one after the other: ``pixels`` ``(frames, 224, 224, 3)`` uint8, a chunk a frame, with starts and lengths.

    Args:
        name: its name in tables.
        videos: how many, in one file.
        length: frames of each.
        batch: clips of a batch.
    """

    name: str
    videos: int
    length: int
    batch: int = 64

    @property
    def files(self) -> int:
        """How many files there are."""
        return 1

    @property
    def rows(self) -> int:
        """Frames of all videos."""
        return self.videos * self.length

    @property
    def sample_bytes(self) -> int:
        """Bytes of a clip."""
        return CLIP_FRAMES * int(np.prod(_FRAME))

    @property
    def size(self) -> int:
        """Bytes of all frames."""
        return self.rows * int(np.prod(_FRAME))

    def arguments(self) -> dict[str, object]:
        """What `H5DataModule` is given."""
        return {
            "fields": {"pixels": "pixels", "action": "action"},
            "samples": Windows(CLIP_FRAMES),
            "series": Series(starts="ep_offset", lengths="ep_len"),
            "batch_size": self.batch,
        }


def write_clips(clips: Clips, folder: Path) -> Files:
    """Write the file."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(20)
    with h5py.File(folder / "00000.h5", "w") as file:
        pixels = file.create_dataset("pixels", (clips.rows, *_FRAME), "u1", chunks=(1, *_FRAME))
        for video in range(clips.videos):
            start = video * clips.length
            pixels[start : start + clips.length] = rng.integers(0, 256, (clips.length, *_FRAME), np.uint8)
        file["action"] = rng.random((clips.rows, 2), np.float32)
        file["ep_offset"] = np.arange(clips.videos) * clips.length
        file["ep_len"] = np.full(clips.videos, clips.length)
    return Files(folder=folder)


class ItemByItem:
    """Clip by clip through h5py, with the file kept open, as loaders of the field do it; stacked by torch."""

    def __init__(self, clips: Clips, files: Files) -> None:
        self._file = h5py.File(files.paths[0], "r")
        self._clips = clips
        starts: npt.NDArray[np.int64] = self._file["ep_offset"][:]
        lengths = self._file["ep_len"][:]
        found = [np.arange(n - CLIP_FRAMES + 1) + start for start, n in zip(starts, lengths, strict=True)]
        self._starts = np.random.default_rng(0).permutation(np.concatenate(found))

    def __call__(self, epoch: int = 0) -> Iterator[Mapping[str, torch.Tensor]]:
        """An epoch's batches; each epoch begins at another place of the same order."""
        batch = self._clips.batch
        for first in np.roll(np.arange(0, len(self._starts), batch), -97 * epoch).tolist():
            items = [self._item(start) for start in self._starts[first : first + batch].tolist()]
            yield torch.utils.data.default_collate(items)

    def _item(self, start: int) -> dict[str, torch.Tensor]:
        stop = start + CLIP_FRAMES
        return {name: torch.from_numpy(self._file[name][start:stop]) for name in ("pixels", "action")}

    def close(self) -> None:
        """Close the file."""
        self._file.close()
