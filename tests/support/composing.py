"""DataModules made of YAML and of overrides, as Hydra makes them."""

import hydra
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from h5lightning import config

__all__ = ["arguments_of", "composed"]


def composed(yaml="defaults:\n  - data: h5\n", overrides=()):
    """Compose a configuration as Hydra does, and create the DataModule."""
    GlobalHydra.instance().clear()
    config.register()
    ConfigStore.instance().store(name="app_of_inspecting", node=OmegaConf.create(yaml))
    with initialize(config_path=None, version_base="1.3"):
        return hydra.utils.instantiate(compose("app_of_inspecting", overrides=list(overrides)).data)


def arguments_of(dm):
    """The arguments; None and the defaults are the same."""
    hparams = dict(dm.hparams)
    hparams["split"] = hparams["split"] or OmegaConf.to_container(OmegaConf.structured(config.SplitConfig))
    options = ("split", "access", "fields", "samples", "shuffle", "series")
    return {**hparams, **{name: getattr(dm._options, name) for name in options}}
