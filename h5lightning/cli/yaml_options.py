"""Reads options that are written in YAML, as on the command line of `h5lightning train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h5lightning.errors import OptionError

if TYPE_CHECKING:
    from h5lightning.options import Field, Samples
    from h5lightning.options.coerce import SeriesOption

__all__ = ["data_options", "parsed_fields", "parsed_yaml"]


def data_options(
    fields: str | None, samples: str | None, series: str | None
) -> tuple[dict[str, Field] | None, Samples | None, SeriesOption]:
    """What ``--fields``, ``--samples`` and ``--series`` say that a sample is; None for what is not given.

    Raises:
        OptionError: a text is not YAML, or not what its option takes.
    """
    from h5lightning.options.coerce import coerce_fields, coerce_one_samples, coerce_series

    chosen = coerce_fields(parsed_fields(fields))
    layout = None if samples is None else coerce_one_samples(parsed_yaml("samples", samples, "{length: 4}"))
    return chosen, layout, coerce_series(parsed_yaml("series", series, "{axis: 0}"))


def parsed_fields(fields: str | None) -> Any:
    """The value of ``--fields``; see `parsed_yaml`."""
    return parsed_yaml("fields", fields, "{x: images}")


def parsed_yaml(name: str, text: str | None, example: str) -> Any:
    """The value of ``--name``; None stays None. The error gives the example.

    Raises:
        OptionError: the text is not YAML.
    """
    if text is None:
        return None
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        parsed: Any = OmegaConf.to_container(OmegaConf.create(f"value: {text}"))
    except (YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise OptionError(f"--{name} must be YAML such as '{example}', found {text!r}: {reason}") from error
    return parsed["value"]
