"""`h5lightning train`: hands all arguments to Hydra, and trains.

Lightning starts the other ranks with the command line in ``sys.argv``. Hydra needs the overrides alone there, so that
the command is put back before the Trainer is made.
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

__all__ = ["SETTINGS", "train", "with_demo"]

SETTINGS: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


def train(context: typer.Context) -> None:
    """Train a model; without data.* or experiment, train the demo. All arguments go to Hydra, --help too."""
    import hydra

    from h5lightning.config import conf_dir, register

    register()
    launch = sys.argv
    overrides, flags = _parted(context.args)
    overrides = with_demo(overrides)

    def job(config: DictConfig) -> float | None:
        from hydra.core.hydra_config import HydraConfig

        sys.argv = [launch[0], "train", *_arguments_of_job(HydraConfig.get(), overrides, flags)]
        with reported_errors(), _own_environment():
            from h5lightning.app.train import train as train_once

            return train_once(config)

    main: Callable[..., Any] = hydra.main(str(conf_dir()), config_name="train", version_base="1.3")
    # --info reads the next argument as its value: flags come last.
    sys.argv = [launch[0], *overrides, *flags]
    try:
        main(job)()
    finally:
        sys.argv = launch


def with_demo(overrides: Sequence[str]) -> list[str]:
    """The overrides, and ``experiment=demo`` where they choose neither data nor an experiment.

    Raises:
        OptionError: an override that is not in Hydra's grammar.
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
    """Overrides, and Hydra's flags with their values; Hydra requires all overrides in one place."""
    from hydra._internal.utils import get_args_parser

    overrides: list[str] = get_args_parser().parse_intermixed_args(list(arguments)).overrides
    flags = list(arguments)
    for override in overrides:
        flags.remove(override)
    return overrides, flags


def _arguments_of_job(hydra_config: Any, overrides: list[str], flags: list[str]) -> list[str]:
    """Arguments with which Lightning can start another rank of this job; it appends overrides."""
    from hydra.types import RunMode
    from omegaconf import open_dict, read_write

    if hydra_config.mode != RunMode.MULTIRUN:
        return [*flags, *overrides]
    # Lightning passes run.dir to the ranks; in a sweep the job writes elsewhere.
    with read_write(hydra_config), open_dict(hydra_config):
        hydra_config.run.dir = hydra_config.runtime.output_dir
    return [flag for flag in flags if flag not in {"-m", "--multirun"}] + list(hydra_config.overrides.task)


@contextmanager
def _own_environment() -> Iterator[None]:
    """Undo the changes that a job makes to the environment.

    Lightning leaves the description of its ranks there: the next job of a sweep would wait for them.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
