"""Numbers, lists and tables as text: what the examples in the docstrings leave out."""

import pytest

from h5lightning.core.formatting import (
    PlainTable,
    bytes_text,
    counted,
    listed,
    more_files,
    share_text,
    time_text,
)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1024**2 - 1, "1 MiB"),
        (1024**5 * 5000, "5,000 PiB"),
        (-1536, "-1.5 KiB"),
    ],
)
def test_sizes(size, expected):
    assert bytes_text(size) == expected


def test_nouns_of_one_and_many():
    assert [counted(n, noun) for n in (1, 2) for noun in ("axis", "series", "file")] == [
        "1 axis",
        "1 series",
        "1 file",
        "2 axes",
        "2 series",
        "2 files",
    ]


@pytest.mark.parametrize(
    ("texts", "options", "expected"),
    [
        ([], {}, ""),
        (["a", "b", "c"], {}, "a, b, c"),
        (list("abcd"), {}, "a, b, c and 1 more"),
        (list("abcd"), {"separator": "; "}, "a; b; c; and 1 more"),
        (list("abc"), {"total": 12_003}, "a, b, c and 12,000 more"),
        (list("abc"), {"total": 3}, "a, b, c"),
    ],
    ids=["none", "all", "one more", "separator", "total", "total of all"],
)
def test_lists(texts, options, expected):
    assert listed(texts, 3, **options) == expected


def test_further_files():
    assert [more_files(range(count)) for count in (0, 1, 2, 3)] == [
        "",
        "",
        " (and 1 more file)",
        " (and 2 more files)",
    ]


def test_fractions_and_times():
    assert [share_text(0), share_text(1), share_text(0.0006)] == ["0 %", "100 %", "0.1 %"]
    assert [time_text(s) for s in (0, 0.0005, 0.05, 12.34)] == ["0 µs", "500 µs", "50 ms", "12.3 s"]


TABLE = PlainTable("Two runs", ("run", "rows"), [("first", "1,000"), ("b", "7")], ("All is <well>",))


def test_text_lines_up():
    assert TABLE.text().splitlines() == [
        "Two runs",
        "",
        "  run     rows",
        "  ────────────",
        "  first  1,000",
        "  b          7",
        "",
        "  All is <well>",
    ]


def test_html_holds_all_cells_escaped():
    found = TABLE.html()
    assert found.count("<td>") == 4
    assert "<li>All is &lt;well&gt;</li>" in found


def test_no_remarks_no_list():
    bare = PlainTable("t", ("a",), [("1",)])
    assert bare.text().endswith("1")
    assert "<ul>" not in bare.html()


def test_names_are_shown_and_begin_no_line():
    name = "a\x1b[2J\u202e\n<b>"
    table = PlainTable(name, (name, "n"), [(name, "1")], (name,))
    escaped = r"a\x1b[2J\u202e\n<b>"
    lines = table.text().splitlines()
    assert len(lines) == 7
    assert sum(escaped in line for line in lines) == 4
    assert table.text().replace("\n", "").isprintable()
    assert table.html().count(r"a\x1b[2J\u202e\n&lt;b&gt;") == 4
    assert table.html().isprintable()
