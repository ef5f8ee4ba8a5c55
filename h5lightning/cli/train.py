"""`h5lightning train`: everything behind it is Hydra's.

Lightning starts the other ranks with the command line that it finds in ``sys.argv``. So Hydra is given the
overrides alone, and the command is put back before the Trainer is made.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from h5lightning.cli.reporting import reported_errors
from h5lightning.errors import OptionError

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["SETTINGS", "run", "train", "with_demo"]

SETTINGS: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


def train(context: typer.Context) -> None:
    """Train a model; without data.* or experiment: the demo. All arguments are Hydra's, --help too."""
    run(context.args)


def run(arguments: Sequence[str]) -> None:
    """Compose the configuration from Hydra's ``arguments`` and train, once or as a sweep."""
    import hydra

    from h5lightning.config import conf_dir, register

    register()
    command = list(sys.argv)

    def job(config: DictConfig) -> float | None:
        from hydra.core.hydra_config import HydraConfig

        sys.argv = _command_of_job(command, HydraConfig.get())
        with reported_errors(), _own_environment():
            from h5lightning.train import train

            return train(config)

    sys.argv = [command[0], *with_demo(arguments)]
    application: Callable[[], Any] = hydra.main(
        config_path=str(conf_dir()), config_name="train", version_base="1.3"
    )(job)
    try:
        application()
    finally:
        sys.argv = command


def with_demo(arguments: Sequence[str]) -> list[str]:
    """The arguments, with ``experiment=demo`` where they choose neither data nor an experiment.

    Raises:
        OptionError: an argument that Hydra's grammar does not know.
    """
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    given = get_args_parser().parse_args(list(arguments)).overrides
    try:
        overrides = OverridesParser.create().parse_overrides(given)
    except HydraException as error:
        raise OptionError(str(error)) from error
    if {override.key_or_group.split(".", maxsplit=1)[0] for override in overrides} & {"data", "experiment"}:
        return list(arguments)
    # Hydra's parser wants all overrides in one run, and takes what follows a flag for the flag's value.
    position = arguments.index(given[0]) if given else 0
    return [*arguments[:position], "experiment=demo", *arguments[position:]]


def _command_of_job(command: list[str], hydra_config: Any) -> list[str]:
    """The command line with which Lightning may start another rank of this very job."""
    from hydra.types import RunMode
    from omegaconf import open_dict, read_write

    if hydra_config.mode != RunMode.MULTIRUN:
        return command
    # Lightning hands run.dir to the ranks; in a sweep it is not where the job writes.
    with read_write(hydra_config), open_dict(hydra_config):
        hydra_config.run.dir = hydra_config.runtime.output_dir
    return [command[0], "train", *hydra_config.overrides.task]


@contextmanager
def _own_environment() -> Iterator[None]:
    """Undo what a job does to the environment.

    Lightning leaves the description of its ranks there: the next job of a sweep would wait for them.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
