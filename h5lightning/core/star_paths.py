"""Paths in a file that hold a ``*``, which stands for any text in one part of the path."""

from __future__ import annotations

__all__ = ["concrete", "split_at_star", "starred_object"]


def split_at_star(path: str) -> tuple[str, str, str]:
    """The group in which a ``*`` matches, the part of the path that holds the ``*``, and the rest of the path.

    Example:
        >>> split_at_star("data/demo_*/obs/x"), split_at_star("traj_*")
        (('data', 'demo_*', 'obs/x'), ('', 'traj_*', ''))
    """
    before, _, after = path.partition("*")
    group, _, start = before.rpartition("/")
    stop, _, rest = after.partition("/")
    return group, f"{start}*{stop}", rest


def starred_object(path: str) -> str:
    """The path down to the part that holds the ``*``.

    Example:
        >>> starred_object("data/demo_*/obs/x"), starred_object("traj_*")
        ('data/demo_*', 'traj_*')
    """
    group, part, _ = split_at_star(path)
    return f"{group}/{part}" if group else part


def concrete(path: str, text: str) -> str:
    """The path with what its ``*`` matched; a path without a ``*`` as it is."""
    return path.replace("*", text, 1)
