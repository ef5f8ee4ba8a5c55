"""Output on a terminal in which names from files are only shown, and can control nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from h5lightning.core.visible import visible, visible_lines

__all__ = ["Terminal", "shown", "stacked"]


class Terminal(Console):
    """A console that makes all text `visible` and interprets neither markup nor emoji.

    Plain strings and texts of `shown` are escaped before they are measured; everything else when it is rendered.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """The text of a plain string; rich calls this for each string that is printed or in a table."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments that are written."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))

    def print_code(self, code: str) -> None:
        """Print code unwrapped: a user can paste lines that the terminal wraps, but not those that rich wraps."""
        for line in code.split("\n"):
            self.print(line, soft_wrap=True)


def shown(*parts: str | tuple[str, str]) -> Text:
    """A `visible` text of several parts, each with or without a style."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((visible(text), style) for text, style in pairs))


def stacked(*texts: Text) -> Text:
    """Several texts, one per line."""
    return Text("\n").join(texts)
