"""Arguments as code: as short as possible, and right for any characters."""

import dataclasses
import shlex
import subprocess
from pathlib import Path

import pytest
from hostile_names import NAMES, hostile_names
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from h5lightning.config import register
from h5lightning.options import Access, Field, Rows, Split, Whole
from h5lightning.options.coerce import coerce_fields
from h5lightning.storage.discovery import discover
from h5lightning.tools.inspect.snippets import code_for
from h5lightning.tools.overview.suggest import Suggestion

PLAIN = Suggestion(
    files=("runs/*.h5",), fields={"x": Field("images"), "y": Field("labels")}, samples=Rows(), split=Split(),
    split_by="file", dtype=None, access=Access(), is_categorical=True, left_out=(),
)  # fmt: skip

HARD = [
    "runs/[0-9].h5", "{a,b}.h5", "~/x.h5", "a b.h5", "größe.h5", 'quo"te.h5', "it's.h5", "back\\slash.h5", "end\\",
    "null", "1e5", "a=b.h5", "a(1).h5", "a;b#c.h5", "$HOME/*.h5", "-x.h5", ".5", "*.h5", "%a+b.h5", "a:b", "x,y",
]  # fmt: skip


def changed(**changes):
    return code_for(dataclasses.replace(PLAIN, **changes))


def overrides_of(code):
    words = shlex.split(code.command.replace("\\\n", ""))[2:]
    parsed = OverridesParser.create().parse_overrides(words)
    return {override.key_or_group: override.value() for override in parsed}


def plain_of(value):
    """Values of Hydra's parser as the configuration gets them."""
    if isinstance(value, dict):
        return {key: plain_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_of(item) for item in value]
    return getattr(value, "text", value)


def test_defaults_are_left_out():
    code = code_for(PLAIN)
    assert code.python.splitlines() == [
        "from h5lightning import H5DataModule",
        "",
        "dm = H5DataModule(",
        '    files="runs/*.h5",',
        '    fields={"x": "images", "y": "labels"},',
        ")",
    ]
    assert code.yaml.splitlines()[4:] == ["data:", "  files: runs/*.h5", "  fields: {x: images, y: labels}"]
    assert code.command.splitlines() == [
        "h5lightning train \\",
        "  data.files='runs/*.h5' \\",
        "  data.fields='{x: images, y: labels}' \\",
        "  model=classifier",
    ]


def test_options_are_imported_and_short():
    code = changed(
        fields={"x": Field("image"), "y": Field("label", constant=True), "z": Field(attr="speed")},
        samples=Whole(),
        split=Split(test=None),
        access=Access(on_bad_file="skip"),
    )
    assert code.python.startswith("from h5lightning import Access, Field, H5DataModule, Split, Whole\n")
    assert 'Field("label", constant=True)' in code.python
    assert '"z": "attr:speed"' in code.python
    assert "split=Split(test=None)," in code.python
    assert overrides_of(code)["data.split.test"] is None
    assert overrides_of(code)["data.samples"] == {"kind": "whole"}
    assert OmegaConf.create(code.yaml).data.split == {"test": None}


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("place", ["files", "list", "field"])
def test_all_three_carry_any_text(text, place):
    fields = {"x": Field(text), "y": Field("a", member=text)} if place == "field" else None
    files = ("*.h5", text) if place == "list" else (text if place == "files" else "a.h5",)
    code = changed(files=files, fields=fields)
    expected = {"files": list(files) if len(files) > 1 else files[0]}
    if fields:
        expected["fields"] = {"x": fields["x"].path, "y": {"path": "a", "member": text}}
    assert OmegaConf.to_container(OmegaConf.create(code.yaml).data) == expected
    given = {
        key.removeprefix("data."): plain_of(value)
        for key, value in overrides_of(code).items()
        if key != "model"
    }
    assert given == expected
    taken = {}
    names = {"H5DataModule": lambda **arguments: taken.update(arguments), "Field": Field}
    exec(code.python.partition("\n")[2], names)
    assert taken["files"] == expected["files"]
    assert coerce_fields(taken.get("fields")) == fields


