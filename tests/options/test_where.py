"""Conditions of rows, as users write them."""

import pytest
from omegaconf import OmegaConf

from h5lightning.errors import OptionError
from h5lightning.options.where import Range, coerce_where


def test_conditions_have_one_form_in_python_and_in_yaml():
    expected = {
        "x": "finite",
        "pt": Range(20e3),
        "z": Range(None, 2),
        "acq": ["AXT2"],
        "y": [0, 4],
        "ok": "true",
    }
    python = {"x": "finite", "pt": (20e3, None), "z": (None, 2), "acq": ["AXT2"], "y": [0, 4], "ok": True}
    yaml = "x: finite\npt: {min: 20000.0}\nz: {below: 2}\nacq: [AXT2]\n'y': [0, 4]\nok: true"
    assert coerce_where(python) == coerce_where(OmegaConf.create(yaml)) == expected
    assert coerce_where(coerce_where(python)) == expected  # as hyperparameters of a checkpoint


@pytest.mark.parametrize("value", [None, {}], ids=["none", "empty"])
def test_no_conditions_are_none(value):
    assert coerce_where(value) is None


@pytest.mark.parametrize(
    ("where", "message"),
    [
        pytest.param("finite", "where must map keys of fields, or paths, to conditions", id="text"),
        pytest.param({"x": "positive"}, r"where\.x must be 'finite', True for a mask", id="word"),
        pytest.param({"x": False}, r"where\.x must be 'finite'", id="false"),
        pytest.param({"x": 3}, r"where\.x must be 'finite'", id="number"),
        pytest.param({"x": []}, r"where\.x must be 'finite'", id="empty list"),
        pytest.param({"x": [None]}, r"where\.x must be 'finite'", id="list of none"),
        pytest.param({"x": (None, None)}, r"where\.x: the range \(None, None\) has no bound", id="no bound"),
        pytest.param({"x": (2, 2)}, r"where\.x: the range \(2, 2\) holds no value", id="empty range"),
        pytest.param({"x": ("a", "b")}, r"where\.x: the bounds of a range must be numbers", id="text range"),
        pytest.param({"x": {"max": 1}}, r"where\.x must be 'finite'", id="unknown bound"),
    ],
)
def test_other_conditions_are_refused(where, message):
    with pytest.raises(OptionError, match=message):
        coerce_where(where)
