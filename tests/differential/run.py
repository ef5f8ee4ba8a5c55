"""Loads random files in random ways, and holds every batch and every epoch against h5py and NumPy.

Prints a table of what came of it, and writes it with all findings to outputs/differential/. The exit status is 1 if
there was a disagreement: each is printed with its seed, the files and the configuration as Python code, what was found
and what was expected. A case that takes too long is a disagreement.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # children are forked: no pool of threads may exist before

from comparing.campaign import LIMIT_S, Finding, Name, Tally, names, run, try_out
from comparing.kinds import KINDS
from comparing.ranks import torchrun, wait_for_work


def main() -> int:
    """Run the campaign, or one case again."""
    options = _parser().parse_args()
    if options.wait_for_work:
        wait_for_work(options.wait_for_work)
        return 0
    if options.jobs > 1 and not options.only:
        tally = _in_jobs(options.jobs, options.out)
    else:
        with tempfile.TemporaryDirectory(
            dir=options.folder, prefix="h5lightning-differential-", ignore_cleanup_errors=True
        ) as folder:
            if options.keep:
                return _keep(Name.parse(options.only[0]), options.keep)
            wanted = _wanted(options)
            needs_ranks = any(KINDS[name.kind].has_ranks for name in wanted) and not options.no_torchrun
            with torchrun(f"{folder}/torchrun", __file__) if needs_ranks else nullcontext():
                tally = run(wanted, folder, _progress(len(wanted)), limit_s=options.limit_s)
    if options.share:
        (options.out / "tally.pickle").write_bytes(pickle.dumps(tally))
        return 0
    _report(tally, options.out, f"{sum(tally.counts.values())} cases of seed {options.seed}")
    return int(bool(tally.bad))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work (%(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument(
        "--only", nargs="+", metavar="KIND/SEED", help="these cases, as the findings name them"
    )
    parser.add_argument("--keep", type=Path, help="run the one case of --only in this process and folder")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="for one case (%(default)s)")
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--no-torchrun", action="store_true", help="ranks are forked, with its variables")
    parser.add_argument("--wait-for-work", help=argparse.SUPPRESS)  # of a rank of torchrun
    parser.add_argument("--share", help=argparse.SUPPRESS)  # of one of the jobs: its number and how many
    parser.add_argument("--out", type=Path, default=Path("outputs/differential"), help="(%(default)s)")
    return parser


def _wanted(options: argparse.Namespace) -> list[Name]:
    if options.only:
        return [Name.parse(text) for text in options.only]
    wanted = list(names(options.cases, options.seed, options.kinds or tuple(KINDS)))
    first, step = map(int, options.share.split("/")) if options.share else (0, 1)
    return wanted[first::step]


def _in_jobs(jobs: int, out: Path) -> Tally:
    """The same campaign, in so many processes, which take cases in turn."""
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


def _keep(name: Name, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    verdict, words, code = try_out(name, str(folder))
    sys.stdout.write(f"{code}\n{name}: {verdict}: {words}\n")
    return int(verdict not in ("right", "refused"))


def _progress(total: int) -> Callable[[Finding], None]:
    start_s, done = time.monotonic(), 0

    def advance(finding: Finding) -> None:
        nonlocal done
        done += 1
        if finding.is_bad:
            sys.stderr.write(f"{finding}\n")
        if done % 100 == 0:
            sys.stderr.write(f"{done} of {total} after {time.monotonic() - start_s:.0f} s\n")

    return advance


def _report(tally: Tally, out: Path, title: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = f"# {title}\n\n{tally.markdown()}\n{len(tally.bad)} disagreements\n"
    findings = "\n".join(f"{finding}" for finding in tally.findings)
    (out / "differential.md").write_text(f"{text}\n```text\n{findings}```\n", encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
