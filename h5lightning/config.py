"""`data: h5` for Hydra: the options of `H5DataModule` as a structured config.

Every Hydra application in the environment imports this module when it starts (through `hydra_plugin`), so
that it must never import torch, Lightning or h5py. The option classes are frozen, which a structured config
cannot be: mutable classes with the same fields and defaults are derived from them here.
"""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.options import Access, Split
from h5lightning.options.split import GIVEN_NAMES

__all__ = ["AccessConfig", "H5DataConfig", "SplitConfig", "conf_dir", "register"]

_SCALARS = (bool, int, float, str)
_CONFIGS: dict[Any, Any] = {}  # option class → its structured config


@dataclasses.dataclass
class _Target:
    """What `hydra.utils.instantiate` makes of the config."""

    _target_: str = "h5lightning.H5DataModule"
    _convert_: str = "all"


def _structured(option: type, name: str, *bases: type, **defaults: object) -> type[Any]:
    """A structured config with the fields of an option class; assign it to ``name``, by which it is pickled."""
    hints = get_type_hints(option)
    fields = [
        (field.name, _node_type(hints[field.name]), defaults.get(field.name, field.default))
        for field in dataclasses.fields(option)
    ]
    namespace = {"__module__": __name__, "__doc__": option.__doc__}
    config = _CONFIGS[option] = dataclasses.make_dataclass(name, fields, bases=bases, namespace=namespace)
    return config


def _node_type(hint: Any) -> Any:
    """The type that OmegaConf checks: that of scalars and options, else Any."""
    if hint in _CONFIGS:
        return _CONFIGS[hint] | None
    is_union = get_origin(hint) in (Union, types.UnionType)
    kinds = [kind for kind in (get_args(hint) if is_union else (hint,)) if kind is not type(None)]
    # OmegaConf has no type for "a glob, a list or a mapping".
    return hint if len(kinds) == 1 and kinds[0] in _SCALARS else Any


def _share(default: str, *, _parent_: DictConfig | None) -> float | None:
    """The size of a split that the user did not give.

    Where the files are a mapping of splits, nothing more is cut from them unless a size is given.
    """
    data = _parent_._get_parent() if _parent_ is not None else None  # noqa: SLF001 - the only way up
    if not isinstance(data, DictConfig) or OmegaConf.is_missing(data, "files"):
        return float(default)
    files = data.get("files")
    return None if isinstance(files, DictConfig) and "_target_" not in files else float(default)


# Not in `register`: a process that unpickles a config (a cluster launcher's) imports this module and no more.
OmegaConf.register_new_resolver("h5lightning.share", _share, replace=True)

AccessConfig = _structured(Access, "AccessConfig")
SplitConfig = _structured(
    Split,
    "SplitConfig",
    val=f"${{h5lightning.share:{Split.val}}}",
    test=f"${{h5lightning.share:{Split.test}}}",
    # Its keys are known, so that an override needs no "+"; it is no structured config, which could not become the
    # text "table:COLUMN".
    given=dataclasses.field(default_factory=lambda: dict.fromkeys(GIVEN_NAMES)),
)
H5DataConfig = _structured(
    DataModuleOptions,
    "H5DataConfig",
    _Target,
    files=MISSING,
    split=dataclasses.field(default_factory=SplitConfig),
    access=dataclasses.field(default_factory=AccessConfig),
)


def register() -> None:
    """Make ``data: h5`` known to Hydra in this process; once or many times."""
    ConfigStore.instance().store(group="data", name="h5", node=H5DataConfig, provider="h5lightning")


def conf_dir() -> Path:
    """The YAML of ``h5lightning train``: inside the package in a wheel, beside it in a clone."""
    # By __file__: an editable install leaves a stale copy where pkg:// would look.
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"
