"""A table as text and as HTML."""

from h5lightning.plain_tables import PlainTable

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
