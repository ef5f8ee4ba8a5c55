"""Damages small files in every way and reads them with both readers, and with h5py alone beside them.

Prints a table of what came of it, and writes it with all findings to outputs/faults/. Ends with status 1 if a reader of
ours crashed, hung, or took too much memory, or delivered wrong values of files with checksums throughout.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fuzzing.campaign import Finding, Recipe, Tally, Workshop, recipes, run
from fuzzing.specimens import SPECIMENS

OURS = ("direct", "h5py")


def main() -> int:
    """Run the campaign, or repeat one recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=2000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (%(default)s)")
    parser.add_argument(
        "--only", nargs="+", choices=SPECIMENS, metavar="KIND", help="these kinds of file alone"
    )
    parser.add_argument("--repeat", help="one recipe, as the findings name it; --keep FILE writes its bytes")
    parser.add_argument("--keep", type=Path, help="where to write the damaged file of --repeat")
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/faults"), help="where the table goes (%(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="h5lightning-faults-") as folder:
        if options.repeat:
            return _repeat(Recipe.parse(options.repeat), folder, options.keep)
        wanted = list(recipes(options.mutations, options.seed, options.only or tuple(SPECIMENS)))
        tally = run(wanted, folder, _progress(3 * len(wanted)))
    _report(tally, options.out, f"{len(wanted)} mutations of seed {options.seed}")
    return int(_is_bad(tally))


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


def _report(tally: Tally, out: Path, title: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = f"# {title}\n\n{tally.markdown()}"
    (out / "faults.md").write_text(text, encoding="utf-8")
    findings = [{**asdict(finding), "recipe": str(finding.recipe)} for finding in tally.findings]
    (out / "findings.json").write_text(json.dumps(findings, indent=1), encoding="utf-8")
    sys.stdout.write(text)


def _is_bad(tally: Tally) -> bool:
    worst = sum(tally.of(arm, verdict) for arm in OURS for verdict in ("crash", "hang", "memory"))
    checked = [name for name, specimen in SPECIMENS.items() if specimen.is_checked]
    return bool(worst or sum(tally.of(arm, "wrong", checked) for arm in OURS))


if __name__ == "__main__":
    sys.exit(main())
