"""`h5lightning train` from end to end: real files, real processes, what is left on the disk."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from h5lightning.app.train import print_results, train
from h5lightning.cli.report_errors import EXIT_CODE
from h5lightning.config import conf_dir, register
from h5lightning.core.terminal import Terminal
from h5lightning.errors import OptionError

OWN_DATA = ("data.files=runs/*.h5", "data.fields={x: x, y: y}", "data.batch_size=16")
SHORT = (
    "trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=3",
    "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false",
)  # fmt: skip

pytestmark = pytest.mark.timeout(120)


MODULE = (sys.executable, "-m", "h5lightning")
SCRIPT = (str(Path(sys.executable).parent / "h5lightning"),)


def run_train(cwd, *arguments, timeout=110, command=MODULE):
    """Runs the command in ``cwd``; a rank that hangs is killed with its parent."""
    # Hydra takes the tracer of a coverage run for a debugger, and prints tracebacks.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        ["timeout", "-k", "5", str(timeout), *command, "train", *arguments],
        check=False, capture_output=True, text=True, cwd=cwd, env=environment,
    )  # fmt: skip


def only(paths):
    (path,) = paths
    return path


def values_of(table, name):
    """The cells beside ``name`` in the printed tables."""
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in table.splitlines()
        if line.startswith("│")
    ]
    return [float(value.split()[0].replace(",", "")) for key, value in rows if key == name]


# ── own data ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def project(tmp_path, write_files):
    """A directory with files in runs/, as a user's project is."""
    write_files()
    return tmp_path


