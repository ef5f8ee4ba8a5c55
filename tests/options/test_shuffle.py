"""The order of training samples: options that exclude each other."""

import pytest

from h5lightning.errors import OptionError
from h5lightning.options import Shuffle


def test_weights_and_balance_exclude_each_other():
    with pytest.raises(OptionError, match=r"shuffle\.weights='w' and shuffle\.balance='y': use one of them"):
        Shuffle(weights="w", balance="y")


@pytest.mark.parametrize("name", ["weights", "balance"])
def test_samples_are_not_drawn_in_the_order_of_files(name):
    message = f"shuffle.{name} draws samples at random, but shuffle.mode='none' keeps the order"
    with pytest.raises(OptionError, match=message):
        Shuffle("none", **{name: "y"})


def test_drawn_by_is_the_field_of_weights_or_classes():
    assert [Shuffle().drawn_by, Shuffle(weights="w").drawn_by, Shuffle(balance="y").drawn_by] == [
        None,
        "w",
        "y",
    ]
