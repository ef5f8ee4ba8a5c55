"""Files whose rows are encoded images, in all the ways in which programs store them, and their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import numpy.typing as npt

__all__ = ["LAYOUTS", "jpeg", "pixels", "png", "put_bytes", "write_episodes"]

LAYOUTS = ("variable", "variable-gzip", "padded", "padded-gzip", "text", "opaque")


def pixels(number: int, size: tuple[int, int] = (24, 40), channels: int = 3) -> npt.NDArray[np.uint8]:
    """The pixels of an image, unlike those of other numbers."""
    y, x = np.mgrid[: size[0], : size[1]]
    planes = [x * 3 + number * 11, y * 5 + number * 7, x + y + number]
    image = np.stack(planes[:channels], axis=-1) % 251
    return np.ascontiguousarray(image if channels > 1 else image[..., 0]).astype(np.uint8)


def jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    """An image as JPEG."""
    return bytes(imagecodecs.jpeg_encode(image, level=92))


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """An image as PNG."""
    return bytes(imagecodecs.png_encode(image))


def put_bytes(file: h5py.File, path: str, values: list[bytes], layout: str = "variable") -> None:
    """Write the bytes of each row, as one of the `LAYOUTS`."""
    longest = max(map(len, values))
    padded = np.frombuffer(b"".join(value.ljust(longest, b"\0") for value in values), np.uint8)
    rows = padded.reshape(len(values), longest)
    options: dict[str, Any] = {"compression": "gzip", "shuffle": True} if layout.endswith("gzip") else {}
    if layout.startswith("variable"):
        chunks = {"chunks": (3,), "maxshape": (None,)} if options else {}
        dataset = file.create_dataset(path, (len(values),), h5py.vlen_dtype("u1"), **options, **chunks)
        for number, value in enumerate(values):
            dataset[number] = np.frombuffer(value, np.uint8)
    elif layout.startswith("padded"):
        file.create_dataset(path, data=rows, **options, **({"chunks": (3, longest)} if options else {}))
    else:
        kind = "S" if layout == "text" else "V"
        file.create_dataset(path, data=rows.view(f"{kind}{longest}")[:, 0])


def write_episodes(folder: Path, lengths: tuple[int, ...] = (7, 9, 4), *, encode: Any = jpeg) -> list[bytes]:
    """A file for each episode, with ``images/LAYOUT`` and ``action``; the bytes of all images, file after file."""
    folder.mkdir(parents=True, exist_ok=True)
    every: list[bytes] = []
    for number, rows in enumerate(lengths):
        own = [encode(pixels(len(every) + row)) for row in range(rows)]
        every += own
        with h5py.File(folder / f"episode_{number}.hdf5", "w") as file:
            for layout in LAYOUTS:
                put_bytes(file, f"images/{layout}", own, layout)
            file["action"] = np.arange(rows * 2.0).reshape(rows, 2)
    return every
