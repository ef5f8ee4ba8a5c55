"""A campaign: draw cases, run each in a process of its own, count what comes of it."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from comparing.case import Case
from comparing.children import run_limited
from comparing.disagreement import DisagreementError, RefusedError
from comparing.kinds import KINDS

__all__ = ["LIMIT_S", "Finding", "Name", "Tally", "names", "run", "run_one", "try_out"]

LIMIT_S = 90.0
BAD = ("disagreement", "error", "crash", "hang")


@dataclass(frozen=True)
class Name:
    """One case: its kind, and the seed that all of it follows from."""

    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Name:
        """The name that `str` wrote."""
        kind, seed = text.split("/")
        return cls(kind, int(seed))


@dataclass(frozen=True)
class Finding:
    """What came of a case.

    Args:
        name: which one.
        verdict: ``right``, ``refused``, or one of `BAD`.
        words: what was found and expected.
        code: what was done.
        took_s: how long.
    """

    name: Name
    verdict: str
    words: str = ""
    code: str = ""
    took_s: float = 0.0

    @property
    def is_bad(self) -> bool:
        """Whether the package and the model do not agree."""
        return self.verdict in BAD

    def __str__(self) -> str:
        return f"{self.name}: {self.verdict}: {self.words}\n{self.code}\n"


@dataclass
class Tally:
    """Verdicts counted by kind; findings that are bad, or refused."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    took_s: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count one."""
        self.counts[finding.name.kind, finding.verdict] += 1
        self.took_s[finding.name.kind] += finding.took_s
        if finding.verdict != "right":
            self.findings.append(finding)

    def merge(self, other: Tally) -> None:
        """Add what another one counted."""
        self.counts += other.counts
        self.took_s += other.took_s
        self.findings += other.findings

    @property
    def bad(self) -> list[Finding]:
        """Where the package and the model do not agree."""
        return [finding for finding in self.findings if finding.is_bad]

    def of(self, verdict: str) -> int:
        """How often a verdict was given."""
        return sum(count for (_, found), count in self.counts.items() if found == verdict)

    def markdown(self) -> str:
        """A table of kinds and verdicts."""
        verdicts = ("right", "refused", *BAD)
        lines = [f"| kind | {' | '.join(verdicts)} | s a case |", f"|---|{'--:|' * (len(verdicts) + 1)}"]
        for kind in KINDS:
            row = [self.counts[kind, verdict] for verdict in verdicts]
            if any(row):
                each_s = self.took_s[kind] / sum(row)
                lines.append(f"| {kind} | {' | '.join(map(str, row))} | {each_s:.2f} |")
        row = [self.of(verdict) for verdict in verdicts]
        lines.append(f"| **all** | {' | '.join(map(str, row))} | |")
        return "\n".join(lines) + "\n"


def names(count: int, seed: int, kinds: Sequence[str] = tuple(KINDS)) -> Iterator[Name]:
    """Cases; the same for the same seed."""
    rng = random.Random(seed)
    weights = [KINDS[kind].weight for kind in kinds]
    for _ in range(count):
        yield Name(rng.choices(kinds, weights)[0], rng.getrandbits(32))


def run(
    wanted: Iterable[Name],
    folder: str,
    advance: Callable[[Finding], None] = lambda _: None,
    *,
    limit_s: float = LIMIT_S,
) -> Tally:
    """Run cases one after the other, each in a forked child; the caller must be of one thread.

    Args:
        wanted: the cases.
        folder: where files are written.
        advance: is told of each finding.
        limit_s: seconds until a case counts as hanging.
    """
    tally = Tally()
    for name in wanted:
        finding = run_one(name, folder, limit_s=limit_s)
        tally.add(finding)
        advance(finding)
    return tally


def run_one(name: Name, folder: str, *, limit_s: float = LIMIT_S) -> Finding:
    """Run one case in a child with a limit of time."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix="case-", ignore_cleanup_errors=True) as own:
        (ended,) = run_limited([lambda: try_out(name, own)], limit_s=limit_s)
        took_s = time.monotonic() - began_s
        if not ended.problem:
            verdict, words, code = ended.value
            return Finding(name, verdict, words, code, took_s)
        shutil.rmtree(own, ignore_errors=True)
    return Finding(
        name, ended.problem, ended.words, f"# python tests/differential/run.py --only {name}", took_s
    )


def try_out(name: Name, folder: str) -> tuple[str, str, str]:
    """Run one case here: its verdict, words, and code.

    Args:
        name: the case.
        folder: an empty folder.
    """
    case = Case(name.kind, name.seed, folder)
    warnings.simplefilter("ignore")
    try:
        KINDS[name.kind].run(case)
    except RefusedError as refusal:
        return "refused", str(refusal), case.code()
    except DisagreementError as disagreement:
        return "disagreement", f"{disagreement}\n{_where(disagreement)}", case.code()
    except Exception as error:  # noqa: BLE001 - any other is a finding
        text = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-12)}"
        return "error", text, case.code()
    return "right", "", ""


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return "  in " + " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
