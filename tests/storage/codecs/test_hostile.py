"""Payloads that no filter wrote: no crash, nothing beside the buffer, and no byte that was in memory before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stored_chunks import OPTIONS

PROGRAM = Path(__file__).parents[2] / "support" / "hostile_chunks.py"


def run(count, seed, fresh_memory):
    """What came of each payload of each kind of chunk, in a process whose fresh memory has a content."""
    process = subprocess.run(
        [sys.executable, str(PROGRAM), str(count), str(seed)],
        env={**os.environ, "MALLOC_PERTURB_": str(fresh_memory)},  # of glibc; others ignore it
        capture_output=True,
        text=True,
        check=False,
    )
    lines = process.stdout.splitlines()
    assert process.returncode == 0, f"{lines[-1:]}: {process.stderr}"
    return dict(zip(lines[::2], map(json.loads, lines[1::2]), strict=True))


def check(count, seed):
    first, second = run(count, seed, 0), run(count, seed, 85)
    assert list(first) == list(OPTIONS)
    for option, found in first.items():
        assert len(found) == count
        assert found == second[option], f"{option}: it holds what was in memory before"
        assert {"left as it was", "written past the end"}.isdisjoint(found), option
        assert "error" in found, option


@pytest.mark.timeout(120)
def test_hostile_payloads():
    check(80, 0)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_hostile_payloads(seed):
    check(20_000, seed)
