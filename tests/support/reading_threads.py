"""Threads that read the same files at the same time, each value checked; a program of its own, since it may crash.

Python 3.12 took the lock out of `functools.cached_property`. Here it has none on any Python, and neither has
`h5lightning.core.frozen.once` if ``once`` is the first argument: then only what holds on to its memory is right.
"""

from __future__ import annotations

import faulthandler
import functools
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

FILES, ROWS = 6, 24


class Unlocked:
    """What is made when it is first asked for, by as many threads as ask at the same time."""

    def __init__(self, make: Any) -> None:
        self.make, self.__doc__ = make, make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self.name not in instance.__dict__:
            instance.__dict__[self.name] = self.make(instance)
        return instance.__dict__[self.name]

    def __class_getitem__(cls, item: Any) -> type:
        return cls


def check(dataset: Any, seed: int, reads: int) -> int:
    """Read random samples; how many values were wrong."""
    import numpy as np

    random, wrong = np.random.default_rng(seed), 0
    for _ in range(reads):
        ids = random.integers(0, FILES * ROWS, 24)
        values = ids // ROWS * 1000 + ids % ROWS
        for key, tensor in dataset.read_batch(ids).items():
            expected = ids // ROWS if key == "grid" else values
            found = tensor.numpy().reshape(len(ids), -1)
            wrong += int((found != expected[:, None]).any())
        if random.integers(8) == 0:
            dataset.close()  # retires all files while others read
    return wrong


def main(unlocked: str, pattern: str, reads: int) -> None:
    """Read with all readers, by 1 to 8 threads."""
    functools.cached_property = Unlocked  # type: ignore[assignment,misc]
    if unlocked == "once":
        import h5lightning.core.frozen

        h5lightning.core.frozen.once = Unlocked  # type: ignore[misc,assignment]
    from h5lightning import H5Dataset
    from h5lightning.storage.files import file_budget

    file_budget.map_limit = lambda: 2  # fewer than a batch has files
    fields = {"x": "x", "z": "z", "y": "y", "grid": {"path": "grid", "constant": True}}
    readers = ("auto", "direct", "h5py")
    for reader, mapped, verify in itertools.product(readers, (True, False), (False, True)):
        if reader == "h5py" and not mapped:
            continue
        access = {"max_open_files": 2, "cache_bytes": 3000, "memory_map": mapped, "verify": verify}
        for threads in (1, 2, 4, 8):
            dataset = H5Dataset(pattern, fields, access=access, reader=reader)  # type: ignore[arg-type]
            with ThreadPoolExecutor(threads) as pool:
                wrong = sum(pool.map(functools.partial(check, dataset, reads=reads), range(threads)))
            dataset.close()
            assert not wrong, f"{wrong} wrong: {reader}, {threads} threads, {access}"


if __name__ == "__main__":
    faulthandler.enable()
    sys.setswitchinterval(1e-5)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
