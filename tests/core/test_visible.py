"""Text with names from files: made visible without other changes, and the same text for every reader when pasted."""

import ast
import json
import logging
import shutil
import subprocess

import pytest
from hostile_names import NAMES, hostile_names
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from yaml import safe_load

from h5lightning.core.visible import (
    hydra_text,
    json_text,
    python_text,
    shell_word,
    visible,
    visible_lines,
    visible_logger,
    yaml_text,
)

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


pytestmark = pytest.mark.timeout(60)

SHELLS = [shell for shell in ("bash", "zsh", "ksh") if shutil.which(shell)]


@given(hostile_names)
def test_python_reads_it_back(name):
    assert python_text(name).isprintable()
    assert ast.literal_eval(python_text(name)) == name


@given(hostile_names)
def test_yaml_reads_it_back(name):
    assert yaml_text(name).isprintable()
    assert safe_load(f"{{x: {yaml_text(name)}}}") == {"x": name}


@given(hostile_names)
@settings(deadline=None)
def test_hydra_reads_it_back(name):
    override = OverridesParser.create().parse_override(f"x=[{hydra_text(name)}]")
    assert override.value() == [name]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_it_back(shell, tmp_path):
    command = f"printf '%s\\0' {' '.join(map(shell_word, NAMES))}"
    assert command.isprintable()
    done = subprocess.run([shell, "-c", command], capture_output=True, check=True, cwd=tmp_path, timeout=30)
    read = [word.decode("utf-8", "surrogateescape") for word in done.stdout.split(b"\0")[:-1]]
    assert read == NAMES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["a", "runs/x_1.h5", "a:b-c"])
def test_plain_words_stay_plain(text):
    assert shell_word(text) == text
