"""Names are shown on a terminal and cannot control it."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from h5lightning.core.terminal import Terminal, shown, stacked

HOSTILE = "\x1b[2Ja\u202e\x9b\b\n✗ [red]forged :warning:"
ESCAPED = r"\x1b[2Ja\u202e\x9b\x08\n✗ [red]forged :warning:"


def printed(*renderables, width=200):
    stream = io.StringIO()
    console = Terminal(file=stream, width=width, force_terminal=True, color_system=None)
    for renderable in renderables:
        console.print(renderable)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def table_of(cell):
    table = Table.grid()
    table.add_row(cell)
    return table


@pytest.mark.parametrize(
    "renderable",
    [HOSTILE, shown(HOSTILE), shown((HOSTILE, "bold")), table_of(HOSTILE), table_of(shown(HOSTILE))],
    ids=["text", "shown", "styled", "cell", "shown in a cell"],
)
def test_a_name_is_one_line_of_what_it_holds(renderable):
    assert printed(renderable) == [ESCAPED]


def test_a_column_is_as_wide_as_what_is_shown():
    # Measured as 30 characters, it would be cut.
    assert printed(table_of(shown("\x1b" * 30)), width=120) == ["\\x1b" * 30]


def test_what_comes_another_way_does_nothing_either():
    assert printed(Text("a\x1b[2J\u202e")) == [r"a\x1b[2J\u202e"]


def test_styles_are_kept():
    stream = io.StringIO()
    console = Terminal(file=stream, width=80, force_terminal=True, color_system="standard")
    console.print(shown(("a\x1b", "bold"), "b"))
    assert stream.getvalue() == "\x1b[1ma\\x1b\x1b[0mb\n"


def test_own_lines_stay_lines():
    assert printed(stacked(shown("a\n"), shown(("b", "dim")))) == [r"a\n", "b"]


def test_code_is_not_wrapped():
    stream = io.StringIO()
    Terminal(file=stream, width=20).print_code(f"x = 1\n{'y' * 30}  # [red] \x1b")
    assert stream.getvalue() == f"x = 1\n{'y' * 30}  # [red] \\x1b\n"
