"""`data: h5` as Hydra sees it: composed, overridden, refused; and found in a foreign application."""

import dataclasses
import inspect
import pickle
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

from h5lightning import H5DataModule
from h5lightning.config import AccessConfig, H5DataConfig, SplitConfig, conf_dir, register
from h5lightning.errors import OptionError, SchemaError
from h5lightning.options import Access, Split

ROOT = Path(__file__).parents[1]


@pytest.fixture
def compose_data():
    """Overrides → the data node of a small application that says ``defaults: [{data: h5}]``."""
    register()
    ConfigStore.instance().store(name="app", node={"defaults": [{"data": "h5"}, "_self_"]})
    with initialize(config_path=None, version_base="1.3"):
        yield lambda *overrides: compose("app", overrides=list(overrides)).data
    GlobalHydra.instance().clear()


def resolved(node):
    return OmegaConf.to_container(node, resolve=True)


def test_arguments_and_defaults_are_those_of_the_datamodule():
    parameters = inspect.signature(H5DataModule).parameters
    fields = {
        field.name: field for field in dataclasses.fields(H5DataConfig) if not field.name.startswith("_")
    }
    assert list(fields) == list(parameters)
    plain = {
        name: parameter.default
        for name, parameter in parameters.items()
        if name not in {"files", "split", "access"}
    }
    assert {name: fields[name].default for name in plain} == plain


@pytest.mark.parametrize(
    ("config", "option"), [(AccessConfig, Access), (SplitConfig, Split)], ids=["access", "split"]
)
def test_option_configs_have_the_options_fields_and_defaults(config, option):
    expected = dataclasses.asdict(option())
    got = {field.name: field.default for field in dataclasses.fields(config)}
    assert list(got) == list(expected)
    plain = {
        name: value for name, value in got.items() if not str(value).startswith("${") and name != "given"
    }
    assert plain == {name: expected[name] for name in plain}


def test_a_glob_gets_the_default_split(compose_data):
    split = resolved(compose_data("data.files=a.h5"))["split"]
    assert Split(**split) == Split()
    assert {**split, "given": None} == dataclasses.asdict(Split())


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.split.given.train=mask/train", "data.split.given.val=mask/valid"],
        ["data.split.given={train: mask/train, valid: mask/valid}"],
    ],
    ids=["one by one", "mapping"],
)
def test_a_given_split_is_named_without_a_plus(compose_data, overrides):
    datamodule = instantiate(compose_data("data.files=a.h5", *overrides))
    split = datamodule.hparams["split"]
    assert split["given"] == {"train": "mask/train", "val": "mask/valid"}
    assert (split["val"], split["test"]) == (None, None)


def test_named_splits_are_cut_no_further(compose_data):
    split = resolved(compose_data("data.files={train: a.h5, test: b.h5}"))["split"]
    assert (split["val"], split["test"]) == (None, None)


def test_a_size_that_is_given_counts_for_named_splits_too(compose_data):
    split = resolved(compose_data("data.files={train: a.h5, test: b.h5}", "data.split.val=0.2"))["split"]
    assert (split["val"], split["test"]) == (0.2, None)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("data.files=[a-*.h5,b-*.h5]", ["a-*.h5", "b-*.h5"]),
        (
            "data.fields={x: u, y: {path: v, dtype: float32}}",
            {"x": "u", "y": {"path": "v", "dtype": "float32"}},
        ),
        ("data.fields=[images,labels]", ["images", "labels"]),
        ("data.samples={kind: windows, length: 8}", {"kind": "windows", "length": 8}),
        ("data.shuffle={mode: block, window_bytes: 1024}", {"mode": "block", "window_bytes": 1024}),
        ("data.as_tuple=[x,y]", ["x", "y"]),
        ("data.split=null", None),
        ("data.seed=3", 3),
    ],
    ids=["glob-list", "nested-fields", "field-list", "samples", "shuffle", "as-tuple", "no-split", "seed"],
)
def test_values_of_many_types_are_accepted(compose_data, override, value):
    key = override.split("=")[0].removeprefix("data.")
    assert OmegaConf.to_container(compose_data(override))[key] == value


