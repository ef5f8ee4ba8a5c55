"""A campaign: damage each kind of file in every way, let every reader read it, count what comes of it."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import h5py

from fuzzing.children import run_limited
from fuzzing.judging import ARMS, CACHE_BYTES, OURS, VERIFIED, Expected, expect, judge
from fuzzing.mutations import KINDS, Target, mutate
from fuzzing.specimens import SPECIMENS, Specimen

__all__ = ["LIMIT_S", "VERDICTS", "Finding", "Recipe", "Tally", "Workshop", "bad_counts", "recipes", "run"]

VERDICTS = ("right", "error", "unclear", "wrong", "crash", "hang", "memory")
LIMIT_S = 6.0
MOST_GROWN_BYTES = CACHE_BYTES + 256 * 1024 * 1024


@dataclass(frozen=True)
class Recipe:
    """One mutation: a kind of file, a kind of damage, and a seed."""

    specimen: str
    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.specimen}/{self.kind}/{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """The recipe that `str` wrote."""
        specimen, kind, seed = text.split("/")
        return cls(specimen, kind, int(seed))


@dataclass(frozen=True)
class Finding:
    """What one reader made of one mutation."""

    recipe: Recipe
    arm: str
    verdict: str
    words: str


@dataclass
class Tally:
    """Verdicts counted by reader and kind of file, and the findings that are neither right nor a clear error."""

    counts: dict[str, Counter[tuple[str, str]]] = field(
        default_factory=lambda: {arm: Counter() for arm in ARMS}
    )
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Count one."""
        self.counts[finding.arm][finding.recipe.specimen, finding.verdict] += 1
        if finding.verdict not in ("right", "error"):
            self.findings.append(finding)

    def merge(self, other: Tally) -> None:
        """Add what another one counted."""
        for arm, counts in other.counts.items():
            self.counts[arm] += counts
        self.findings += other.findings

    def of(self, arm: str, verdict: str, specimens: Iterable[str] = tuple(SPECIMENS)) -> int:
        """How often."""
        return sum(self.counts[arm][specimen, verdict] for specimen in specimens)

    def markdown(self) -> str:
        """A table of all kinds together, of those with checksums, and of each."""
        checked = [name for name, specimen in SPECIMENS.items() if specimen.is_checked]
        groups = {"**all**": list(SPECIMENS), "**checked**": checked, **{name: [name] for name in SPECIMENS}}
        lines = [f"| files | reader | {' | '.join(VERDICTS)} |", f"|---|---|{'--:|' * len(VERDICTS)}"]
        for group, names in groups.items():
            for arm in ARMS:
                numbers = [self.of(arm, verdict, names) for verdict in VERDICTS]
                if any(numbers):
                    lines.append(f"| {group} | {arm} | {' | '.join(str(number) for number in numbers)} |")
        return "\n".join(lines) + "\n"


class Workshop:
    """Whole files, kept in memory, and a place for damaged ones.

    Args:
        folder: where files are written; one in memory is fastest.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "damaged.h5")
        self._whole: dict[str, tuple[bytes, Sequence[tuple[int, int]], Expected]] = {}

    def damaged(self, recipe: Recipe) -> bytes:
        """The bytes of a recipe."""
        data, metadata, _ = self._look(SPECIMENS[recipe.specimen])
        names = list(SPECIMENS)
        donor, *_ = self._look(SPECIMENS[names[recipe.seed % len(names)]])
        return mutate(Target(data, metadata, donor), recipe.kind, recipe.seed)

    def try_out(self, recipe: Recipe, arms: Sequence[str] = tuple(ARMS)) -> Iterator[Finding]:
        """What each reader makes of a recipe."""
        with open(self._path, "wb") as file:
            file.write(self.damaged(recipe))
        expected = self._look(SPECIMENS[recipe.specimen])[2]
        for arm in arms:
            yield Finding(recipe, arm, *self._verdict(arm, expected))

    def _verdict(self, arm: str, expected: Expected) -> tuple[str, str]:
        ended = run_limited(lambda: json.dumps(judge(arm, self._path, expected)), limit_s=LIMIT_S)
        if ended.problem:
            return ended.problem, ended.words
        verdict, words = json.loads(ended.text)
        if ended.grown_bytes > MOST_GROWN_BYTES:
            return "memory", f"{ended.grown_bytes >> 20} MiB, then {verdict}: {words}"
        return verdict, words

    def _look(self, specimen: Specimen) -> tuple[bytes, Sequence[tuple[int, int]], Expected]:
        if specimen.name not in self._whole:
            specimen.write(self._path)
            with open(self._path, "rb") as file:
                data = file.read()
            expected = expect(self._path, specimen.fields)
            self._whole[specimen.name] = data, _metadata(self._path, len(data)), expected
        return self._whole[specimen.name]


def bad_counts(tally: Tally) -> dict[str, int]:
    """What must not be: how often a reader of ours crashed, hung or took memory, or delivered what checksums deny."""
    checked = [name for name, specimen in SPECIMENS.items() if specimen.is_checked]
    counts = {verdict: sum(tally.of(arm, verdict) for arm in OURS) for verdict in ("crash", "hang", "memory")}
    counts["wrong in files with checksums"] = sum(tally.of(arm, "wrong", checked) for arm in OURS)
    counts["wrong though verified"] = sum(tally.of(arm, "wrong") for arm in VERIFIED)
    return counts


def recipes(count: int, seed: int, specimens: Sequence[str] = tuple(SPECIMENS)) -> Iterator[Recipe]:
    """Mutations, dealt evenly over the kinds of file; the same for the same seed."""
    rng = random.Random(seed)
    for number in range(count):
        yield Recipe(specimens[number % len(specimens)], rng.choice(KINDS), rng.getrandbits(32))


def run(wanted: Iterable[Recipe], folder: str, advance: Callable[[Finding], None] = lambda _: None) -> Tally:
    """Try out all recipes.

    Args:
        wanted: the mutations.
        folder: where files are written.
        advance: is told of each finding.
    """
    workshop, tally = Workshop(folder), Tally()
    for recipe in wanted:
        for finding in workshop.try_out(recipe):
            tally.add(finding)
            advance(finding)
    return tally


def _metadata(path: str, size: int) -> list[tuple[int, int]]:
    """The parts of a file that hold no values."""
    extents: list[tuple[int, int]] = []

    def visit(_: str, found: h5py.Dataset | h5py.Group) -> None:
        if not isinstance(found, h5py.Dataset):
            return
        if found.chunks:
            found.id.chunk_iter(
                lambda chunk: extents.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
            )
        elif found.id.get_offset() is not None:
            extents.append((found.id.get_offset(), found.id.get_offset() + found.nbytes))

    with h5py.File(path) as file:
        file.visititems(visit)
    parts, place = [], 0
    for start, stop in [*sorted(extents), (size, size)]:
        if start > place:
            parts.append((place, start))
        place = max(place, stop)
    return parts
