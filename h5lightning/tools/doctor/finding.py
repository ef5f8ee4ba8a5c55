"""One finding about speed, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from h5lightning.tools.doctor.amplification import Amplification
from h5lightning.tools.overview.workload import FieldStorage

__all__ = ["FASTER", "FINE", "SEVERITIES", "SLOW", "Finding", "Fix", "severity_of"]

SLOW, FASTER, FINE = SEVERITIES = ("slow", "faster", "fine")


@dataclass(frozen=True, slots=True)
class Fix:
    """Code that writes better files to another folder; the original files stay as they are.

    Args:
        python: a complete program.
        h5repack: a command that uses the tools of HDF5; empty if they would lose something.
    """

    python: str
    h5repack: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about speed.

    Args:
        kind: a stable identifier, such as ``split rows``.
        severity: ``slow``: it will be slow; ``faster``: it could be faster; ``fine``: good to know.
        text: what and where.
        advice: what to do.
        paths: the datasets.
        files: number of files that have it.
        amplification: decoded bytes per used byte, if the finding is about that.
        measured: what it costs on these files; empty if it was not measured.
        fix: code that rewrites the files; None if rewriting does not help.
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

    @classmethod
    def of(
        cls,
        field: FieldStorage,
        kind: str,
        severity: str,
        predicate: str,
        advice: str,
        amplification: Amplification | None = None,
    ) -> Finding:
        """A finding about one field; its text is the path and ``predicate``."""
        text = f"'/{field.path}' {predicate}"
        return cls(kind, severity, text, advice, (field.path,), field.files.size, amplification)


def severity_of(extra: float) -> str:
    """The severity of decoding ``extra`` unused bytes for each byte of a sample."""
    if extra >= 3:
        return SLOW
    return FASTER if extra >= 0.5 else FINE