def test_samples_of_each_stage(compose_data):
    given = "data.files=a.h5", "data.samples={train: {length: 5}, test: {length: 9}}"
    samples = instantiate(compose_data(*given, "data.samples.test.length=20")).hparams.samples
    assert {stage: one["length"] for stage, one in samples.items()} == {"train": 5, "test": 20}
    with pytest.raises(
        InstantiationException, match="samples has a layout for 'train', but 'vall' is no stage"
    ):
        instantiate(compose_data(*given, "+data.samples.vall.length=20"))


@pytest.mark.parametrize(
    "override",
    [
        "data.batchsize=3",
        "data.split.vall=0.2",
        "data.access.lock=true",
        "data.split={vall: 0.2}",
        "data.split.given.tran=x",
    ],
    ids=["argument", "split", "access", "split-mapping", "given"],
)
def test_a_mistyped_key_is_refused(compose_data, override):
    with pytest.raises(ConfigCompositionException, match="Could not override"):
        compose_data("data.files=a.h5", override)


def test_a_value_of_the_wrong_type_is_refused(compose_data):
    with pytest.raises(ConfigCompositionException, match="batch_size"):
        compose_data("data.files=a.h5", "data.batch_size=many")


def test_files_must_be_given(compose_data):
    with pytest.raises(MissingMandatoryValue, match=r"data\.files"):
        instantiate(compose_data())


def test_instantiate_makes_the_datamodule_from_plain_types(compose_data):
    datamodule = instantiate(
        compose_data("data.files=[a.h5,b.h5]", "data.fields={x: u}", "data.batch_size=7")
    )
    assert isinstance(datamodule, H5DataModule)
    assert datamodule.batch_size == 7
    assert type(datamodule.hparams["files"]) is list
    assert type(datamodule.hparams["fields"]) is dict


def test_lists_of_paths_and_of_files(compose_data):
    field = "{path: [t2m, msl], steps: [0, 1], join: first, decode: cf}"
    datamodule = instantiate(compose_data("data.files=[@train.txt]", f"data.fields={{x: {field}}}"))
    assert datamodule.hparams["files"] == ["@train.txt"]
    assert datamodule.hparams["fields"]["x"]["path"] == ["t2m", "msl"]
    assert datamodule.hparams["fields"]["x"]["join"] == "first"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("same", ["[grid]", "/grid"], ids=["list", "text"])
def test_what_must_be_the_same_is_compared(compose_data, write_files, same):
    override = f"data.access.same={same}"
    datamodule = instantiate(compose_data(f"data.files={write_files((5, 5))}", "data.fields=[x,y]", override))
    with pytest.raises(
        SchemaError, match=r"'/grid' in .*run-001\.h5 is not .*: at \[0, 0\]: 1\.0, expected 0\.0"
    ):
        datamodule.setup("fit")


def test_a_typo_inside_an_untyped_option_reaches_our_own_check(compose_data):
    with pytest.raises(Exception, match="did you mean 'stride'") as caught:
        instantiate(compose_data("data.files=a.h5", "data.samples={kind: windows, length: 2, strid: 1}"))
    assert isinstance(caught.value.__cause__, OptionError)


def test_a_config_survives_pickling_into_a_fresh_process(compose_data):
    """As a cluster launcher does it: nothing of this package is imported on the other side."""
    pickled = pickle.dumps(compose_data("data.files=a.h5"))
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).split.val)"
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickled, check=True, capture_output=True, timeout=60
    )
    assert float(done.stdout) == Split.val


def test_conf_is_found_beside_the_package():
    assert conf_dir() == ROOT / "conf"
    assert (conf_dir() / "train.yaml").is_file()


def test_the_shim_is_small():
    assert len((ROOT / "h5lightning" / "hydra_plugin.py").read_text().splitlines()) < 25


FOREIGN_APP = """
import sys
import hydra

@hydra.main(config_path=".", config_name="app", version_base="1.3")
def main(config):
    print(config.data._target_, config.data.batch_size, config.data.split.val)
    print("heavy imports:", [name for name in ("torch", "lightning", "h5py", "numpy") if name in sys.modules])
    print(sys.modules["hydra_plugins.h5lightning"].__file__)

main()
"""


