"""Measures how fast batches come, end to end, beside baselines, limits and other formats.

All takes turns in one run; ratios mean more than rates. Writes loading.md, loading.json and, for a README,
loading-short.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from loading.program import PARTS, measure
from loading.scale import Scale
from loading.short import in_short, write_between_marks


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="half of the rows, 3 short rounds: for a look")
    parser.add_argument(
        "--part", type=float, help="part of the rows, in (0, 1]; less than 0.5 fits into caches"
    )
    parser.add_argument("--peers", action="store_true", help="convert to other formats and race them too")
    parser.add_argument("--rounds", type=int, help="epochs of each that count; default 5")
    parser.add_argument("--folder", help="where data are written; default: the system's temporary folder")
    parser.add_argument("--most-files", type=int, default=10_000, help="files of a data set (%(default)s)")
    parser.add_argument("--readme", help="a Markdown file with marks, between which a short form is written")
    parser.add_argument("--out", default="outputs/benchmarks", help="where the tables go (%(default)s)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown parts {sorted(unknown)}; known: {', '.join(PARTS)}")
    scale = Scale(
        part=options.part or (0.5 if options.quick else 1.0),
        rounds=options.rounds or (3 if options.quick else 5),
        limit_s=0.5 if options.quick else 2.0,
        folder=options.folder,
        with_peers=options.peers,
        most_files=options.most_files,
    )
    report = measure(options.parts or list(PARTS), scale)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    markdown = report.markdown()  # once: the load of the machine is in it
    (out / "loading.md").write_text(markdown, encoding="utf-8")
    (out / "loading.json").write_text(json.dumps(report.plain(), indent=1), encoding="utf-8")
    (out / "loading-short.md").write_text(in_short(report), encoding="utf-8")
    if options.readme:
        write_between_marks(Path(options.readme), in_short(report))
    sys.stdout.write(markdown)


if __name__ == "__main__":
    main()