def test_own_data_are_fitted_tested_and_resumed(project):
    """One test for what one run leaves, since a run takes seconds to start."""
    done = run_train(project, *OWN_DATA, *SHORT, "model=classifier")
    assert done.returncode == 0, done.stderr
    output = only((project / "outputs").glob("*/*"))
    checkpoint = only((output / "checkpoints").glob("epoch*.ckpt"))
    assert f"checkpoint: {checkpoint}\n" in done.stdout
    assert 0 <= only(values_of(done.stdout, "test acc")) <= 1
    assert only(values_of(done.stdout, "training speed")) > 0
    assert "Traceback" not in done.stderr
    assert (output / "metrics" / "metrics.csv").read_text().startswith("epoch,")
    assert list((output / ".hydra").iterdir())

    done = run_train(
        project, *OWN_DATA, *SHORT, "model=classifier", f"ckpt_path={checkpoint}", "trainer.max_epochs=2",
        "hydra.run.dir=resumed",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert torch.load(project / "resumed" / "checkpoints" / "last.ckpt")["epoch"] == 1


def test_a_sweep_over_folds_validates_on_other_files_each_time(project):
    done = run_train(
        project, "-m", *OWN_DATA, *SHORT, "model=regressor", "data.split.folds=2", "data.split.fold=0,1"
    )
    assert done.returncode == 0, done.stderr
    checkpoints = [only((project / "multirun").glob(f"*/*/{job}/checkpoints/last.ckpt")) for job in (0, 1)]
    states = [torch.load(path)["H5DataModule"] for path in checkpoints]
    assert states[0]["seed"] == states[1]["seed"]
    assert states[0] != states[1], "both folds were split alike"
    assert len(values_of(done.stdout, "test mse")) == 2


@pytest.mark.slow
def test_two_ranks_of_each_job_of_a_sweep_find_each_other(project):
    """Lightning starts rank 1 from sys.argv, and leaves traces that a sweep's next job must not see."""
    done = run_train(
        project,
        *OWN_DATA,
        *SHORT,
        "model=classifier",
        "trainer.devices=2",
        "trainer.strategy=ddp",
        "-m",
        "seed=1,2",
    )
    assert done.returncode == 0, done.stderr
    assert len(values_of(done.stdout, "test acc")) == 2, "only rank 0 prints, once for each job"
    assert not (project / "outputs").exists(), "rank 1 writes where rank 0 does"
    for job in (0, 1):
        output = only((project / "multirun").glob(f"*/*/{job}"))
        assert (output / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "strategy"),
    [
        pytest.param(SCRIPT, "ddp", id="script-ddp"),
        # Spawned ranks with every sample are in test_ddp.py.
        pytest.param(MODULE, "ddp_spawn", id="module-spawn", marks=pytest.mark.campaign),
    ],
)
def test_two_ranks_train(project, command, strategy):
    done = run_train(
        project, *OWN_DATA, *SHORT, "model=classifier", "trainer.devices=2", f"trainer.strategy={strategy}",
        command=command,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(values_of(done.stdout, "test acc")) == 1, "only rank 0 prints"


@pytest.mark.campaign
def test_two_ranks_train_when_flags_come_last(project):
    config = project / "mine"
    (config / "model").mkdir(parents=True)
    (config / "model" / "own.yaml").write_text("_target_: h5lightning.models.Regressor\nwidth: 4\n")
    done = run_train(
        project,
        *OWN_DATA,
        *SHORT,
        "model=own",
        "trainer.devices=2",
        "trainer.strategy=ddp",
        "--config-dir",
        "mine",
    )
    assert done.returncode == 0, done.stderr
    assert len(values_of(done.stdout, "test mse")) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (OWN_DATA, EXIT_CODE, "OptionError: no model is chosen. Add one of: model=classifier, model="),
        (("data.batch_size=3",), EXIT_CODE, "OptionError: data.files is missing"),
        (("data.files=none/*.h5", "model=regressor"), EXIT_CODE, "NoMatchError: 'none/*.h5' matches no"),
        ((*OWN_DATA, "model=regressor", "data.split.val=2"), EXIT_CODE, "OptionError: split.val must be"),
        ((*OWN_DATA, "data.batchsize=3"), 1, "Could not override 'data.batchsize'"),
        ((*OWN_DATA, "model=regressor", "model.widht=3"), 1, "Could not override 'model.widht'"),
        ((*OWN_DATA, "model=unknown"), 1, "Could not find 'model/unknown'"),
    ],
    ids=["no-model", "no-files", "no-match", "refused-value", "data-typo", "model-typo", "unknown-model"],
)
def test_a_mistake_ends_as_one_message(project, arguments, code, message):
    done = run_train(project, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# ── the demo ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo, cut short: its process and the directory it ran in."""
    directory = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("H5LIGHTNING_DATA_DIR", str(directory / "data"))
        patch.setenv("H5LIGHTNING_CACHE_DIR", str(directory / "cache"))
        done = run_train(directory, *SHORT, "trainer.limit_train_batches=12", "model.width=8")
    assert done.returncode == 0, done.stderr
    return done.stdout, directory


@pytest.mark.slow
def test_the_demo_makes_its_files_once(demo):
    _, directory = demo
    assert len(list((directory / "data").glob("*/*.h5"))) == 16
    assert sorted(os.listdir(directory)) == ["cache", "data", "outputs"]


@pytest.mark.slow
def test_the_demo_is_held_against_nothing_changes(demo):
    printed, _ = demo
    error, persistence = (
        only(values_of(printed, "test mse")),
        only(values_of(printed, "test mse if nothing changed")),
    )
    assert 0 < error < persistence
    assert only(values_of(printed, "ratio of the two")) == pytest.approx(error / persistence, rel=0.01)


@pytest.mark.slow
def test_the_demo_draws_a_picture_and_says_where(demo):
    printed, directory = demo
    picture = only(directory.glob("outputs/*/*/*.png"))
    assert f"picture: {picture}\n" in printed
    assert picture.stat().st_size > 10_000


# ── in this process ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def configure(tmp_path):
    """Overrides → the application's configuration, with outputs in a folder of the test."""
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield lambda *overrides: compose(
            "train", overrides=[*SHORT, f"output_dir={tmp_path / 'out'}", *overrides]
        )


@pytest.fixture
def own_data(write_files):
    return (f"data.files={write_files()}", "data.fields={x: x, y: y}", "model=regressor", "seed=null")


@pytest.mark.parametrize(
    "experiment", sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
)
def test_every_experiment_composes(configure, experiment):
    config = configure(f"experiment={experiment}")
    assert not OmegaConf.is_missing(config.data, "files")
    assert config.model._target_.startswith("h5lightning.models.")


@pytest.mark.parametrize("group", ["model", "trainer", "callbacks", "logger"])
def test_every_choice_of_a_group_composes(configure, group):
    for path in (conf_dir() / group).glob("*.yaml"):
        assert OmegaConf.to_container(configure(f"{group}={path.stem}")[group], resolve=True)


def test_the_objective_is_what_a_sweeper_gets(configure, own_data):
    assert train(configure(*own_data, "objective=val_loss")) > 0


def test_an_unknown_objective_is_refused(configure, own_data):
    with pytest.raises(OptionError, match="did you mean 'val_loss'"):
        train(configure(*own_data, "objective=val_los"))


def test_a_callback_can_be_taken_out_and_no_test_split_is_no_test(configure, own_data, capsys, tmp_path):
    train(
        configure(
            *own_data,
            "callbacks.checkpoint=null",
            "+trainer.enable_checkpointing=false",
            "data.split.test=null",
        )
    )
    printed = capsys.readouterr().out
    assert values_of(printed, "val loss")
    assert not values_of(printed, "test mse")
    assert "checkpoint:" not in printed
    assert f"all outputs: {tmp_path / 'out'}" in printed


def test_without_validation_the_last_checkpoint_is_kept(configure, own_data, tmp_path):
    train(configure(*own_data, "data.split.val=null"))
    assert (tmp_path / "out" / "checkpoints" / "last.ckpt").is_file()


# ── the printed results ──────────────────────────────────────────────────────────────────────────────


def printed(*results, width=80):
    stream = io.StringIO()
    print_results(*results, console=Terminal(file=stream, width=width))
    return stream.getvalue()


def test_metrics_speed_and_waiting_are_shown():
    text = printed({"test_mse": 0.00123456}, 12345.6, 0.0567)
    assert "test mse" in text
    assert "0.001235" in text
    assert "12,346 samples/s" in text
    assert "5.7% of the time" in text


def test_an_error_is_held_against_that_of_nothing_changes():
    text = printed({"test_mse": 0.002, "test_mse_persistence": 0.008}, 1.0, 0.0)
    assert "test mse if nothing changed" in text
    assert "0.25" in text


def test_nothing_is_said_of_a_training_that_did_not_happen():
    assert "samples/s" not in printed({}, 0.0, 0.0)


@pytest.mark.parametrize("width", [20, 80], ids=["narrow", "wide"])
def test_a_path_stays_on_one_line(width):
    path = "/a/rather/long/directory/name/[with brackets]/checkpoints/epoch004.ckpt"
    assert f"checkpoint: {path}\n" in printed({}, 1.0, 0.0, {"checkpoint": path}, width=width)
