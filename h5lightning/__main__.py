"""``python -m h5lightning`` is the command ``h5lightning``."""

from __future__ import annotations

from h5lightning.cli import main

if __name__ == "__main__":
    main()
