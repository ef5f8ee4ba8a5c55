"""Reads options that are written in YAML, as on the command line of `h5lightning train`."""

from __future__ import annotations

from typing import Any

from h5lightning.errors import OptionError

__all__ = ["parsed_fields", "parsed_yaml"]


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
