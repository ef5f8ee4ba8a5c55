"""Arguments as code: short where they can be, and right whatever characters they hold."""

import dataclasses
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from h5lightning.coercion import coerce_fields
from h5lightning.inspecting.pasting import code_for
from h5lightning.inspecting.suggesting import Suggestion
from h5lightning.options import Access, Field, Rows, Split, Whole

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
    """Values of Hydra's parser as they reach the configuration."""
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
