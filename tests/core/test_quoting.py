"""Pasted text is the same text for every reader."""

import ast
import shutil
import subprocess

import pytest
from hostile_names import NAMES, hostile_names
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from yaml import safe_load

from h5lightning.core.quoting import hydra_text, python_text, shell_word, yaml_text

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
