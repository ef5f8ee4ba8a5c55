"""The command that runs the suite on several Pythons: finds them, and says what became of each."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = runpy.run_path(str(Path(__file__).with_name("pythons.py")))
VERSION = ".".join(map(str, sys.version_info[:3]))


@pytest.fixture
def pyenv(tmp_path, monkeypatch):
    """Versions under pyenv, each of which is this interpreter, and none on PATH."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for version in ("3.12.9", "3.12.10", "3.1.2"):
        folder = tmp_path / "pyenv" / "versions" / version / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(sys.executable)
    return tmp_path / "pyenv" / "versions"


@pytest.fixture
def commands(monkeypatch):
    """What is called, without being run; a command with a word in ``fails`` ends with 1."""
    calls, fails = [], []
    real = subprocess.run

    def run(command, **options):
        if options.get("capture_output"):
            return real(command, **options)
        calls.append((list(command), options["env"]["PATH"].split(os.pathsep)[0]))
        return subprocess.CompletedProcess(command, int(any(word in command for word in fails)))

    monkeypatch.setattr(subprocess, "run", run)
    run.calls, run.fails = calls, fails
    return run


@pytest.mark.parametrize(("wanted", "found"), [("3.12", "3.12.10"), ("3.12.9", "3.12.9"), ("3.1", "3.1.2")])
def test_the_newest_of_a_version_is_found_under_pyenv(pyenv, wanted, found):
    assert PROGRAM["find_python"](wanted) == str(pyenv / found / "bin" / "python")


def test_an_interpreter_on_the_path_comes_first_if_it_starts(pyenv, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    (folder / "python3.12").write_text("#!/bin/sh\nexit 127\n")
    (folder / "python3.12").chmod(0o755)
    assert PROGRAM["find_python"]("3.12").startswith(str(pyenv))
    (folder / "python3.12").unlink()
    (folder / "python3.12").symlink_to(sys.executable)
    assert PROGRAM["find_python"]("3.12") == str(folder / "python3.12")


def test_a_version_that_is_not_there_is_named_before_anything_is_run(pyenv, commands):
    with pytest.raises(SystemExit, match=r"there is no Python 3\.99 on PATH or in .*pyenv"):
        PROGRAM["main"]([sys.executable, "3.99"])
    assert commands.calls == []


def test_each_python_has_an_environment_and_runs_the_suite(commands, tmp_path, capsys):
    assert PROGRAM["main"]([sys.executable, "--folder", str(tmp_path), "--", "-q", "tests/readers"]) == 0
    environment = tmp_path / VERSION
    python = str(environment / "bin" / "python")
    made, installed, tested = [command for command, _ in commands.calls]
    assert made == [sys.executable, "-m", "venv", str(environment)]
    assert installed[:4] == [python, "-m", "pip", "install"]
    assert installed[-4:] == ["-c", "constraints.txt", "-e", ".[test]"]
    assert tested == [python, "-m", "pytest", "-q", "tests/readers"]
    assert commands.calls[-1][1] == str(environment / "bin")
    assert capsys.readouterr().out.splitlines()[-1].split() == [sys.executable, "passed"]


def test_the_lowest_versions_have_an_environment_of_their_own(commands, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(PROGRAM["shutil"], "which", lambda name: f"/tools/{name}")
    assert PROGRAM["main"]([sys.executable, "--lowest", "--folder", str(tmp_path), "--", "-q"]) == 0
    environment = tmp_path / f"lowest-{VERSION}"
    _, resolved, lowest, tools, ours, tested = [command for command, _ in commands.calls]
    assert resolved[:3] == ["/tools/uv", "pip", "compile"]
    assert "lowest-direct" in resolved
    pinned = str(environment / "lowest.txt")
    assert lowest[-2:] == ["-r", pinned]
    assert tools[tools.index("-c") + 1] == pinned
    assert ours[-3:] == ["--no-deps", "-e", "."]
    assert tested[-3:] == ["-o", "filterwarnings=default", "-q"]


def test_the_lowest_versions_need_uv(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(PROGRAM["shutil"], "which", lambda name: None)
    with pytest.raises(SystemExit, match="--lowest needs uv: python -m pip install uv"):
        PROGRAM["main"]([sys.executable, "--lowest", "--folder", str(tmp_path)])


@pytest.mark.parametrize(
    ("word", "result"),
    [("venv", "no environment could be made"), ("pip", "dependencies could not be"), ("pytest", "FAILED")],
)
def test_what_failed_is_said_and_is_the_exit_status(commands, tmp_path, capsys, word, result):
    commands.fails.append(word)
    assert PROGRAM["main"]([sys.executable, "--folder", str(tmp_path)]) == 1
    assert result in capsys.readouterr().out.splitlines()[-1]
