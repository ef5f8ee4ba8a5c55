"""explain_moves: how one saved split differs from another."""

import pytest

from h5lightning.planning.splitting.manifest_diff import explain_moves


def split(by="file", rows=None, **splits):
    """A saved split of one-series files of ten rows."""
    names = sorted({name for part in splits.values() for name in part})
    return {
        "by": by,
        "rows": {name: [10] for name in names} | (rows or {}),
        "splits": {
            name: {"files": part} if isinstance(part, list) else {"runs": part}
            for name, part in splits.items()
        },
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            split(train=["a", "b"], test=["c"]),
            split(train=["a"], test=["b", "c"]),
            "1 file went from train to test (b)",
            id="moved",
        ),
        pytest.param(
            split(train=["a", "b"], test=["c"]),
            split(train=["c"], test=["a", "b"]),
            "2 files went from train to test (a, b); 1 file went from test to train (c)",
            id="exchanged",
        ),
        pytest.param(
            split(train=list("abcdef")),
            split(val=list("abcdef")),
            "6 files went from train to val (a, b, c, … 3 more)",
            id="many",
        ),
        pytest.param(
            split(train=["a"]),
            split(train=["a"], rows={"a": [4, 5]}),
            "1 file has other rows (a: 10, now 9)",
            id="other rows",
        ),
        pytest.param(
            split(train=["a"]),
            split(train=["a"], val=["b"], rows={"c": [1]}),
            "2 files are new (b in val, c in no split)",
            id="new",
        ),
        pytest.param(
            split(train=["a"], val=["b"]), split(train=["a"]), "1 file is gone (b in val)", id="gone"
        ),
        pytest.param(
            split("block", train={"a": [[0, 0, 5]]}, val={"a": [[0, 5, 10]]}),
            split("block", train={"a": [[0, 0, 6]]}, val={"a": [[0, 6, 10]]}),
            "1 file is divided at other rows (a)",
            id="divided elsewhere",
        ),
        pytest.param(
            split(train=["a"]),
            split("block", train={"a": [[0, 0, 6]]}, val={"a": [[0, 6, 10]]}),
            "it was by 'file' and is by 'block'; 1 file went from train to train and val (a)",
            id="by",
        ),
    ],
)
def test_words(old, new, expected):
    assert explain_moves(old, new) == expected
