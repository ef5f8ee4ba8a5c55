"""Makes the package of the campaign importable, as it is for ``python tests/differential/run.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
