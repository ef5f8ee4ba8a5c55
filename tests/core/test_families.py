"""Numbered siblings are told as one family."""

from __future__ import annotations

import pytest

from h5lightning.core.families import families_text, fold, folded_names
from h5lightning.core.natural_order import natural_key


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([f"data/demo_{k}/x" for k in range(60)], ["data/*/x"]),
        ([f"data/demo_{k}/x" for k in range(60)] + ["data/mean/x"], ["data/demo_*/x", "data/mean/x"]),
        ([f"traj_{k}/x" for k in range(3)] + ["meta/y"], ["traj_*/x", "meta/y"]),
        ([f"t{k}" for k in range(5)] + ["x"], ["t*", "x"]),
        (["b1", "b2", "a"], ["a", "b1", "b2"]),  # two are no family
        ([f"d/{k}/cam_{c}" for k in range(9) for c in range(3)], ["d/*/cam_0", "d/*/cam_1", "d/*/cam_2"]),
        ([f"r{k}_s{k}/a" for k in range(5)], ["*/a"]),
        ([], []),
    ],
)
def test_families(paths, expected):
    assert sorted(folded_names(paths)) == sorted(expected)


def test_a_family_in_words_has_its_size_its_ends_and_fields():
    paths = [f"data/demo_{k}/{name}" for k in range(60) for name in ("obs/x", "actions")]
    families, others = fold([*paths, "grid"])
    assert others == ["grid"]
    assert families_text(families) == (
        "'/data/*' is a family of 60 groups (demo_0 … demo_59); Field('data/*/obs/x'), Field('data/*/actions')"
    )
    (datasets,), _ = fold(f"t{k}" for k in range(4))
    assert datasets.text == "'/*' is a family of 4 datasets (t0 … t3)"


def test_many_families_stay_short():
    paths = [f"a{chr(97 + n)}/demo_{k}/x{m}y" for n in range(9) for k in range(40) for m in range(20)]
    assert len(families_text(fold(paths)[0])) < 1000


def test_the_natural_order_has_no_longest_number_and_tells_all_names_apart():
    names = ["demo_10", "demo_2", "demo_02", "demo_", "", "9" * 5000, "1" + "0" * 5000, "demo_2b", "٣"]
    ordered = sorted(names, key=natural_key)
    assert ordered.index("demo_02") < ordered.index("demo_2") < ordered.index("demo_10")
    assert ordered.index("9" * 5000) < ordered.index("1" + "0" * 5000)
    assert len({natural_key(name) for name in names}) == len(names)
