"""Which configurations are compared, and what they are called."""

import pytest

from h5lightning.tools.bench.configurations import LoaderConfig, configs_to_try

TWO_CORES = {"mode": "full", "cores": 2, "auto_threads": 2}


def changes(configs):
    return [config.options() for config in configs]


def test_two_cores():
    assert changes(configs_to_try(LoaderConfig(), **TWO_CORES)) == [
        {},
        {"reader": "h5py"},
        {"shuffle": "block"},
        {"shuffle": "none"},
        {"threads": 0},
        {"threads": 1},
        {"num_workers": 2},
    ]


def test_many_cores_have_more_workers_and_threads():
    found = changes(configs_to_try(LoaderConfig(), mode="full", cores=12, auto_threads=4))
    assert {"threads": 12} in found
    assert [change for change in found if "num_workers" in change] == [{"num_workers": 2}, {"num_workers": 8}]


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        ({"mode": "block"}, {"shuffle": "block"}),
        ({"has_blocks": False}, {"shuffle": "block"}),
        ({"has_direct": False}, {"reader": "h5py"}),
        ({"threads": [3]}, {"threads": 0}),
        ({"workers": [5]}, {"num_workers": 2}),
    ],
    ids=["the base's order", "whole files", "only h5py", "threads asked for", "workers asked for"],
)
def test_what_makes_no_sense_is_left_out(options, absent):
    assert absent in changes(configs_to_try(LoaderConfig(), **TWO_CORES)) or absent == {"shuffle": "full"}
    assert absent not in changes(configs_to_try(LoaderConfig(), **{**TWO_CORES, **options}))


def test_changes_are_of_the_base():
    base = LoaderConfig(shuffle="none")
    found = configs_to_try(base, **{**TWO_CORES, "mode": "none"})
    assert found[0] == base
    assert LoaderConfig(shuffle="none", num_workers=2) in found


@pytest.mark.parametrize(
    ("config", "label"),
    [
        (LoaderConfig(), "direct, block, 2 threads"),
        (LoaderConfig(reader="h5py", shuffle="none", threads=1), "h5py, none, 1 thread"),
        (LoaderConfig(num_workers=4), "direct, block, 4 workers"),
    ],
    ids=["defaults", "threads", "workers"],
)
def test_label(config, label):
    assert config.label(mode="block", direct="direct", threads=2) == label