def test_variables_are_those_of_hydra():
    code = changed(files=("${DATA}/*.h5",))
    assert '"${DATA}/*.h5"' in code.python
    assert "${oc.env:DATA}/*.h5" in code.yaml
    assert "${oc.env:DATA}/*.h5" in code.command


# ── names from files ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    """A Hydra application with ``data: h5``, with a secret in the environment."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "pasted.yaml").write_text("defaults: [{data: h5}, _self_]\nmodel: null\n")
    register()
    with pytest.MonkeyPatch.context() as patch, initialize_config_dir(str(folder), version_base="1.3"):
        patch.setenv("SECRET", "hunter2")
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cwd")


def fields_with(names):
    """Fields with each name in each argument."""
    kinds = (Field, lambda name: Field("a", member=name), lambda name: Field(attr=name))
    return {
        f"k{place}_{number}": kind(name)
        for place, kind in enumerate(kinds)
        for number, name in enumerate(names)
    }


def made_of(data, *, passes=0):
    """Files and fields as the DataModule gets them, after this number of resolutions in addition to Hydra's."""
    for _ in range(passes):
        OmegaConf.resolve(data)
    plain = OmegaConf.merge(data, {"_target_": "builtins.dict", "_convert_": "all"})
    made = instantiate(plain)
    return made["files"], coerce_fields(made["fields"])


def words_of(command, folder):
    """The words that bash passes to the program; the command must create no file in its folder."""
    program = f"h5lightning() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, check=True, cwd=folder, timeout=30)
    assert list(folder.iterdir()) == []
    return [word.decode("utf-8", "surrogateescape") for word in done.stdout.split(b"\0")[:-1]]


def check_names(names, folder):
    fields = fields_with(names)
    code = changed(fields=fields)
    assert all(text.replace("\n", "").isprintable() for text in (code.python, code.yaml, code.command))
    loaded = OmegaConf.create(code.yaml)
    assert "hunter2" not in str(OmegaConf.to_container(loaded, resolve=True))
    for passes in (0, 1, 2):
        assert made_of(OmegaConf.create(code.yaml).data, passes=passes)[1] == fields
    command, *overrides = words_of(code.command, folder)
    assert command == "train"
    data = compose("pasted", overrides).data
    assert made_of(data)[1] == fields
    taken = {}
    known = {"H5DataModule": lambda **arguments: taken.update(arguments), "Field": Field}
    exec(code.python.partition("\n")[2], known)
    assert coerce_fields(taken["fields"]) == fields


@pytest.mark.timeout(120)
def test_names_from_files_are_kept(application, folder):
    check_names(NAMES, folder)


@pytest.mark.timeout(120)
@settings(max_examples=20, deadline=None)
@given(names=st.lists(hostile_names, min_size=1, max_size=6))
def test_any_names_from_files_are_kept(application, folder, names):
    check_names(names, folder)


@pytest.mark.parametrize(
    "name", ["${oc.env:SECRET}.h5", "a\\${SECRET}.h5", "{a,${SECRET}}.h5", "${SECRET}[1].h5"]
)
def test_a_file_is_no_variable(application, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    files, _ = made_of(OmegaConf.create(changed(files=(name,)).yaml).data)
    assert "hunter2" not in files
    assert list(discover([files]).names) == [name]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("${SECRET}/*.h5", "hunter2/*.h5"),
        ("$SECRET/*.h5", "$SECRET/*.h5"),
        ("a\\${SECRET}.h5", "a\\hunter2.h5"),
        ("${A-B}/*.h5", "odd/*.h5"),
        ("!${SECRET}/*.h5", "!hunter2/*.h5"),
        ("${x/*.h5", "[$]{x/*.h5"),
        ("???", "./???"),
    ],
)
def test_variables_that_were_typed_stay_variables(application, monkeypatch, folder, typed, expected):
    monkeypatch.setenv("A-B", "odd")
    code = changed(files=(typed,))
    assert made_of(OmegaConf.create(code.yaml).data)[0] == expected
    assert made_of(compose("pasted", words_of(code.command, folder)[1:]).data)[0] == expected
