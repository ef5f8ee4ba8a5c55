"""Runs many cases, counts what comes of them, and prints the smallest one that fails as a program."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from judging.cases import cases
from judging.drawing import KINDS, STYLES
from judging.draws import SeenDraws
from judging.judge import judge
from judging.options import Case

__all__ = ["Tally", "run"]

_VERDICTS = ("right", "refused")
_AT_ONCE = 10  # of the cases that follow, Hypothesis draws five of six as mixtures of the one before


@dataclass
class Tally:
    """Verdicts counted by feature, and the smallest case that fails, if one does."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failure: str = ""

    def add(self, case: Case, verdict: str) -> None:
        """Count one case; the reason of a refusal follows the verdict."""
        verdict, _, reason = verdict.partition(": ")
        if reason:
            self.reasons[reason] += 1
        for feature in ("all", *case.features):
            self.counts[feature, verdict] += 1

    def of(self, verdict: str, feature: str = "all") -> int:
        """How often a verdict was given, of the cases with a feature."""
        return self.counts[feature, verdict]

    def markdown(self) -> str:
        """A table of features and verdicts."""
        lines = [f"| feature | {' | '.join(_VERDICTS)} |", f"|---|{'--:|' * len(_VERDICTS)}"]
        for feature in sorted({feature for feature, _ in self.counts}):
            row = " | ".join(str(self.counts[feature, verdict]) for verdict in _VERDICTS)
            lines.append(f"| {feature} | {row} |")
        lines += ["", *(f"{count} × {reason}" for reason, count in self.reasons.most_common())]
        return "\n".join(lines) + "\n"


def run(
    count: int,
    number: int,
    folder: str | None = None,
    *,
    kinds: Sequence[str] = KINDS,
    styles: Sequence[str] = STYLES,
    shrinks: bool = True,
) -> Tally:
    """Judge so many random cases.

    Args:
        count: how many.
        number: the seed that they follow from.
        folder: where files are written.
        kinds: kinds of series.
        styles: what cases are about.
        shrinks: whether a case that fails is made smaller.
    """
    tally, seen = Tally(), SeenDraws()
    strategy = cases(tuple(kinds), tuple(styles))
    for place in range(0, count, _AT_ONCE):
        _run_some(
            tally, seen, strategy, min(_AT_ONCE, count - place), number * 1_000_003 + place, folder, shrinks
        )
        if tally.failure:
            break
    if unlikely := list(seen.unlikely()):
        tally.failure += "draws that are not uniform:\n" + "\n".join(unlikely)
    return tally


def _run_some(
    tally: Tally,
    seen: SeenDraws,
    strategy: SearchStrategy[Case],
    count: int,
    number: int,
    folder: str | None,
    shrinks: bool,
) -> None:
    failed: list[tuple[Case, str]] = []

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate, *([Phase.shrink] if shrinks else [])),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(strategy)
    def attempt(case: Case) -> None:
        try:
            tally.add(case, judge(case, folder, seen))
        except Exception as error:
            failed.append((case, f"{type(error).__name__}: {error}\n{_where(error)}"))
            raise

    try:
        attempt()
    except Exception:
        if not failed:
            raise
        case, words = failed[-1]
        comments = "".join(f"# {line}\n" for line in words.splitlines())
        tally.failure = f"\n{case.program()}\n{comments}"


def _where(error: Exception) -> str:
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    return "".join(f"  {frame.filename}:{frame.lineno} in {frame.name}\n" for frame in frames[-10:])
