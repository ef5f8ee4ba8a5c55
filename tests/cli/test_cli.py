"""The command line: what it prints, how it ends, and what it leaves to Hydra."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from h5lightning.cli.report_errors import EXIT_CODE, reported_errors
from h5lightning.cli.train import with_demo
from h5lightning.errors import OptionError, SplitError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def command(tmp_path):
    """Runs `h5lightning` in the temporary directory of the test."""

    def run(*arguments, env=None):
        return subprocess.run(
            [sys.executable, "-m", "h5lightning", *arguments],
            check=False, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=50,
        )  # fmt: skip

    return run


# ── help ─────────────────────────────────────────────────────────────────────────────────────────────


def test_help_lists_the_commands(command):
    done = command("--help")
    assert done.returncode == 0
    assert {"train", "index"} <= set(done.stdout.split())


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from h5lightning.cli import main\n"
        "sys.argv = ['h5lightning', '--help']\n"
        "try:\n    main()\n"
        "finally:\n    print('heavy:', *(name for name in ('torch', 'h5py', 'numpy', 'hydra') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].strip() == "heavy:"


def test_help_of_train_is_hydras(command):
    done = command("train", "--help")
    assert done.returncode == 0
    assert "Configuration groups" in done.stdout
    assert "data.files='runs/*.h5'" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("trian",)], ids=["none", "mistyped"])
def test_no_command_and_an_unknown_one_are_refused(command, arguments):
    assert command(*arguments).returncode == 2


# ── which arguments mean the demo ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["trainer.max_epochs=1"],
        ["seed=1,2", "model.width=8"],
        ["+trainer.min_epochs=1"],
        ["database.x=1"],
    ],
    ids=["nothing", "trainer", "several", "added-key", "similar-name"],
)
def test_the_demo_is_added_where_neither_data_nor_experiment_is_given(given):
    assert with_demo(given) == ["experiment=demo", *given]


@pytest.mark.parametrize(
    "given",
    [
        ["data.files=a.h5"],
        ["seed=1", "data.batch_size=3"],
        ["data=h5"],
        ["experiment=null"],
        ["+experiment=mine"],
        ["experiment=a,b"],
        ["++data.files='runs/*.h5'"],
    ],
    ids=["files", "other-data", "group", "no-experiment", "added-experiment", "swept-experiment", "forced"],
)
def test_the_demo_is_not_added_to_a_choice_of_data(given):
    assert with_demo(given) == given


def test_an_argument_that_is_no_override_is_refused():
    with pytest.raises(OptionError, match="batch"):
        with_demo(["batch"])


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_error_of_ours_becomes_one_message_and_an_exit_code(capsys):
    with pytest.raises(SystemExit) as ended, reported_errors():
        raise SplitError("too few files")
    assert ended.value.code == EXIT_CODE
    assert capsys.readouterr().err == "SplitError: too few files\n"


def test_an_error_of_ours_is_found_behind_a_wrapper(capsys):
    wrapper = RuntimeError("wrapped")
    wrapper.__cause__ = SplitError("too few files")
    with pytest.raises(SystemExit), reported_errors():
        raise wrapper
    assert capsys.readouterr().err == "SplitError: too few files\n"


def test_other_errors_pass(capsys):
    with pytest.raises(ZeroDivisionError), reported_errors():
        _ = 1 / 0
    assert capsys.readouterr().err == ""


def test_the_traceback_is_kept_on_request(monkeypatch):
    monkeypatch.setenv("H5LIGHTNING_TRACEBACK", "1")
    with pytest.raises(SplitError), reported_errors():
        raise SplitError("too few files")


# ── index ────────────────────────────────────────────────────────────────────────────────────────────


def test_index_scans_once_and_then_knows(command, write_files):
    pattern = write_files((4, 6))
    first, second = (
        json.loads(command("index", pattern, "--fields", "[x]", "--json").stdout) for _ in range(2)
    )
    assert (first["files"], first["rows"], first["scanned"]) == (2, 10, 2)
    assert (second["files"], second["rows"], second["scanned"]) == (2, 10, 0)
    assert first["extents"] == second["extents"] == {"datasets": 2, "chunks": 2, "bytes": 40}
    assert list(Path(first["index_dir"]).iterdir())


def test_index_says_it_in_words(command, write_files):
    done = command("index", write_files((4, 6)), "--fields", "{x: x, y: y}")
    assert "2 scanned, 0 unchanged" in done.stdout
    assert "10 rows" in done.stdout
    assert "4 chunks of 4 datasets, in a map of 80 B" in done.stdout


def test_index_keeps_its_index_where_it_is_told(command, write_files, tmp_path):
    found = json.loads(
        command("index", write_files(), "--fields", "x", "--index-dir", tmp_path / "here", "--json").stdout
    )
    assert found["index_dir"] == str(tmp_path / "here")
    assert list((tmp_path / "here").iterdir())


def test_index_can_leave_bad_files_out(command, write_files, tmp_path):
    pattern = write_files((4, 6))
    (tmp_path / "runs" / "broken.h5").write_bytes(b"nonsense")
    assert command("index", pattern, "--fields", "[x]").returncode == EXIT_CODE
    found = json.loads(command("index", pattern, "--fields", "[x]", "--skip-bad", "--json").stdout)
    assert [skipped["file"] for skipped in found["skipped"]] == ["broken.h5"]
    assert found["files"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere/*.h5",), "NoMatchError: 'nowhere/*.h5' matches no HDF5 file"),
        (("*.h5", "--fields", "{x: "), "OptionError: --fields must be YAML"),
    ],
    ids=["no-match", "fields"],
)
def test_index_ends_with_one_message(command, arguments, message):
    done = command("index", *arguments)
    assert done.returncode == EXIT_CODE
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
