"""The option ``--fields``, written as on the command line of `h5lightning train`."""

from __future__ import annotations

from typing import Any

from h5lightning.errors import OptionError

__all__ = ["parsed_fields"]


def parsed_fields(fields: str | None) -> Any:
    """What the YAML of the option says; None stays None.

    Raises:
        OptionError: it is no YAML.
    """
    if fields is None:
        return None
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        parsed: Any = OmegaConf.to_container(OmegaConf.create(f"fields: {fields}"))
    except (YAMLError, OmegaConfBaseException) as error:
        raise OptionError(
            f"--fields must be YAML such as '{{x: images}}', found {fields!r}: {error}"
        ) from error
    return parsed["fields"]
