"""Prints what a command says, and turns errors of this package into one message without a traceback."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from h5lightning.core.visible import json_text, visible, visible_lines
from h5lightning.errors import H5LightningError

__all__ = [
    "EXIT_CODE",
    "TRACEBACK_VARIABLE",
    "print_json",
    "print_lines",
    "print_report",
    "print_to_stderr",
    "reported_errors",
    "shown_tracebacks",
]

EXIT_CODE = 2
TRACEBACK_VARIABLE = "H5LIGHTNING_TRACEBACK"


def print_json(value: Any) -> None:
    """Print JSON in which everything that is not printable is escaped."""
    print(json_text(value))


def print_report(report: Any, show: Callable[[Any, Any], None], *, as_json: bool) -> None:
    """Print a report as JSON, or let ``show`` print it on a terminal."""
    if as_json:
        print_json(report.to_plain())
    else:
        from h5lightning.core.terminal import Terminal

        show(Terminal(), report)


def print_lines(lines: Iterable[str]) -> None:
    """Print texts, each on one line."""
    print("\n".join(map(visible, lines)))


def print_to_stderr(text: str) -> None:
    """Print one line to standard error: standard output holds the result alone."""
    print(visible(text), file=sys.stderr)


@contextmanager
def reported_errors() -> Iterator[None]:
    """Print an error of this package as one message and exit; let other errors pass.

    The environment variable ``H5LIGHTNING_TRACEBACK=1`` keeps the traceback.

    Raises:
        SystemExit: with `EXIT_CODE`, in place of an error of this package or of one that it caused.
    """
    try:
        yield
    except Exception as error:
        known = _known_cause(error)
        if known is None or os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
            raise
        print(visible_lines(f"{type(known).__name__}: {known}"), file=sys.stderr)
        raise SystemExit(EXIT_CODE) from None


@contextmanager
def shown_tracebacks() -> Iterator[None]:
    """Print the traceback of an error that ends this process with visible escapes."""
    try:
        yield
    except Exception:
        # Not earlier: typer sets its own.
        sys.excepthook = _print_traceback
        raise


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    print(visible_lines(text.rstrip("\n")), file=sys.stderr)


def _known_cause(error: BaseException | None) -> H5LightningError | None:
    """The error of this package that caused ``error``: Hydra and Lightning wrap what a constructor raises."""
    while error is not None and not isinstance(error, H5LightningError):
        error = error.__cause__
    return error
