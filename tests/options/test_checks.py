"""Checks of single values, and the nearest known name in an error."""

import pytest

from h5lightning.options.checks import check_choice, check_int, nearest


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("imges", ["labels", "images"], "; did you mean 'images'?"),
        ("IMAGE", ["labels", "Images"], "; did you mean 'Images'?"),
        ("u", ["labels", "images"], "; known: images, labels"),
        ("u", [], ""),
    ],
    ids=["near", "another case", "far", "nothing known"],
)
def test_nearest(name, known, expected):
    assert nearest(name, known) == expected


def test_what_is_allowed_passes_the_checks():
    check_choice("reader", "h5py", ("auto", "h5py"))
    check_int("batch_size", 1, at_least=1)