@pytest.fixture
def foreign_app(tmp_path):
    """An application that knows nothing of this package but its installed name."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.py").write_text(FOREIGN_APP)
    (app / "app.yaml").write_text("defaults:\n  - data: h5\n  - _self_\ndata:\n  files: runs/*.h5\n")
    return app / "main.py"


def run_in(cwd, *command):
    done = subprocess.run(
        list(map(str, command)), check=False, capture_output=True, text=True, cwd=cwd, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """This package, built."""
    directory = tmp_path_factory.mktemp("dist")
    run_in(
        directory,
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        directory,
        ROOT,
    )
    return next(directory.glob("*.whl"))


@pytest.fixture(params=["wheel", "editable"])
def installed(request, tmp_path):
    """Python of a fresh environment with this package alone installed; all others are this environment's."""
    directory = tmp_path / "env"
    venv.create(directory, with_pip=True, symlinks=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    (packages / "zz_outer.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages"))
    )
    what = ["-e", ROOT] if request.param == "editable" else [request.getfixturevalue("wheel")]
    # --ignore-installed: what the other environment holds is left alone.
    options = ["--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet"]
    run_in(tmp_path, directory / "bin" / "python", "-m", "pip", "install", *options, *what)
    return directory / "bin" / "python"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_foreign_app_finds_the_installed_plugin(installed, foreign_app, tmp_path):
    printed = run_in(tmp_path, installed, foreign_app, "data.batch_size=5").splitlines()
    assert printed[:2] == ["h5lightning.H5DataModule 5 0.1", "heavy imports: []"]
    assert Path(printed[2]).is_relative_to(tmp_path / "env"), "found in another environment"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_installed_command_finds_its_configuration(installed, tmp_path):
    printed = run_in(tmp_path, installed.with_name("h5lightning"), "train", "data.files=a.h5", "--cfg", "job")
    assert "_target_: lightning.Trainer" in printed


@pytest.mark.slow
def test_the_wheel_holds_what_the_package_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    yaml = {f"h5lightning/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert yaml | {"h5lightning/py.typed", "hydra_plugins/h5lightning/__init__.py"} <= names
    assert {name.split("/")[0] for name in names} == {
        "h5lightning",
        "hydra_plugins",
        "h5lightning-0.1.0.dist-info",
    }


def test_boxes_ragged_fields_and_buckets_in_yaml(compose_data, tmp_path):
    """Options of samples as a command line says them, down to the batches that they deliver."""
    for number in range(6):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.full((9, 9, 9), number, "f4")
            file["bag"] = np.full((3 + number, 2), number, "f4")
    files = f"files={tmp_path}/*.h5"
    node = compose_data(
        f"data.{files}",
        "data.samples={length: [4, 3, 2], stride: 2, axis: [0, 1, 2], jitter: true}",
        "data.fields={x: x}",
        "data.split={by: file, val: 0.2, test: 0.2}",
    )
    dm = instantiate(node)
    dm.setup("fit")
    assert next(iter(dm.train_dataloader()))["x"].shape[1:] == (4, 3, 2)
    dm.teardown("fit")
    node = compose_data(
        f"data.{files}",
        "data.samples={kind: whole}",
        "data.fields={bag: {path: bag, ragged: concat}, n: 'length:bag'}",
        "data.shuffle={bucket: 'length:bag'}",
        "data.access.max_padded_bytes=1000",
        "data.split={by: file, val: 0.2, test: 0.2}",
        "data.batch_size=2",
    )
    dm = instantiate(node)
    dm.setup("fit")
    batch = next(iter(dm.train_dataloader()))
    assert len(batch["n"]) == 2
    assert len(batch["bag"]) == int(batch["n"].sum())
    dm.teardown("fit")


@pytest.mark.parametrize(
    "overrides",
    [["data.split.given=table:split"], ["data.split={given: 'table:split'}"]],
    ids=["override", "mapping"],
)
def test_a_column_of_a_table_may_give_the_split(compose_data, overrides):
    config = compose_data("data.files=a.h5", "data.table={path: t.csv, file: slide}", *overrides)
    dm = instantiate(config)
    assert dm.hparams.split["given"] == "table:split"
    assert dm.hparams.table["file"] == "slide"
