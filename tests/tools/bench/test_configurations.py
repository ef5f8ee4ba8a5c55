"""Which ways are compared, and what they are called."""

import pytest

from h5lightning.tools.bench.configurations import LoaderConfig, ways_to_try

HERE = {"mode": "full", "cores": 2, "auto_threads": 2}


def changes(ways):
    return [way.options() for way in ways]


def test_two_cores():
    assert changes(ways_to_try(LoaderConfig(), **HERE)) == [
        {},
        {"reader": "h5py"},
        {"shuffle": "block"},
        {"shuffle": "none"},
        {"threads": 0},
        {"threads": 1},
        {"num_workers": 2},
    ]


def test_many_cores_have_more_workers_and_threads():
    found = changes(ways_to_try(LoaderConfig(), mode="full", cores=12, auto_threads=4))
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
    assert absent in changes(ways_to_try(LoaderConfig(), **HERE)) or absent == {"shuffle": "full"}
    assert absent not in changes(ways_to_try(LoaderConfig(), **{**HERE, **options}))


def test_changes_are_of_the_base():
    base = LoaderConfig(shuffle="none")
    found = ways_to_try(base, **{**HERE, "mode": "none"})
    assert found[0] == base
    assert LoaderConfig(shuffle="none", num_workers=2) in found


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (LoaderConfig(), "direct, block, 2 threads"),
        (LoaderConfig(reader="h5py", shuffle="none", threads=1), "h5py, none, 1 thread"),
        (LoaderConfig(num_workers=4), "direct, block, 4 workers"),
    ],
    ids=["defaults", "threads", "workers"],
)
def test_words(way, words):
    assert way.words(mode="block", direct="direct", threads=2) == words
