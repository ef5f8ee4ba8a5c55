"""Makes the package of the judges importable, as it is for ``python tests/series/run.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
