"""Checks of single values, the nearest known name in an error, and values as plain data."""

from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from h5lightning.options import Field, Rows, Shuffle, Windows
from h5lightning.options.checks import check_choice, check_int, did_you_mean, to_plain


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
    assert did_you_mean(name, known) == expected


def test_what_is_allowed_passes_the_checks():
    check_choice("reader", "h5py", ("auto", "h5py"))
    check_int("batch_size", 1, at_least=1)


_FIELD = {"attr": None, "constant": False, "member": None, "dtype": None, "ragged": "error", "decode": None}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Rows(), {"kind": "rows"}),
        (Windows(2), {"kind": "windows", "length": 2, "stride": 1, "dilation": 1}),
        (
            Shuffle(window_bytes=7),
            {"mode": "auto", "window_bytes": 7, "weights": None, "balance": None},
        ),
        ({"x": Field("x", steps=(0, 1))}, {"x": {**_FIELD, "path": "x", "steps": [0, 1]}}),
        (("a", PurePosixPath("b")), ["a", "b"]),
        (OmegaConf.create({"a": [1, {"b": None}]}), {"a": [1, {"b": None}]}),
        ({1: np.float32(0.5)}, {"1": 0.5}),
        (np.arange(3), [0, 1, 2]),
        (torch.tensor(2), 2),
        (None, None),
    ],
    ids=["rows", "windows", "option", "fields", "paths", "omegaconf", "number", "array", "tensor", "none"],
)
def test_plain_data(value, expected):
    found = to_plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_plain_data_of_a_class_is_the_class():
    assert to_plain(Rows) is Rows
