"""What holds for splits of series: trees of files and series with names, groups, and lists that files give."""

import json
from dataclasses import dataclass, field

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from indexes import make_index, rows_by_split

from h5lightning.core.string_table import StringTable
from h5lightning.errors import SplitError
from h5lightning.options import Split
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.splitting.apply_manifest import apply_manifest
from h5lightning.planning.splitting.given_split import match_lists
from h5lightning.planning.splitting.manifest import from_plain_split, to_plain_split
from h5lightning.planning.splitting.manifest_format import Manifest
from h5lightning.planning.splitting.plan_split import plan_split

common = settings(deadline=None, max_examples=60)
GIVEN = {"train": "mask/train", "val": "mask/valid", "test": "mask/test"}


@dataclass
class Tree:
    """Files → names of series → rows and the group of each; names in natural order of their numbers."""

    files: dict[str, dict[int, int]]
    groups: dict[tuple[str, int], str] = field(default_factory=dict)

    def index(self) -> SampleIndex:
        files = sorted(self.files)
        numbers = [number for name in files for number in sorted(self.files[name])]
        index = make_index(
            [[self.files[name][number] for number in sorted(self.files[name])] for name in files],
            names=files,
            series_names=[f"demo_{number}" for number in numbers],
        )
        return SampleIndex(
            **{
                **index.__dict__,
                "series_unit": np.arange(len(numbers)),
                "unit_texts": StringTable.of(map(str, numbers)),
            }
        )

    def series(self) -> list[tuple[str, int]]:
        return [(name, number) for name in sorted(self.files) for number in sorted(self.files[name])]

    def labels(self) -> list[str]:
        return [self.groups[one] for one in self.series()]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True))
    rows = st.dictionaries(st.integers(0, 30), st.integers(0, 40), max_size=8)
    tree = Tree({f"{name}.h5": draw(rows) for name in names})
    assume(any(tree.files.values()))
    tree.groups = {one: draw(st.sampled_from("xyzuvw")) for one in tree.series()}
    return tree


def split_of(plan, tree: Tree, index: SampleIndex) -> dict[tuple[str, int], str]:
    """The split of each series that is in one as a whole; no series is in two."""
    found: dict[tuple[str, int], str] = {}
    for name, part in plan.parts.items():
        for series in part.series.tolist():
            one = tree.series()[series]
            assert one not in found
            found[one] = name
        assert not part.start.any()
        assert np.array_equal(part.stop, index.series_rows[part.series])
    return found


def plan_or_skip(index, split, **options):
    try:
        return plan_split(index, split, seed=3, **options)
    except SplitError:
        assume(False)
        raise


def assert_complete(plan, index) -> None:
    rows = [row for found in rows_by_split(plan, index).values() for row in found]
    assert len(rows) == len(set(rows)) == int(index.series_rows.sum()) - plan.unused_rows


orders = st.sampled_from(["random", "path"])


@common
@given(trees(), orders)
def test_no_series_is_in_two_splits(tree, order):
    index = tree.index()
    plan = plan_or_skip(index, Split(by="series", val=0.25, test=0.25, order=order))
    found = split_of(plan, tree, index)
    assert_complete(plan, index)
    assert {one for one in tree.series() if tree.files[one[0]][one[1]]} <= set(found)
    if order == "path":
        ranks = [
            ("train", "val", "test").index(found[one]) for one in tree.series() if tree.files[one[0]][one[1]]
        ]
        assert ranks == sorted(ranks)


@common
@given(trees(), st.sampled_from(["auto", "series"]), orders)
def test_no_group_is_in_two_splits(tree, by, order):
    index = tree.index()
    split = Split(by=by, val=0.3, test=None, keep_together="attr:task", order=order)
    plan = plan_or_skip(index, split, labels=tree.labels())
    splits_of_group: dict[str, set[str]] = {}
    for one, name in split_of(plan, tree, index).items():
        if tree.files[one[0]][one[1]]:
            splits_of_group.setdefault(tree.groups[one], set()).add(name)
    assert all(len(names) == 1 for names in splits_of_group.values())
    assert_complete(plan, index)
    several = any(
        len({tree.groups[name, number] for number in numbers}) > 1 for name, numbers in tree.files.items()
    )
    assert plan.by == ("series" if several or by == "series" else "file")


@common
@given(trees(), st.data())
def test_a_given_split_is_what_the_files_list(tree, data):
    index, files = tree.index(), sorted(tree.files)
    roles = st.sampled_from([None, "train", "val", "test"])
    expected = {one: data.draw(roles) for one in tree.series()}
    is_number = data.draw(st.booleans())
    lists = [
        {
            path: [
                number if is_number else data.draw(st.sampled_from([f"demo_{number}", str(number)]))
                for number in data.draw(st.permutations(sorted(tree.files[name])))
                if expected[name, number] == role
            ]
            for role, path in GIVEN.items()
        }
        for name in files
    ]
    split_of_series = match_lists(index, np.arange(len(files)), lists, GIVEN)
    plan = plan_or_skip(index, Split(given=GIVEN), given=split_of_series)
    assert split_of(plan, tree, index) == {one: role for one, role in expected.items() if role}
    assert_complete(plan, index)
    again = Manifest.from_json(json.loads(json.dumps(Manifest.of(plan, index).to_json())), "it")
    assert again.plan.fingerprint == plan.fingerprint


@common
@given(trees(), st.data(), st.sampled_from(["train", "split"]), st.booleans())
def test_no_known_series_moves_when_series_come(tree, data, on_new, is_grouped):
    index = tree.index()
    options = {"keep_together": "attr:task"} if is_grouped else {}
    split = Split(by="series", val=0.25, test=0.25, **options)
    plan = plan_or_skip(index, split, labels=tree.labels())
    before = split_of(plan, tree, index)
    more = data.draw(trees())
    for name, numbers in more.files.items():
        own = tree.files.setdefault(name, {})
        for number, rows in numbers.items():
            own.setdefault(number, rows)
    tree.groups = {**more.groups, **tree.groups}
    grown = tree.index()
    manifest = from_plain_split(to_plain_split(plan, index))
    again = apply_manifest(manifest, grown, Split(on_new=on_new, **options), seed=1, labels=tree.labels())
    after = split_of(again, tree, grown)
    assert {one: after[one] for one in before} == before
    assert_complete(again, grown)
    assert (again.fingerprint == plan.fingerprint) == (
        len(grown.series_rows) == len(index.series_rows) and len(grown.names) == len(index.names)
    )
    if is_grouped:
        splits_of_group: dict[str, set[str]] = {}
        for one, name in after.items():
            if tree.files[one[0]][one[1]]:
                splits_of_group.setdefault(tree.groups[one], set()).add(name)
        # Series without rows go with train, whatever their group.
        assert all(len(names) == 1 for names in splits_of_group.values())
    saved = from_plain_split(to_plain_split(again, grown))
    assert apply_manifest(saved, grown, Split(), seed=2).fingerprint == again.fingerprint
