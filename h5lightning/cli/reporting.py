"""How a command ends when something is wrong: one message, no traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from h5lightning.errors import H5LightningError

__all__ = ["EXIT_CODE", "TRACEBACK_VARIABLE", "reported_errors"]

EXIT_CODE = 2
TRACEBACK_VARIABLE = "H5LIGHTNING_TRACEBACK"


@contextmanager
def reported_errors() -> Iterator[None]:
    """Print an error of this package as one message and exit; let anything else pass.

    The environment variable ``H5LIGHTNING_TRACEBACK=1`` keeps the traceback.

    Raises:
        SystemExit: with `EXIT_CODE`, in place of an error of this package or one that it caused.
    """
    try:
        yield
    except Exception as error:
        known = _known_cause(error)
        if known is None or os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
            raise
        print(f"{type(known).__name__}: {known}", file=sys.stderr)
        raise SystemExit(EXIT_CODE) from None


def _known_cause(error: BaseException | None) -> H5LightningError | None:
    """The error of this package behind ``error``: Hydra and Lightning wrap what a constructor raises."""
    while error is not None and not isinstance(error, H5LightningError):
        error = error.__cause__
    return error
