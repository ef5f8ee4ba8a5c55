"""A folder of files that nobody knows, hostile ones among them: each is scanned and read by every reader."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import h5py
import numpy as np
import numpy.typing as npt

from fuzzing.campaign import LIMIT_S, MOST_GROWN_BYTES
from fuzzing.children import run_limited
from fuzzing.judging import CACHE_BYTES
from h5lightning.errors import H5LightningError
from h5lightning.options import Access
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.readers.make_reader import make_reader
from h5lightning.storage.readers.protocol import DatasetColumn
from h5lightning.storage.scanning import ScanRequest, scan_file

__all__ = ["Outcome", "read_corpus", "table_of"]

VERDICTS = ("read", "error", "unclear", "crash", "hang", "memory")
_MOST_ROWS = 1000


@dataclass(frozen=True)
class Outcome:
    """What one reader made of one file."""

    file: str
    arm: str
    verdict: str
    words: str


def read_corpus(folder: str) -> Iterator[Outcome]:
    """Every file of a folder, by every reader, each in a process of its own."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        for arm, read in _ARMS.items():
            ended = run_limited(lambda read=read, path=entry.path: _told(read, path), limit_s=LIMIT_S)
            verdict, _, words = (ended.text or f"{ended.problem}\n{ended.words}").partition("\n")
            if ended.grown_bytes > MOST_GROWN_BYTES and not ended.problem:
                verdict, words = "memory", f"{ended.grown_bytes >> 20} MiB, then {verdict}: {words}"
            yield Outcome(entry.name, arm, verdict, words)


def table_of(outcomes: Iterable[Outcome]) -> str:
    """How often each reader came to what, as Markdown."""
    counts = Counter((outcome.arm, outcome.verdict) for outcome in outcomes)
    lines = [f"| reader | {' | '.join(VERDICTS)} |", f"|---|{'--:|' * len(VERDICTS)}"]
    lines += [f"| {arm} | {' | '.join(str(counts[arm, verdict]) for verdict in VERDICTS)} |" for arm in _ARMS]
    return "\n".join(lines) + "\n"


def _told(read: Callable[[str], int], path: str) -> str:
    try:
        return f"read\n{read(path)} datasets"
    except H5LightningError as error:
        named = "error" if os.path.basename(path) in str(error) else "unclear"
        return f"{named}\n{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - any other is a finding, unless h5py alone reads
        return f"{'error' if read is _alone else 'unclear'}\n{type(error).__name__}: {error}"


def _through_us(name: str) -> Callable[[str], int]:
    def read(path: str) -> int:
        schema = scan_file(path, ScanRequest(None))
        wanted = [one for one in schema.datasets if not one.refusal and one.rows and not one.members]
        errors: list[H5LightningError] = []
        with HandlePool(Access(cache_bytes=CACHE_BYTES)) as pool:
            reader = make_reader(name, pool)
            try:
                for dataset in wanted:
                    rows = np.arange(min(dataset.rows or 0, _MOST_ROWS))
                    try:
                        reader.read_rows(path, _source(dataset), rows, _buffer(dataset, len(rows)))
                    except H5LightningError as error:
                        errors.append(error)
            finally:
                reader.close()
        if errors:
            raise errors[0]
        return len(wanted)

    return read


def _source(dataset: DatasetSchema) -> DatasetColumn:
    return DatasetColumn(dataset.path, None, dataset.dtype, dataset.row_shape)


def _buffer(dataset: DatasetSchema, rows: int) -> npt.NDArray[np.generic]:
    return np.zeros((rows, *dataset.row_shape), np.dtype(dataset.dtype).newbyteorder("="))


def _alone(path: str) -> int:
    """All that h5py makes of a file: every dataset and every attribute."""
    found = 0

    def visit(_: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal found
        for value in item.attrs.values():
            np.asarray(value)
        if isinstance(item, h5py.Dataset):
            found += 1
            np.asarray(item[:_MOST_ROWS] if item.shape else item[()])

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


_ARMS: dict[str, Callable[[str], int]] = {
    "direct": _through_us("auto"),
    "h5py": _through_us("h5py"),
    "h5py alone": _alone,
}
