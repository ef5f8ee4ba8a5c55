"""Paths with a ``*``: where it matches, and the path of a match."""

import pytest

from h5lightning.core.star_paths import concrete, split_at_star, starred_object


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("*", ("", "*", "")),
        ("traj_*/obs", ("", "traj_*", "obs")),
        ("data/*/obs/x", ("data", "*", "obs/x")),
        ("a/b/demo_*_x/c", ("a/b", "demo_*_x", "c")),
        ("data/x*", ("data", "x*", "")),
    ],
)
def test_the_place_of_a_star(path, place):
    assert split_at_star(path) == place


@pytest.mark.parametrize(
    ("path", "match", "place"),
    [
        ("traj_*", "traj_7", "traj_*"),
        ("data/*/obs/x", "data/7/obs/x", "data/*"),
        ("a/b/demo_*_x/c", "a/b/demo_7_x/c", "a/b/demo_*_x"),
    ],
)
def test_the_path_of_a_match(path, match, place):
    assert (concrete(path, "7"), starred_object(path)) == (match, place)
