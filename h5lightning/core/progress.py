"""A progress bar for work that takes over a second, if standard error is a terminal or a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Advance", "progress_bar"]

Advance: TypeAlias = Callable[[float], None]

_PATIENCE_S = 1.0


@contextmanager
def progress_bar(description: str, total: int, *, is_enabled: bool = True) -> Iterator[Advance]:
    """Count steps or shares of them; after a second, a bar appears on standard error if it is a terminal or a notebook.

    Example:
        >>> with progress_bar("scanning", 2) as advance:
        ...     advance(2)
    """
    bar: Progress | None = None
    done, due_s = 0.0, time.monotonic() + _PATIENCE_S

    def advance(steps: float) -> None:
        nonlocal bar, done
        done += steps
        if bar is None and is_enabled and time.monotonic() >= due_s:
            bar = _start(description, total)
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()


def _start(description: str, total: int) -> Progress:
    # This import takes 0.1 s, so it waits until a bar is shown.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from h5lightning.core.terminal import Terminal
    from h5lightning.core.visible import visible

    console = Terminal(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, disable=not (console.is_terminal or console.is_jupyter))
    bar.add_task(visible(description), total=total)
    bar.start()
    return bar
