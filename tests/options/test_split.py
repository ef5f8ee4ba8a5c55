"""How data become train, val and test: sums, folds and rules that are refused."""

import pytest

from h5lightning.errors import OptionError
from h5lightning.options import Split


def test_shares_over_one_name_the_way_out_in_hydra():
    with pytest.raises(OptionError) as caught:
        Split(val=0.2, train=0.8)
    assert str(caught.value) == (
        "split: the fractions must sum to at most 1, found train 0.8 + val 0.2 + test 0.1 = 1.1. In Hydra a mapping "
        "is merged with the defaults (val 0.1, test 0.1): data.split.test=null removes one"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"val": 0.3333333334, "test": 0.3333333334, "train": 0.3333333334},
        {"val": 1, "test": 0},
        {"val": 0.9, "test": 0.1, "folds": 3, "fold": 0, "train": 0.9},
    ],
    ids=["rounding", "all in val", "val of folds does not count"],
)
def test_shares_up_to_one_are_accepted(options):
    split = Split(**options)
    assert {name: getattr(split, name) for name in options} == options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 5}, "split needs both folds and fold, found folds=5, fold=None"),
        ({"fold": 0}, "split needs both folds and fold, found folds=None, fold=0"),
        ({"folds": 5, "fold": 5}, "split.fold must be below split.folds, found fold=5, folds=5"),
    ],
    ids=["no fold", "no folds", "beyond"],
)
def test_folds_that_do_not_fit_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Split(**options)


@pytest.mark.parametrize(
    ("value", "hint"),
    [("subject", ""), ("path:", ""), ("file:x", ""), ("field:y", r" \('field:PATH' is not available yet\)")],
    ids=["bare", "empty", "unknown", "reserved"],
)
def test_keep_together_that_is_no_rule_is_refused(value, hint):
    message = f"split.keep_together must be 'path:REGEX' or 'attr:NAME', found '{value}'{hint}$"
    with pytest.raises(OptionError, match=message):
        Split(keep_together=value)


@pytest.mark.parametrize("value", [r"path:sub-(\d+)", "attr:subject"], ids=["path", "attr"])
def test_keep_together_rules_are_accepted(value):
    assert Split(keep_together=value).keep_together == value
