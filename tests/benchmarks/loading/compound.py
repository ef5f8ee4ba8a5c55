"""Some members of a compound dataset: tracks of jets, as particle physicists store them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.lib.recfunctions import structured_to_unstructured

from h5lightning import Field
from loading.data import BATCH, Files

__all__ = ["MEMBERS", "RecordSlices", "Tracks", "write_tracks"]

_TRACKS = 40  # of a jet
_CHUNK_JETS = 100
_RECORD = np.dtype(
    [(f"f{number:02}", "<f4") for number in range(16)]
    + [(f"i{number}", "<i4") for number in range(4)]
    + [("charge", "i1"), ("valid", "u1")]
)
MEMBERS = (*(f"f{number:02}" for number in range(9)), "i0", "i1", "valid")


@dataclass(frozen=True, slots=True)
class Tracks:
    """Jets in files; ``tracks`` is ``(jets, 40)`` of a record with 22 members, with lzf, 100 jets a chunk.

    Args:
        name: its name in tables.
        files: how many.
        jets: of each file.
        shuffle: the order of h5lightning.
    """

    name: str
    files: int
    jets: int
    shuffle: str

    @property
    def rows(self) -> int:
        """Jets of all files."""
        return self.files * self.jets

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return self.rows * _TRACKS * _RECORD.itemsize

    @property
    def sample_bytes(self) -> int:
        """Bytes of the members that are read, of a jet."""
        return _TRACKS * sum(_RECORD[name].itemsize for name in MEMBERS)

    def arguments(self) -> dict[str, object]:
        """What `H5DataModule` is given."""
        fields = {name: Field("tracks", member=name) for name in MEMBERS}
        return {"fields": fields, "batch_size": BATCH, "shuffle": self.shuffle}


def write_tracks(tracks: Tracks, folder: Path) -> Files:
    """Write one file with h5py, and the others as copies of it."""
    folder.mkdir(parents=True)
    path = folder / "00000.h5"
    rng = np.random.default_rng(20)
    values = np.zeros((tracks.jets, _TRACKS), _RECORD)
    for name in _RECORD.names or ():
        values[name] = rng.integers(0, 100, values.shape)
    # Most jets have fewer tracks than fit.
    values[np.arange(_TRACKS) >= rng.integers(1, _TRACKS, (tracks.jets, 1))] = 0
    with h5py.File(path, "w") as file:
        chunks = (min(_CHUNK_JETS, tracks.jets), _TRACKS)
        file.create_dataset("tracks", data=values, chunks=chunks, compression="lzf")
    contents = path.read_bytes()
    for number in range(1, tracks.files):
        (folder / f"{number:05}.h5").write_bytes(contents)
    return Files(folder=folder)


class RecordSlices:
    """Contiguous slices of the record in the order of the files, and ``structured_to_unstructured``."""

    def __init__(self, files: Files) -> None:
        self._files = [h5py.File(path, "r") for path in files.paths]

    def __call__(self, epoch: int = 0) -> Iterator[Mapping[str, torch.Tensor]]:
        """An epoch's batches ``(N, 40, members)``."""
        for file in self._files:
            dataset = file["tracks"]
            for start in range(0, len(dataset), BATCH):
                records = dataset[start : start + BATCH]
                values = structured_to_unstructured(records[list(MEMBERS)], dtype=np.float32)
                yield {"tracks": torch.from_numpy(values)}

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
