"""A table as text and as HTML."""

from h5lightning.core.text_tables import PlainTable

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
