"""A table with a title and remarks, as plain text of fixed width or as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from h5lightning.core.visible import visible

__all__ = ["PlainTable"]

_INDENT = "  "


@dataclass(frozen=True, slots=True)
class PlainTable:
    """Text in rows and columns; the first column is flush left, the others flush right.

    Args:
        title: text above the table.
        header: names of the columns.
        rows: one text for each column, ``(rows, columns)``.
        remarks: lines below the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()

    def text(self) -> str:
        """Plain text for a terminal, a log file or a mail."""
        header, *rows = [tuple(map(visible, row)) for row in (self.header, *self.rows)]
        columns = list(zip(header, *rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
        rule = _INDENT + "──".join("─" * width for width in widths)
        lines = [visible(self.title), "", self._line(header, widths), rule]
        lines += [self._line(row, widths) for row in rows]
        lines += ["", *(_INDENT + visible(remark) for remark in self.remarks)] if self.remarks else []
        return "\n".join(lines)

    def html(self) -> str:
        """A fragment of HTML for notebooks."""
        head = "".join(f"<th>{_escaped(name)}</th>" for name in self.header)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        remarks = "".join(f"<li>{_escaped(remark)}</li>" for remark in self.remarks)
        return (
            f"<div><strong>{_escaped(self.title)}</strong>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            + (f"<ul>{remarks}</ul>" if remarks else "")
            + "</div>"
        )

    @staticmethod
    def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
        first, *others = zip(texts, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        return (_INDENT + "  ".join(cells)).rstrip()


def _cell(text: str) -> str:
    return f"<td>{_escaped(text)}</td>"


def _escaped(text: str) -> str:
    return html.escape(visible(text))
