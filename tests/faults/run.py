"""Damages small files in every way and reads them with both readers, and with h5py alone beside them.

Prints a table of what came of it, and writes it with all findings to outputs/faults/. Ends with status 1 if a reader of
ours crashed, hung, or took too much memory, or delivered wrong values of files with checksums throughout, or though it
verified what it read. With --corpus, reads the files of a folder instead, whatever they are.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from fuzzing.campaign import Finding, Recipe, Tally, Workshop, bad_counts, recipes, run
from fuzzing.corpus import read_corpus, table_of
from fuzzing.judging import ARMS, OURS
from fuzzing.specimens import SPECIMENS


def main() -> int:
    """Run the campaign, or repeat one recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=2000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (%(default)s)")
    parser.add_argument(
        "--only", nargs="+", choices=SPECIMENS, metavar="KIND", help="these kinds of file alone"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work (%(default)s)")
    parser.add_argument("--corpus", type=Path, help="a folder of files, each of which is read as it is")
    parser.add_argument(
        "--share", help=argparse.SUPPRESS
    )  # of one of the jobs: its number and how many there are
    parser.add_argument("--repeat", help="one recipe, as the findings name it; --keep FILE writes its bytes")
    parser.add_argument("--keep", type=Path, help="where to write the damaged file of --repeat")
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/faults"), help="where the table goes (%(default)s)"
    )
    options = parser.parse_args()
    if options.corpus:
        return _read_corpus(str(options.corpus), options.out)
    if options.jobs > 1:
        tally = _in_jobs(options.jobs, options.out)
    else:
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="h5lightning-faults-") as folder:
            if options.repeat:
                return _repeat(Recipe.parse(options.repeat), folder, options.keep)
            wanted = list(recipes(options.mutations, options.seed, options.only or tuple(SPECIMENS)))
            first, step = map(int, options.share.split("/")) if options.share else (0, 1)
            wanted = wanted[first::step]
            tally = run(wanted, folder, _progress(len(ARMS) * len(wanted)))
    if options.share:
        (options.out / "tally.pickle").write_bytes(pickle.dumps(tally))
        return 0
    bad = bad_counts(tally)
    _report(tally, options.out, f"{options.mutations} mutations of seed {options.seed}", bad)
    return int(any(bad.values()))


def _in_jobs(jobs: int, out: Path) -> Tally:
    """The same campaign, in so many processes, which take recipes in turn."""
    folders = [out / f"job-{number}" for number in range(jobs)]
    children = []
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True, exist_ok=True)
        # The last of two options of the same name counts.
        own = ["--jobs", "1", "--share", f"{number}/{jobs}", "--out", str(folder)]
        children.append(subprocess.Popen([sys.executable, *sys.argv, *own]))
    statuses = [child.wait() for child in children]
    if any(statuses):
        raise SystemExit("a job of the campaign failed")
    tally = Tally()
    for folder in folders:
        tally.merge(pickle.loads((folder / "tally.pickle").read_bytes()))
    return tally


def _read_corpus(folder: str, out: Path) -> int:
    outcomes = list(read_corpus(folder))
    out.mkdir(parents=True, exist_ok=True)
    (out / "corpus.json").write_text(
        json.dumps([asdict(one) for one in outcomes], indent=1), encoding="utf-8"
    )
    sys.stdout.write(table_of(outcomes))
    bad = [one for one in outcomes if one.arm in OURS and one.verdict not in ("read", "error")]
    for one in bad:
        sys.stderr.write(f"{one.file} {one.arm}: {one.verdict}: {one.words[:200]}\n")
    return int(bool(bad))


def _repeat(recipe: Recipe, folder: str, keep: Path | None) -> int:
    workshop = Workshop(folder)
    if keep:
        keep.write_bytes(workshop.damaged(recipe))
    for finding in workshop.try_out(recipe):
        sys.stdout.write(f"{finding.arm}: {finding.verdict}: {finding.words}\n")
    return 0


def _progress(total: int) -> Callable[[Finding], None]:
    start_s, done = time.monotonic(), 0

    def advance(finding: Finding) -> None:
        nonlocal done
        done += 1
        if finding.arm in OURS and finding.verdict not in ("right", "error"):
            sys.stderr.write(f"{finding.recipe} {finding.arm}: {finding.verdict}: {finding.words[:200]}\n")
        if done % 3000 == 0:
            sys.stderr.write(f"{done} of {total} after {time.monotonic() - start_s:.0f} s\n")

    return advance


def _report(tally: Tally, out: Path, title: str, bad: Mapping[str, int]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    listed = "; ".join(f"{what}: {number}" for what, number in bad.items())
    text = f"# {title}\n\n{tally.markdown()}\n{listed}\n"
    (out / "faults.md").write_text(text, encoding="utf-8")
    findings = [{**asdict(finding), "recipe": str(finding.recipe)} for finding in tally.findings]
    (out / "findings.json").write_text(json.dumps(findings, indent=1), encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
