"""CheckSettings: defaults that fit the data, and numbers that mean nothing."""

import pytest

from h5lightning.errors import OptionError
from h5lightning.tools.check import CheckSettings


@pytest.mark.parametrize(
    ("settings", "samples", "expected"),
    [
        ({}, 1000, (1, 2, 3, 4, 8)),
        ({}, 3, (1, 2, 3)),
        ({}, 1, (1,)),
        ({"drop_last": True, "batch_size": 10}, 25, (1, 2)),
        ({"ranks": [5]}, 3, (5,)),
    ],
    ids=["many", "three", "one", "whole steps", "as requested"],
)
def test_ranks(settings, samples, expected):
    assert CheckSettings(**settings).ranks_for(samples) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ranks": [0]}, "ranks must be an integer of at least 1, found 0"),
        ({"ranks": []}, "ranks must list at least one number"),
        ({"workers": [-1]}, "workers must be an integer of at least 0, found -1"),
        ({"workers": [10**6]}, "workers must be an integer of at most 4096, found 1000000"),
        ({"epochs": 0}, "epochs must be an integer of at least 1"),
        ({"tail": "pad"}, "tail must be one of 'drop', 'repeat'"),
    ],
    ids=["no rank", "no ranks", "workers", "many workers", "epochs", "tail"],
)
def test_what_is_refused(settings, message):
    with pytest.raises(OptionError, match=message):
        CheckSettings(**settings)
