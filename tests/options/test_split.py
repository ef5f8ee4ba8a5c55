"""How data become train, val and test: sums, folds and rules that are refused."""

import dataclasses

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


@pytest.mark.parametrize("value", ["subject", "path:", "file:x"], ids=["bare", "empty", "unknown"])
def test_keep_together_that_is_no_rule_is_refused(value):
    rules = "'path:REGEX', 'attr:NAME', 'field:PATH' or 'table:COLUMN'"
    message = f"split.keep_together must be {rules}, found '{value}'$"
    with pytest.raises(OptionError, match=message):
        Split(keep_together=value)


@pytest.mark.parametrize(
    "value",
    [r"path:sub-(\d+)", "attr:subject", "field:obs/donor", "table:case_id"],
    ids=["path", "attr", "field", "table"],
)
def test_keep_together_rules_are_accepted(value):
    assert Split(keep_together=value).keep_together == value


# ── given ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_val_has_several_names(name):
    assert Split(given={"train": "/mask/train", name: "mask/v"}).given == {
        "train": "mask/train",
        "val": "mask/v",
    }


def test_a_column_of_the_table_gives_a_split():
    split = Split(given="table:split")
    assert (split.given, split.val, split.test) == ("table:split", None, None)


def test_given_splits_have_no_sizes():
    split = Split(given={"train": "mask/train"})
    assert (split.val, split.test) == (None, None)
    assert Split(**dataclasses.asdict(split)) == split


@pytest.mark.parametrize(
    "given", [None, {}, {"train": None, "val": None}], ids=["none", "empty", "nothing named"]
)
def test_nothing_given_is_a_split_by_size(given):
    assert Split(given=given) == Split()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"given": "table:split", "val": 0.2}, "found val=0.2 too", id="table and val"),
        pytest.param(
            {"given": "table:"}, "must map train, val and test to datasets", id="table without column"
        ),
        pytest.param({"given": "mask/train"}, "must map train, val and test to datasets", id="text"),
        pytest.param({"given": ["mask/train"]}, "must map train, val and test", id="list"),
        pytest.param({"given": {"tran": "a"}}, "no split 'tran'; did you mean 'train'", id="typing error"),
        pytest.param(
            {"given": {"train": 3}}, "given.train must be the path of a dataset, found 3", id="number"
        ),
        pytest.param({"given": {"train": "/"}}, "must be the path of a dataset", id="no path"),
        pytest.param({"given": {"val": "a", "dev": "b"}}, "names val twice", id="twice"),
        pytest.param({"given": {"train": "a"}, "val": 0.2}, "found val=0.2 too: leave it out", id="val"),
        pytest.param({"given": {"train": "a"}, "test": 0.3}, "found test=0.3 too", id="test"),
        pytest.param({"given": {"train": "a"}, "train": 0.5}, "found train=0.5 too", id="train"),
        pytest.param({"given": {"train": "a"}, "folds": 3, "fold": 0}, "found folds=3 too", id="folds"),
        pytest.param(
            {"given": {"train": "a"}, "manifest": "m.json"}, "found manifest='m.json' too", id="manifest"
        ),
        pytest.param(
            {"given": {"train": "a"}, "by": "block"}, "divides whole series, found by='block'", id="by"
        ),
        pytest.param({"given": {"train": "a"}, "gap": 2}, "gap=2 applies to by='block' only", id="gap"),
    ],
)
def test_given_goes_with_nothing_else_that_divides(options, message):
    with pytest.raises(OptionError, match=message):
        Split(**options)
