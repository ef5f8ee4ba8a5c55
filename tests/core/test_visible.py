"""Characters that are not printable are shown, and nothing else is changed."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.core.visible import json_text, visible, visible_lines, visible_logger

HARMFUL = [
    "\x00", "\x07", "\x08", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9b", "\xad", "\u061c", "\u200b", "\u200e", "\u200f",
    "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\udcff", "\ud800", "\U000e0041",
]  # fmt: skip

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from([*HARMFUL, "\\", '"']))


@pytest.mark.parametrize("char", HARMFUL, ids=ascii)
def test_what_is_not_printable_is_shown_as_python_would(char):
    assert visible(f"a{char}b") == f"a{ascii(char)[1:-1]}b"


@pytest.mark.parametrize("text", ["", "größe 温度", "a\\x1b", "'\"", "${x}", "[red]", "👩"], ids=ascii)
def test_the_rest_stays(text):
    assert visible(text) == text


@given(ANY_TEXT)
def test_any_text_becomes_printable_once_and_for_all(text):
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown
    assert visible_lines(text).split("\n") == list(map(visible, text.split("\n")))


@given(st.dictionaries(ANY_TEXT, st.lists(ANY_TEXT | st.integers() | st.none()), max_size=3))
def test_json_is_printable_and_says_the_same(value):
    text = json_text(value)
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == value


def test_json_keeps_what_can_be_read():
    assert json_text({"größe": "→"}) == '{\n  "größe": "→"\n}'


def test_arguments_of_log_messages_are_shown(caplog):
    logger = visible_logger("h5lightning.a_test_of_names")
    assert visible_logger("h5lightning.a_test_of_names") is logger
    assert len(logger.filters) == 1
    with caplog.at_level(logging.WARNING):
        logger.warning("%d of %s: %s", 2, "a\x1b[2J.h5", OSError("b\nforged"))
    assert caplog.messages == [r"2 of a\x1b[2J.h5: b\nforged"]
    assert caplog.records[0].msg == "%d of %s: %s"
