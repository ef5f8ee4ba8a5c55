"""Names from files do nothing to a terminal, whatever command shows them, and JSON still says them."""

import json
import logging
import sys
from contextlib import suppress

import h5py
import numpy as np
import pytest

from h5lightning.cli import main
from h5lightning.datamodule.module import H5DataModule

pytestmark = pytest.mark.timeout(120)

EVIL = "\x1b[2J\x9b2Jb\u202ecod\x7f\n✗ forged"
ESCAPED = r"\x1b[2J\x9b2Jb\u202ecod\x7f\n✗ forged"
QUICK = ("--workers", "0", "--ranks", "1", "--epochs", "1", "--batches", "1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two files with hostile names in a folder with one, and one that is no HDF5."""
    here = tmp_path / f"{EVIL} folder"
    here.mkdir()
    for number in range(2):
        with h5py.File(here / f"{number} {EVIL}.h5", "w") as file:
            file[f"x {EVIL}"] = np.random.default_rng(number).random((40, 3))
            file[f"label {EVIL}"] = np.arange(40) % 3
            file[f"group {EVIL}/table"] = np.zeros(7, [(f"a {EVIL}", "f8"), ("b", "S3")])
            file.attrs[f"site {EVIL}"] = f"text {EVIL}"
            file[f"x {EVIL}"].attrs[f"units {EVIL}"] = EVIL
    (here / f"bad {EVIL}.h5").write_bytes(b"no HDF5 at all" * 99)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("H5LIGHTNING_CACHE_DIR", str(tmp_path / f"index {EVIL}"))
    monkeypatch.setenv("COLUMNS", "200")
    return here


def texts_of(value):
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if isinstance(value, str) else []


@pytest.fixture
def run(folder, monkeypatch, capsys, caplog):
    """Runs a command over the files that can be read; what it wrote to both streams."""

    def run(command, *arguments, pattern="**/[01]*.h5"):
        monkeypatch.setattr(sys, "argv", ["h5lightning", command, pattern, *arguments])
        with suppress(SystemExit):
            main()
        out, err = capsys.readouterr()
        for text in (out, err, *caplog.messages):
            assert text.replace("\n", "").isprintable(), [char for char in text if not char.isprintable()]
            assert not any(line.lstrip().startswith("✗ forged") for line in text.splitlines())
        return out, err

    return run


FIELDS = ("--fields", json.dumps({"x": f"x {EVIL}", "y": f"label {EVIL}"}))
COMMANDS = [
    ("inspect",),
    ("inspect", "--all"),
    ("doctor", "--no-measure"),
    ("index", *FIELDS, "--checksum"),
    ("bench", "--seconds", "0.01", "--rounds", "1"),
]  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_shows_names_harmlessly(run, folder, command, as_json):
    out, _ = run(*command, *(("--json",) if as_json else ()))
    if as_json:
        assert any(EVIL in text for text in texts_of(json.loads(out)))
    else:
        assert ESCAPED in out


@pytest.mark.parametrize("as_json", [False, True], ids=["words", "json"])
def test_check_shows_names_harmlessly(run, folder, as_json):
    with h5py.File(folder / f"0 {EVIL}.h5", "r+") as file:
        file[f"x {EVIL}"][7] = np.nan
    out, _ = run("check", *FIELDS, *QUICK, "--finite", *(("--json",) if as_json else ()))
    assert ESCAPED in "\n".join(texts_of(json.loads(out)) if as_json else [out]).replace(EVIL, ESCAPED)


def test_bad_files_are_shown_harmlessly(run):
    out, _ = run("inspect", pattern="**/*.h5")
    assert r"bad \x1b[2J\x9b2Jb\u202ecod\x7f\n✗ forged.h5" in out
    assert "is not HDF5" in out


def test_files_that_are_left_out_are_shown_harmlessly(run):
    out, _ = run("index", *FIELDS, "--skip-bad", pattern="**/*.h5")
    assert "left out" in out


def test_verify_shows_names_harmlessly(run, folder):
    run("index", "--checksum")
    with h5py.File(folder / f"0 {EVIL}.h5", "r+") as file:
        file[f"x {EVIL}"][0] = 7
    for arguments in ((), ("--json",)):
        out, _ = run("verify", *arguments)
        assert r"0 \u001b[2J" in out or r"0 \x1b[2J" in out


@pytest.mark.parametrize("command", ["inspect", "doctor", "check", "index", "verify", "bench"])
def test_errors_show_names_harmlessly(run, command):
    _, err = run(command, pattern=f"no {EVIL}*.h5")
    assert err.startswith("NoMatchError: ") or "checksums" in err
    assert len(err.splitlines()) == 1


def test_an_error_that_names_a_dataset_is_one_line(run):
    _, err = run("index", "--fields", json.dumps({"x": f"gone {EVIL}"}))
    assert err.startswith("MissingFieldError: ")
    assert len(err.splitlines()) == 1


def test_a_traceback_shows_names_harmlessly(run, monkeypatch, capsys, folder):
    monkeypatch.setenv("H5LIGHTNING_TRACEBACK", "1")
    monkeypatch.setattr(sys, "argv", ["h5lightning", "index", str(folder / "*.h5")])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr("h5lightning.storage.survey.survey", lambda *_, **__: open(f"gone {EVIL}"))  # noqa: SIM115
    with pytest.raises(FileNotFoundError):
        main()
    sys.excepthook(OSError, OSError(f"gone {EVIL}"), None)
    shown = capsys.readouterr().err
    assert shown.startswith("OSError: gone \\x1b[2J")
    assert r"cod\x7f" in shown
    assert shown.replace("\n", "").isprintable()


def test_a_summary_shows_names_harmlessly(folder, caplog):
    with caplog.at_level(logging.WARNING):
        module = H5DataModule(
            files="**/*.h5",
            fields={"x": f"x {EVIL}"},
            access={"on_bad_file": "skip", "max_bad_fraction": 0.5},
        )
        module.prepare_data()
        module.setup()
    for text in (str(module.summary()), module.summary()._repr_html_(), *caplog.messages):
        assert text.replace("\n", "").isprintable()
    assert any(r"bad \x1b[2J" in message for message in caplog.messages)
    module.teardown("fit")
