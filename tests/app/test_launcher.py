"""The launcher for SLURM: as many nodes and tasks as the Trainer has, for any sweep."""

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from h5lightning.config import conf_dir, register


def launcher(*overrides):
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", ["hydra/launcher=slurm", *overrides], return_hydra_config=True)
        found = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    GlobalHydra.instance().clear()
    return found


def test_a_task_for_each_rank():
    found = launcher("trainer.devices=4", "trainer.num_nodes=2", "hydra.launcher.partition=gpu")
    assert found["_target_"] == "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
    assert (found["nodes"], found["tasks_per_node"], found["partition"]) == (2, 4, "gpu")


def test_one_task_by_default():
    found = launcher()
    assert (found["nodes"], found["tasks_per_node"], found["timeout_min"]) == (1, 1, 240)
