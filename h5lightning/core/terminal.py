"""What people read on a terminal, in which no name from a file can do anything but be shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from h5lightning.core.visible import visible, visible_lines

__all__ = ["Terminal", "shown", "stacked"]


class Terminal(Console):
    """A console whose texts are `visible`, each on one line, and mean neither markup nor emoji.

    Texts are escaped before they are measured (`shown`, and all plain strings). What comes another way is escaped
    when it is rendered, so that nothing passes by.

    Args:
        options: those of rich's console.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """The text of a plain string; rich asks for it wherever one is printed or in a table."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces that are written."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))

    def print_code(self, code: str) -> None:
        """Print code as it is: what a terminal wraps can be pasted, what rich wraps cannot."""
        for line in code.split("\n"):
            self.print(line, soft_wrap=True)


def shown(*parts: str | tuple[str, str]) -> Text:
    """A `visible` text of parts, each alone or with its style."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((visible(text), style) for text, style in pairs))


def stacked(*texts: Text) -> Text:
    """Texts, each on a line of its own."""
    return Text("\n").join(texts)
