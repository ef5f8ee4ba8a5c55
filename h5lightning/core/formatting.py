"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sized

__all__ = ["bytes_text", "counted", "more_files", "share_text", "time_text"]

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
        # 1023.95 would be rounded to 1024.
        if abs(value) < 1023.95:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}" if abs(value) < 99.95 else f"{value:,.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """A number with its noun in the right number.

    Example:
        >>> counted(1, "file"), counted(12000, "file"), counted(0, "series")
        ('1 file', '12,000 files', '0 series')
    """
    return f"{count:,} {noun if count == 1 else _NOUNS.get(noun, noun + 's')}"


def more_files(files: Sized) -> str:
    """What follows the name of the first of some files; empty if it is the only one.

    Example:
        >>> more_files("abc"), more_files("a")
        (' (and 2 more files)', '')
    """
    return f" (and {counted(len(files) - 1, 'more file')})" if len(files) > 1 else ""


def share_text(share: float) -> str:
    """A share in per cent.

    Example:
        >>> share_text(0.8), share_text(0.1234)
        ('80 %', '12.3 %')
    """
    return f"{share:.1%}".replace(".0%", "%").replace("%", " %")


def time_text(seconds: float) -> str:
    """A time in the unit that fits.

    Example:
        >>> time_text(0.0000123), time_text(0.0456), time_text(2)
        ('12 µs', '46 ms', '2.0 s')
    """
    if seconds < 0.001:
        return f"{seconds * 1e6:.2g} µs" if seconds < 1e-5 else f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.2g} ms" if seconds < 0.1 else f"{seconds:.1f} s"
