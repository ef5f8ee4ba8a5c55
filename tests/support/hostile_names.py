"""Names that files may hold, and that mean something to a terminal, a shell, YAML, Hydra or OmegaConf."""

from hypothesis import strategies as st

NAMES = [
    "\\\n", "${oc.env:SECRET}", "\\${oc.env:SECRET}", "\\\\${oc.env:SECRET}", "a${x", "$${oc.env:SECRET}}",
    "${${oc.env:SECRET}}", "???", "$SECRET", "$(touch owned)", "`touch owned`", "a;touch owned", "a\ntouch owned\n",
    "\x1b[2J", "b\u202ecod", "\x9b2J", "\x7f", "\udcff", "\U000e0041", "😀", "null", "1e5", "1_0", "0x1", "-x", "!x",
    "&x", "*x", "%x", "@x", "|", "> a", "a: b", "a #b", "#", "~", "~root", "a=b", "x,y", "{a: b}", "[a]", "'", '"',
    "\\", "a\\", 'a\\"', "\\'", "it's", " ", " a ", "\t", "attr:x", "_target_", "größe", "!!python/name:os.system",
    "2020-01-01", ".", "y", "=", "<<", "\r", "\u2028", "\x85", "\ufeff",
]  # fmt: skip

_PARTS = [
    "${", "}", "$", "{", "\\", "'", '"', "oc.env:SECRET", ":", " ", "#", "\n", "\x1b", "\u202e", "`", "!", ",", "~",
    "[", "é", "a",
]  # fmt: skip

hostile_names = st.sampled_from(NAMES) | st.lists(st.sampled_from(_PARTS), min_size=1, max_size=7).map(
    "".join
)
