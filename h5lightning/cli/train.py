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

from h5lightning.cli.report_errors import reported_errors
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
    """Compose the configuration from Hydra's ``arguments`` and train, once or as a sweep.

    Raises:
        OptionError: an argument that Hydra's grammar does not know.
    """
    import hydra

    from h5lightning.config import conf_dir, register

    register()
    launch = sys.argv
    overrides, flags = _parted(arguments)
    overrides = with_demo(overrides)

    def job(config: DictConfig) -> float | None:
        from hydra.core.hydra_config import HydraConfig

        sys.argv = [launch[0], "train", *_arguments_of_job(HydraConfig.get(), overrides, flags)]
        with reported_errors(), _own_environment():
            from h5lightning.app.train import train

            return train(config)

    main: Callable[..., Any] = hydra.main(str(conf_dir()), config_name="train", version_base="1.3")
    # --info takes what follows for its value, so that flags come last.
    sys.argv = [launch[0], *overrides, *flags]
    try:
        main(job)()
    finally:
        sys.argv = launch


def with_demo(overrides: Sequence[str]) -> list[str]:
    """The overrides, and ``experiment=demo`` where they choose neither data nor an experiment.

    Raises:
        OptionError: an override that Hydra's grammar does not know.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise OptionError(" ".join(str(error).split())) from error
    chosen = {override.key_or_group.split(".", maxsplit=1)[0] for override in parsed}
    return list(overrides) if chosen & {"data", "experiment"} else ["experiment=demo", *overrides]


def _parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides, and Hydra's flags with their values; Hydra itself wants all overrides in one place."""
    from hydra._internal.utils import get_args_parser

    overrides: list[str] = get_args_parser().parse_intermixed_args(list(arguments)).overrides
    flags = list(arguments)
    for override in overrides:
        flags.remove(override)
    return overrides, flags


def _arguments_of_job(hydra_config: Any, overrides: list[str], flags: list[str]) -> list[str]:
    """Arguments with which Lightning may start another rank of this very job; it appends overrides."""
    from hydra.types import RunMode
    from omegaconf import open_dict, read_write

    if hydra_config.mode != RunMode.MULTIRUN:
        return [*flags, *overrides]
    # Lightning hands run.dir to the ranks; in a sweep it is not where the job writes.
    with read_write(hydra_config), open_dict(hydra_config):
        hydra_config.run.dir = hydra_config.runtime.output_dir
    return [flag for flag in flags if flag not in {"-m", "--multirun"}] + list(hydra_config.overrides.task)


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
