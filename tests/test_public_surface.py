"""The public surface, as it is written down in `public_surface.txt`: a change of it is seen in the review.

After an intended change, ``python tests/test_public_surface.py`` writes the file again. Tell users in the changelog.
"""

import inspect
import sys
from pathlib import Path

import typer
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

import h5lightning
from h5lightning import errors
from h5lightning.cli import app
from h5lightning.config import register

WRITTEN = Path(__file__).with_name("public_surface.txt")


def signature(call) -> str:
    """The arguments with their defaults; types are left out, since Python prints them in other ways from 3.14 on."""
    parameters = inspect.signature(call).parameters.values()
    return f"({', '.join(str(one.replace(annotation=inspect.Parameter.empty)) for one in parameters)})"


def lines_of_class(name: str, found: type) -> list[str]:
    lines = [f"{name}{signature(found)}"]
    # A part of H5DataModule; the bases of other classes have members that users do not need.
    parts = [base for base in found.__bases__ if base.__module__.startswith("h5lightning.datamodule.")]
    for member, value in sorted(
        {key: one for cls in (*parts, found) for key, one in vars(cls).items()}.items()
    ):
        if member.startswith("_"):
            continue
        if isinstance(value, property):
            lines.append(f"{name}.{member}")
        elif callable(value) or isinstance(value, classmethod | staticmethod):
            lines.append(f"{name}.{member}{signature(getattr(found, member))}")
    return lines


def python_lines() -> list[str]:
    lines = []
    for name in sorted(h5lightning.__all__):
        found = getattr(h5lightning, name)
        lines += lines_of_class(name, found) if isinstance(found, type) else [name]
    return lines


def error_lines() -> list[str]:
    found = {name: getattr(errors, name) for name in errors.__all__}
    return [
        f"errors.{name}({', '.join(base.__name__ for base in value.__bases__)})"
        for name, value in sorted(found.items())
    ]


def command_lines() -> list[str]:
    group = typer.main.get_command(app)
    lines = []
    for name, command in sorted(group.commands.items()):
        lines.append(f"h5lightning {name}")
        for option in command.params:
            names = "/".join([*option.opts, *option.secondary_opts])
            lines.append(
                f"h5lightning {name} {names}, default {getattr(option.default, 'value', option.default)}"
            )
    return lines


def hydra_lines() -> list[str]:
    register()
    node = ConfigStore.instance().load("data/h5.yaml").node
    return [f"data: {line}" for line in OmegaConf.to_yaml(node).splitlines()]


def surface() -> str:
    return "\n".join([*python_lines(), *error_lines(), *command_lines(), *hydra_lines()]) + "\n"


def test_the_surface_is_the_one_that_is_written_down():
    assert surface() == WRITTEN.read_text(encoding="utf-8"), (
        f"the public surface changed: if that is intended, run python tests/{Path(__file__).name}"
    )


if __name__ == "__main__":
    WRITTEN.write_text(surface(), encoding="utf-8")
    sys.stdout.write(f"{WRITTEN} is written\n")
