"""What the names of datasets say about series, such as episodes: which may hold their ends, lengths or flags.

A name alone is no evidence: the contents are checked by `tiling`.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_index_of", "may_divide", "roles_of"]

# Words for series, from those that name nothing else to those that need further evidence.
_EPISODES = "eps?|episodes?|epi|trajs?|trajector(?:y|ies)|demos?|demonstrations?|rollouts?"
_STRICT = rf"{_EPISODES}|seqs?|sequences?|trials?|paths?"
_WIDE = (
    f"{_STRICT}|videos?|clips?|series|runs?|sessions?|segments?|recordings?|records?|tracks?|scenes?|subjects?|patients?|"
    "utts?|utterances?|streams?|games?|sims?|simulations?|sentences?|docs?|documents?|graphs?|mols?|molecules?|"
    "conformers?|events?|jets?|bags?|slides?|rows?|lists?|groups?|samples?|items?|users?|audios?|files?|chroms?|seg"
)
_STEPS = (
    "steps?|timesteps?|time_steps?|frames?|rows?|transitions?|atoms?|nodes?|points?|particles?|tokens?|hits?|edges?|"
    "tracks?|patches|tiles?|instances?|windows?|records?"
)
_PLACE = "(?:_(?:idx|idxs|index|indexes|indices|ind|inds|rows?|pos|ids?))?"

_PATTERNS = {
    role: re.compile(pattern)
    for role, pattern in {
        # One entry for each series: the row after its last one.
        "ends": rf"(?:\w+_)?(?:ends?|stops?){_PLACE}|cum(?:ulative)?_?(?:sum|{_WIDE}|lens?|lengths?|sizes?)\w*",
        # One entry for each series, and then the number of rows.
        "offsets": (
            rf"(?:\w+_)?(?:offsets?|ind_?ptrs?|ptrs?|pointers?|boundar(?:y|ies)|bounds|borders|breaks){_PLACE}|"
            r"(?:\w+_)?(?:row_?splits|slices|row_?ptrs?|c(?:row|col)_indices)|"
            rf"cu_\w+|cum(?:ulative)?_?(?:sum|{_WIDE}|lens?|lengths?|sizes?)\w*|"
            rf"(?:\w+_)?(?:ends?|stops?|starts?|begins?){_PLACE}"
        ),
        "starts": rf"(?:{_STRICT})_(?:starts?|offsets?|begins?|first|from){_PLACE}|"
        rf"(?:starts?|first|begins?)_of_(?:{_STRICT})",
        # One entry for each series of the dataset that the name without its end names: the row after its last one.
        "index": r"\w+_index",
        "lengths": (
            rf"(?:(?:{_WIDE})_)?(?:lens?|lengths?)|seq_?lens?|(?:{_WIDE})_(?:sizes?|{_STEPS}|n{_STEPS})|"
            rf"n(?:um|b)?_?(?:{_STEPS})(?:_(?:per|in|of|by)_(?:each_)?\w+)?|"
            rf"(?:{_STEPS}|lens?|lengths?)_(?:per|of|by)_(?:each_)?(?:{_WIDE})"
        ),
        # Last rows, where the next series begins after them.
        "last ends": rf"(?:{_STRICT})_(?:ends?|last|stops?){_PLACE}",
        # Two numbers for each series: its first row and its end.
        "bounds": (
            rf"(?:(?:{_WIDE})_)?(?:bounds|boundar(?:y|ies)|borders|ranges?|limits|slices?|intervals?|extents?|splits)"
            rf"|(?:{_STRICT})(?:_(?:idx|index|indices|rows))?"
        ),
        # These count only in pairs.
        "first": rf"(?:\w+_)?(?:first|starts?|begins?|from|offsets?){_PLACE}",
        "count": r"(?:\w+_)?(?:counts?|nums?|n|lens?|lengths?|sizes?)",
        "after": rf"(?:\w+_)?(?:ends?|stops?){_PLACE}|to",
        "last": rf"(?:\w+_)?(?:last|ends?|stops?){_PLACE}",
        "status": r"status",
        # One entry for each row.
        "flags": (
            r"(?!not?_|non_)(?:\w+_)??(?:is_)?(?:dones?|terminals?|timeouts?|timed_out|terminated|"
            r"truncated|terminations?|truncations?)(?:_(?:flags?|floats?|bools?|masks?))?|"
            rf"is_(?:last|final|end)|(?:is_)?(?:{_STRICT})_(?:ends?|last|over|final)|(?:is_)?(?:ends?|last)_of_(?:{_STRICT})"
        ),
        "inverse flags": r"(?:\w+_)?(?:not|non)_?(?:dones?|terminals?|terminated)",
        "first flags": (
            rf"is_(?:first|starts?|init|reset)|(?:is_)?(?:{_STRICT})_(?:starts?|first|begins?)|"
            rf"(?:is_)?(?:starts?|first)_of_(?:{_STRICT})"
        ),
        "runs": rf"(?:\w+_)?(?:(?:{_EPISODES})(?:_(?:idx|index|ids?|indices|numbers?|num|no|nr))?|value_rowids)",
    }.items()
}
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_TABLES = re.compile(
    rf"(?:\w+_)?(?:{_STRICT}|videos|clips|recordings|runs|sessions|segments|frames|instances|index)(?:_(?:index|table|info))?"
)


@lru_cache(maxsize=4096)
def roles_of(name: str) -> frozenset[str]:
    """What a dataset of this name may say about the rows of others.

    Args:
        name: the last part of its path.

    Returns:
        With one entry for each series: ``ends``, ``last ends``, ``offsets`` (one entry more), ``starts``, ``index``,
        ``lengths``, ``bounds`` (two numbers). In pairs: ``first`` with ``count``, ``after`` or ``last``; ``status``
        says which of them have rows. With one entry for each row: ``flags``, ``inverse flags``, ``first flags``,
        ``runs``. Empty for most names.
    """
    words = _words(name)
    return frozenset(role for role, pattern in _PATTERNS.items() if pattern.fullmatch(words))


def may_divide(path: str) -> bool:
    """Whether a dataset at this path, or a column of it, may divide rows into series."""
    return _may_divide(path[path.rfind("/") + 1 :]) or path.startswith("__I3Index__/")


@lru_cache(maxsize=4096)
def _may_divide(name: str) -> bool:
    return bool(roles_of(name) or _TABLES.fullmatch(_words(name)))


def is_index_of(name: str, path: str) -> bool:
    """Whether ``spike_times_index`` is the index of ``units/spike_times``, or of a dataset below ``spike_times``.

    Args:
        name: name of the index; an ``episode_index`` is one of any dataset.
        path: path of the dataset.
    """
    stem = name[: -len("_index")].lower()
    return stem in path.lower().split("/") or bool(re.fullmatch(_STRICT, stem))


def _words(name: str) -> str:
    """``episode_ends`` for ``episodeEnds``, ``Episode-Ends`` and ``episode_ends``."""
    return "_".join(_PARTS.findall(name)).lower()
