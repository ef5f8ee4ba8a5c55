"""Numbers, sizes, times, long lists and tables as text for people."""

from __future__ import annotations

import html
from collections.abc import Sequence, Sized
from dataclasses import dataclass

from h5lightning.core.visible import visible

__all__ = ["PlainTable", "bytes_text", "counted", "listed", "more_files", "share_text", "time_text"]

_INDENT = "  "
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_NOUNS = {"series": "series", "axis": "axes"}


def bytes_text(size: int) -> str:
    """A size in binary units.

    Example:
        >>> bytes_text(900), bytes_text(1536), bytes_text(100 * 1024**2), bytes_text(-4096)
        ('900 B', '1.5 KiB', '100 MiB', '-4 KiB')
    """
    if abs(size) < 1024:
        return f"{size} B"
    value, unit = float(size), "B"
    for larger in _UNITS:
        # From 1023.95 on, a value would be shown as 1024.
        if abs(value) < 1023.95:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}" if abs(value) < 99.95 else f"{value:,.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the singular or plural.

    Example:
        >>> counted(1, "file"), counted(12000, "file"), counted(0, "series")
        ('1 file', '12,000 files', '0 series')
    """
    return f"{count:,} {noun if count == 1 else _NOUNS.get(noun, noun + 's')}"


def listed(texts: Sequence[str], most: int, *, total: int | None = None, separator: str = ", ") -> str:
    """The first ``most`` texts, and how many more there are; with ``total``, ``texts`` may hold only the first ones.

    Example:
        >>> listed(["a", "b"], 2), listed(["a", "b", "c"], 2), listed(["a"], 3, total=3, separator="; ")
        ('a, b', 'a, b and 1 more', 'a; and 2 more')
    """
    shown = texts[:most]
    hidden = (len(texts) if total is None else total) - len(shown)
    joint = " " if separator == ", " else separator
    return f"{separator.join(shown)}{joint}and {hidden:,} more" if hidden > 0 else separator.join(shown)


def more_files(files: Sized) -> str:
    """The number of further files, to follow the name of the first; empty if there is only one.

    Example:
        >>> more_files("abc"), more_files("a")
        (' (and 2 more files)', '')
    """
    return f" (and {counted(len(files) - 1, 'more file')})" if len(files) > 1 else ""


def share_text(share: float) -> str:
    """A fraction as a percentage.

    Example:
        >>> share_text(0.8), share_text(0.1234)
        ('80 %', '12.3 %')
    """
    return f"{share:.1%}".replace(".0%", "%").replace("%", " %")


def time_text(seconds: float) -> str:
    """A time in a suitable unit.

    Example:
        >>> time_text(0.0000123), time_text(0.0456), time_text(2)
        ('12 µs', '46 ms', '2.0 s')
    """
    if seconds < 0.001:
        return f"{seconds * 1e6:.2g} µs" if seconds < 1e-5 else f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.2g} ms" if seconds < 0.1 else f"{seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class PlainTable:
    """Text in rows and columns, with remarks below; the first column is flush left, the others flush right."""

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
        rows = ["".join(f"<td>{_escaped(text)}</td>" for text in row) for row in self.rows]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
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


def _escaped(text: str) -> str:
    return html.escape(visible(text))
