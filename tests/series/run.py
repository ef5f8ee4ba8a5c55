"""Draws trees of series and options, and holds what is loaded against the contract.

Prints a table of features and verdicts. The exit status is 1 if there was a disagreement, which is printed as a program
that reproduces it, after Hypothesis has made it as small as it can.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from judging.campaign import run
from judging.drawing import KINDS, STYLES, TOPICS
from kept_scanners import KeptWorkers

import h5lightning.storage.scanning.parallel_scan as scanning


def main() -> int:
    """Run the campaign."""
    every = (*STYLES, *TOPICS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (%(default)s)")
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"of {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--styles", nargs="+", choices=every, default=every, metavar="STYLE", help=f"of {', '.join(every)}"
    )
    parser.add_argument(
        "--no-shrink", action="store_true", help="print the first case that fails, as it was drawn"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    scanning.ScanWorkers = KeptWorkers  # starting a process takes longer than most cases
    tally = run(
        options.cases,
        options.seed,
        options.folder,
        kinds=options.kinds,
        styles=options.styles,
        shrinks=not options.no_shrink,
    )
    sys.stdout.write(tally.markdown())
    if tally.failure:
        sys.stdout.write(tally.failure)
    return int(bool(tally.failure))


if __name__ == "__main__":
    sys.exit(main())
