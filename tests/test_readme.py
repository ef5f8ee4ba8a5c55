"""Every code block of the README is run: Python in one session, commands in a shell, files where they say.

A block whose first line is a comment with a file name is written to that file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    marker: str

    @property
    def file(self) -> str | None:
        named = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return named[1] if named else None


def blocks() -> Iterator[Block]:
    pattern = r"(?:<!-- command: (\w+) -->\n)?^```(\w+)\n(.*?)^```$"
    for marker, language, text in re.findall(
        pattern, README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        yield Block(language, text, marker)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with files as the README supposes them."""
    (tmp_path / "runs").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        rows = 24 + number
        with h5py.File(tmp_path / "runs" / f"subject-{number // 2}-{number}.h5", "w") as file:
            file["images"] = random.normal(size=(rows, 8, 8)).astype("float32")
            file["labels"] = random.integers(0, 3, rows)
            file["grid"] = random.normal(size=(8, 8))
            file.attrs["viscosity"] = number / 10
    (tmp_path / "demos").mkdir()
    with h5py.File(tmp_path / "demos" / "lift.hdf5", "w") as file:
        for number in range(8):
            rows, group = 12 + number, file.create_group(f"data/demo_{number}")
            group["obs"] = random.normal(size=(rows + 1, 3))
            group["actions"] = random.normal(size=(rows, 2))
            group.attrs["success"] = number % 2
        file["mask/train"] = [f"demo_{number}".encode() for number in range(6)]
        file["mask/valid"] = [b"demo_6", b"demo_7"]
    _write_ragged(tmp_path, random)
    _write_volumes(tmp_path, random)
    _write_slides(tmp_path, random)
    return tmp_path


def _write_slides(folder: Path, random: np.random.Generator) -> None:
    (folder / "slides").mkdir()
    lines = ["slide_id,case_id,label"]
    for number in range(15):
        rows = 6 + number % 4
        lines.append(f"slide-{number},case-{number // 2},{('benign', 'tumour')[number % 2]}")
        with h5py.File(folder / "slides" / f"slide-{number}.h5", "w") as file:
            file["features"] = random.normal(1e6, 3, (rows, 8)).astype("float32")
            file["quality"] = random.uniform(size=rows)
            file["tissue"] = [("fat", "gland", "stroma")[row % 3].encode() for row in range(rows)]
            images = file.create_dataset("thumbnail", (rows,), h5py.vlen_dtype("uint8"))
            for row in range(rows):
                pixels = random.integers(0, 255, (16, 24, 3), dtype="uint8")
                images[row] = np.frombuffer(imagecodecs.jpeg_encode(pixels), "uint8")
    (folder / "slides.csv").write_text("\n".join(lines), encoding="utf-8")


def _write_volumes(folder: Path, random: np.random.Generator) -> None:
    (folder / "recordings").mkdir()
    (folder / "volumes").mkdir()
    for number in range(12):
        with h5py.File(folder / "recordings" / f"{number}.h5", "w") as file:
            file["eeg"] = random.normal(size=(19, 1500 + 100 * number)).astype("float32")
            file["stage"] = random.integers(0, 5, 1500 + 100 * number)
        with h5py.File(folder / "volumes" / f"{number}.h5", "w") as file:
            raw = random.normal(size=(1, 40, 33 + number, 48)).astype("float32")
            file.create_dataset("raw", data=raw, chunks=(1, 16, 16, 16), compression="gzip")
            file["label"] = (raw[0] > 0).astype("u1")


def _write_ragged(folder: Path, random: np.random.Generator) -> None:
    (folder / "bags").mkdir()
    (folder / "cells").mkdir()
    for number in range(16):
        with h5py.File(folder / "bags" / f"slide-{number}.h5", "w") as file:
            file["features"] = random.normal(size=(20 + 7 * number, 8)).astype("float32")
            file.attrs["label"] = number % 2
    for number in range(12):
        lengths = random.integers(0, 30, 12)
        with h5py.File(folder / "cells" / f"{number}.h5", "w") as file:
            file["spike_times"] = np.sort(random.uniform(size=lengths.sum()))
            file["spike_times_index"] = np.cumsum(lengths)
            file["quality"] = random.normal(size=12)


def test_every_block_is_of_a_kind_that_is_run() -> None:
    kinds = {block.language for block in blocks()}
    assert kinds == {"bash", "python", "yaml", "text"}
    assert [block.marker for block in blocks() if block.marker] == ["train", "test"]
    for block in blocks():
        assert not block.marker or len(block.text.strip().splitlines()) == 1


def test_python_blocks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = [block.text for block in blocks() if block.language == "python" and block.file is None]
    (project / "session.py").write_text("\n".join(code), encoding="utf-8")
    done = run([sys.executable, "session.py"], project)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "0 files" in done.stdout
    assert (project / "split.json").exists()


def test_commands(project: Path) -> None:
    for block in blocks():
        if block.file is not None:
            (project / block.file).parent.mkdir(exist_ok=True)
            (project / block.file).write_text(block.text, encoding="utf-8")
    ran = 0
    for block in blocks():
        if block.language != "bash" or block.marker:
            continue
        for line in block.text.splitlines():
            # The interpreter of this test, whatever is on the path.
            command = re.sub(
                r"^(h5lightning|python)\b", {"h": "$PY -m h5lightning", "p": "$PY"}[line[0]], line
            )
            done = run(["bash", "-c", command], project)
            assert done.returncode == 0, f"{line}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
            ran += 1
    assert ran >= 6


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PY": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["timeout", "-k", "5", "120", *command],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
