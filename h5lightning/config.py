"""`data: h5` for Hydra: the arguments of `H5DataModule` as a structured config.

Every Hydra application in the environment imports this module when it starts (through `hydra_plugin`), so
that it must never import torch, Lightning or h5py. The option dataclasses are frozen, which a structured
config cannot be; their mutable twins are derived here, so that each default has one home.
"""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from h5lightning.options import Access, Split

__all__ = ["AccessConfig", "H5DataConfig", "SplitConfig", "conf_dir", "register"]


def _mutable(option: type, name: str, **defaults: object) -> type[Any]:
    """A structured config with the fields of ``option``, and ``defaults`` in place of some of its own."""
    hints = get_type_hints(option)
    fields = [
        (field.name, _checkable(hints[field.name]), defaults.get(field.name, field.default))
        for field in dataclasses.fields(option)
    ]
    namespace = {"__module__": __name__, "__doc__": option.__doc__}
    return dataclasses.make_dataclass(name, fields, namespace=namespace)


def _checkable(hint: Any) -> Any:
    """The type that OmegaConf checks: the hint itself, or any value where more than one type is accepted."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [part for part in get_args(hint) if part is not type(None)]
        return inner[0] | None if len(inner) == 1 else Any
    return hint


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

AccessConfig = _mutable(Access, "AccessConfig")
SplitConfig = _mutable(
    Split,
    "SplitConfig",
    val=f"${{h5lightning.share:{Split.val}}}",
    test=f"${{h5lightning.share:{Split.test}}}",
)


@dataclasses.dataclass
class H5DataConfig:
    """The arguments of `h5lightning.H5DataModule`; ``files`` must be given.

    Arguments of more than one type are Any: OmegaConf has no type for "a glob, a list or a mapping".
    """

    _target_: str = "h5lightning.H5DataModule"
    _convert_: str = "all"
    files: Any = MISSING
    fields: Any = None
    samples: Any = None
    split: SplitConfig | None = dataclasses.field(default_factory=SplitConfig)  # type: ignore[valid-type]
    batch_size: int = 32
    num_workers: int = 0
    threads: int | None = None
    shuffle: Any = "auto"
    reader: str = "auto"
    dtype: str | None = None
    transform: Any = None
    batch_transform: Any = None
    access: AccessConfig | None = dataclasses.field(default_factory=AccessConfig)  # type: ignore[valid-type]
    provenance: bool = False
    as_tuple: Any = None
    tail: str = "drop"
    eval_tail: str = "uneven"
    drop_last: bool = False
    pin_memory: bool = False
    persistent_workers: bool = False
    prefetch_factor: int | None = None
    multiprocessing_context: str | None = None
    timeout_s: float = 0
    seed: int | None = None
    index_dir: str | None = None
    on_other_data: str = "raise"
    series: Any = None


def register() -> None:
    """Make ``data: h5`` known to Hydra in this process; once or many times."""
    ConfigStore.instance().store(group="data", name="h5", node=H5DataConfig, provider="h5lightning")


def conf_dir() -> Path:
    """The YAML of ``h5lightning train``: inside the package in a wheel, beside it in a clone."""
    # By __file__: an editable install leaves a stale copy where pkg:// would look.
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"
