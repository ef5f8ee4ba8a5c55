"""Summaries of files that were read before, by digests of what was read, and that of all of them together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from h5lightning.core.arrays import Bytes
from h5lightning.planning.summaries.field_summary import FieldSummary

__all__ = ["MOST_STORED_BYTES", "KnownSummaries", "digest_of_all"]

Array = npt.NDArray[Any]

MOST_STORED_BYTES = 64 * 1024 * 1024


def digest_of_all(digests: Bytes) -> bytes:
    """The digest of all files together, in their order."""
    return hashlib.blake2b(digests.tobytes(), digest_size=digests.shape[1]).digest()


@dataclass(frozen=True, slots=True, eq=False)
class KnownSummaries:
    """What is known of one field.

    Args:
        files: digest of a file → its summary.
        total: the summary of all files of the last time; None if it is not known.
        total_digest: their digest.
    """

    files: Mapping[bytes, FieldSummary]
    total: FieldSummary | None = None
    total_digest: bytes = b""

    def total_of(self, digest: bytes) -> FieldSummary | None:
        """The summary of all files, if their digest is still the same."""
        return self.total if self.total_digest == digest else None

    def with_last(
        self, files: Mapping[bytes, FieldSummary], total: FieldSummary, digest: bytes
    ) -> KnownSummaries:
        """What is known after some files were read, with the files of earlier times as far as 64 MiB allow."""
        kept, nbytes = dict[bytes, FieldSummary](), 0
        for known in (files, self.files):
            for key, summary in known.items():
                if key not in kept:
                    nbytes += sum(array.nbytes for array in summary.arrays().values())
                    if nbytes > MOST_STORED_BYTES:
                        return KnownSummaries(kept, total, digest)
                    kept[key] = summary
        return KnownSummaries(kept, total, digest)

    def arrays(self) -> dict[str, Array]:
        """All arrays by name, to be stored."""
        summaries = [*self.files.values(), *([] if self.total is None else [self.total])]
        each = [summary.arrays() for summary in summaries]
        found: dict[str, Array] = {
            "digests": np.frombuffer(b"".join(self.files), np.uint8).reshape(len(self.files), -1)
            if self.files
            else np.zeros((0, 16), np.uint8),
            "total_digest": np.frombuffer(self.total_digest, np.uint8),
        }
        for name in each[0] if each else ():
            parts = [arrays[name] for arrays in each]
            if name == "values":
                found["lengths"] = np.asarray([len(part) for part in parts])
                found["values"] = np.concatenate(parts)
            else:
                found[name] = np.stack(parts)
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> KnownSummaries:
        """What is known, from stored arrays.

        Raises:
            KeyError: there are others.
            ValueError: they do not fit together.
        """
        own = {
            name: array
            for name, array in arrays.items()
            if name not in ("digests", "total_digest", "lengths")
        }
        digests = [bytes(digest) for digest in arrays["digests"]]
        count = len(own["count"]) if own else 0
        values = np.split(own.pop("values"), np.cumsum(arrays["lengths"])[:-1]) if "values" in own else None
        summaries = []
        for number in range(count):
            one = {name: array[number] for name, array in own.items()}
            summaries.append(
                FieldSummary.from_arrays(one if values is None else one | {"values": values[number]})
            )
        total_digest = bytes(arrays["total_digest"])
        if count != len(digests) + bool(total_digest):
            raise ValueError(f"{count} summaries of {len(digests)} files")
        total = summaries.pop() if total_digest else None
        return cls(dict(zip(digests, summaries, strict=True)), total, total_digest)
