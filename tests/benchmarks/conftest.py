"""Makes the package of the benchmarks importable, as it is for ``python tests/benchmarks/run.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Loading is measured with what Linux alone tells of a process, and with its way to empty the page cache.
collect_ignore = (
    [] if sys.platform == "linux" else ["loading", "test_baselines.py", "test_measure.py", "test_program.py"]
)
