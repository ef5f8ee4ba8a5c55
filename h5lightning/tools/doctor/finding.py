"""One thing that was found, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.tools.doctor.amplification import Amplification

__all__ = ["FASTER", "FINE", "SEVERITIES", "SLOW", "Finding", "Fix", "severity_of"]

SLOW, FASTER, FINE = SEVERITIES = ("slow", "faster", "fine")


@dataclass(frozen=True, slots=True)
class Fix:
    """What writes better files elsewhere; the originals stay as they are.

    Args:
        python: a program that runs by itself.
        h5repack: a command of HDF5's own tools; empty where they would lose something.
    """

    python: str
    h5repack: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about speed.

    Args:
        kind: a word for machines, such as ``split rows``.
        severity: ``slow``: it will be slow; ``faster``: it could be faster; ``fine``: good to know.
        text: what, and where.
        advice: what to do.
        paths: the datasets.
        files: how many files have it.
        amplification: decoded bytes over used bytes, where that is the matter.
        measured: what it costs on these very files; empty where it was not measured.
        fix: how to write the files again; None where that is not the remedy.
    """

    kind: str
    severity: str
    text: str
    advice: str
    paths: tuple[str, ...] = ()
    files: int = 0
    amplification: Amplification | None = None
    measured: str = ""
    fix: Fix | None = None


def severity_of(extra: float) -> str:
    """How bad it is to decode so many bytes in vain, for each byte of a sample."""
    if extra >= 3:
        return SLOW
    return FASTER if extra >= 0.5 else FINE
