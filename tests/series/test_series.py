"""Random trees of series against the contract: 729 in each run, thousands on request; and tests of the judges."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from judging import batches, draws
from judging import judge as judging
from judging.buckets import check_buckets
from judging.campaign import Tally, run
from judging.contract import Contract, Sample
from judging.disagreement import DisagreementError
from judging.divisions import RefusedError, divide
from judging.drawing import KINDS, STYLES, TOPICS
from judging.floors import FLOORS
from judging.judge import judge
from judging.options import Case
from judging.trees import FileTree, Stored, Tree

from h5lightning.planning.draws import SampleDraws

RUN = Path(__file__).with_name("run.py")
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
GROUPS = (
    ("names",),
    ("files", "axis", "names and table"),
    ("ends", "offsets", "lengths", "stops", "flags", "runs"),
)


@pytest.mark.parametrize("style", [*STYLES, *TOPICS])
@pytest.mark.timeout(300)
def test_random_series(style):
    """9 × 81 cases, 27 of each group of kinds."""
    every = Tally()
    for number, kinds in enumerate(GROUPS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tally = run(27, number, MEMORY, kinds=kinds, styles=(style,))
        assert not tally.failure, tally.failure
        every.counts += tally.counts
        every.reasons += tally.reasons
    assert every.of("right") >= 30, every.markdown()
    lacking = {name for name, least in FLOORS[style].items() if every.of("right", name) < least}
    assert not lacking, every.markdown()


@pytest.mark.campaign
@pytest.mark.timeout(14_400)
def test_many_random_series():
    """As many as ``SERIES_CASES`` says, from the seed ``SERIES_SEED``, in two processes."""
    count, number = (
        int(os.environ.get(f"SERIES_{name}", default)) for name, default in (("CASES", 20_000), ("SEED", 1))
    )
    each = [sys.executable, str(RUN), "--cases", str(count // 2), "--seed"]
    children = [
        subprocess.Popen(
            [*each, str(2 * number + half)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for half in range(2)
    ]
    printed = [child.communicate()[0] for child in children]
    assert all(child.returncode == 0 for child in children), "\n".join(printed)


# ── the judges find what is wrong ────────────────────────────────────────────────────────────────────


def demos(*lengths: int, shift: int = 0) -> Tree:
    datasets = [
        Stored(f"data/demo_{number}/{key}", (rows, 2), "<f4", 1000 * number + shift)
        for number, rows in enumerate(lengths)
        for key in ("x", "y")
    ]
    return Tree((("data0.h5", FileTree(tuple(datasets))),))


CASE = Case(
    demos(5, 9, 4),
    {"x": "data/*/x", "y": {"path": "data/*/y", "steps": [0, 1]}},
    {"length": 2},
    split={"by": "series", "val": 0.3, "test": None},
    options={"batch_size": 3, "seed": 0},
    world=2,
)


def test_a_case_is_right():
    assert judge(CASE) == "right"


def test_a_value_that_differs_is_found(monkeypatch):
    def spoiled(self, case, paths):
        original(self, case, demos(5, 9, 4, shift=1).write(os.path.dirname(paths[0])))

    original = Contract.__init__
    monkeypatch.setattr(Contract, "__init__", spoiled)
    monkeypatch.setattr(judging._Judge, "module", prepared_before(judging._Judge.module))
    with pytest.raises(DisagreementError, match=r"'x' of sample"):
        judge(CASE)


def prepared_before(module):
    """The module reads other files than the contract: they are written anew for it."""

    def changed(self, **options):
        if not options:  # later modules of the case read the same files
            self.case.tree.write(self.folder)
        return module(self, **options)

    return changed


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ids", lambda starts: starts[:-1]),
        ("order", lambda starts: starts[::-1]),
        ("rows", lambda starts: [row + 1 for row in starts]),
    ],
)
def test_samples_that_differ_are_found(monkeypatch, name, change):
    starts = Contract.starts
    monkeypatch.setattr(Contract, "starts", lambda self, *args: change(starts(self, *args)))
    with pytest.raises((DisagreementError, IndexError)):
        judge(CASE)


def test_an_error_that_does_not_come_is_found(monkeypatch):
    def refuses(self, case, paths):
        raise RefusedError("wrong")

    monkeypatch.setattr(Contract, "__init__", refuses)
    with pytest.raises(DisagreementError, match="no error"):
        judge(CASE)


RAGGED = replace(
    CASE,
    fields={"x": {"path": "data/*/x", "ragged": "pad"}, "n": "length:x", "gone": "pad:x"},
    samples={"kind": "whole"},
    options={"batch_size": 3, "seed": 1, "shuffle": {"mode": "full", "bucket": "length:x"}},
)
TAKEN = replace(
    RAGGED,
    samples={"kind": "whole", "take": 5},
    tree=demos(40, 60, 50, 40),
    world=1,
    options={"batch_size": 3},
)
JITTERED = replace(CASE, tree=demos(200, 180), samples={"length": 2, "stride": 9, "jitter": True}, world=1)
CROPS = replace(
    CASE,
    tree=Tree((("data0.h5", FileTree((Stored("x", (6, 7, 5), "<i4", 7),))),)),
    fields={"x": "x", "gone": "pad:x"},
    samples={"length": [2, 3, 2], "stride": 3, "axis": [0, 2, 1], "pad": "zero"},
    split={"by": "block", "val": 0.5, "test": None},
)


@pytest.mark.parametrize(
    "case", [RAGGED, TAKEN, JITTERED, CROPS], ids=["ragged", "taken", "jittered", "crops"]
)
def test_cases_of_newer_options_are_right(case):
    assert judge(case) == "right"


@pytest.mark.parametrize("case", [RAGGED, TAKEN, JITTERED], ids=["ragged", "taken", "jittered"])
def test_cases_of_newer_options_are_right_in_workers(case):
    assert judge(replace(case, options={**case.options, "num_workers": 2, "threads": 0}, world=1)) == "right"


@pytest.mark.parametrize(
    ("case", "place", "spoiled"),
    [
        (RAGGED, "told", lambda found: [one + 1 for one in found]),
        (RAGGED, "finished", lambda found: found[..., ::-1]),
        (TAKEN, "finished", lambda found: found[..., ::-1]),
        (CROPS, "finished", lambda found: found[..., ::-1]),
    ],
    ids=["lengths", "ragged values", "rows that were taken", "crops"],
)
def test_newer_options_that_differ_are_found(monkeypatch, case, place, spoiled):
    original = getattr(batches, place)
    monkeypatch.setattr(batches, place, lambda *args: spoiled(original(*args)))
    with pytest.raises(DisagreementError):
        judge(case)


def test_starts_outside_of_their_cells_are_found(monkeypatch):
    monkeypatch.setattr(draws, "drawable_starts", lambda *args: [[args[-1][0]]])
    with pytest.raises(DisagreementError, match="one for all fields"):
        judge(JITTERED)


def test_draws_that_are_the_same_in_each_epoch_are_found(monkeypatch):
    original = SampleDraws.of_stage
    monkeypatch.setattr(SampleDraws, "of_stage", lambda stage, seed, _: original(stage, seed, 0))
    for case in (TAKEN, JITTERED):
        with pytest.raises(DisagreementError, match="draws of epochs"):
            judge(case)


def test_draws_of_evaluation_that_differ_from_epoch_to_epoch_are_found(monkeypatch):
    original = SampleDraws.of_stage
    monkeypatch.setattr(SampleDraws, "of_stage", lambda _, seed, epoch: original("train", seed, epoch))
    with pytest.raises(DisagreementError, match=r"draw for sample \d+ of val, again"):
        judge(TAKEN)


def test_draws_that_are_not_uniform_are_found():
    seen = draws.SeenDraws()
    for number in range(300):
        seen.add((0, number), draws.Drawn(Sample(0, number % 3)), [[0, 1, 2, 3]], 9)
    assert [text.partition(" came")[0] for text in seen.unlikely()] == [
        f"('starts', 4): {place}" for place in (3,)
    ]


def test_batches_of_unlike_lengths_are_found():
    with pytest.raises(DisagreementError, match="sizes of steps"):
        check_buckets(contract_of(RAGGED, demos(5, 9, 4, 8)), "length:x", [[[0, 1], [2, 3]]], 2)


def contract_of(case, tree):
    with tempfile.TemporaryDirectory() as folder:
        return Contract(replace(case, tree=tree), tree.write(folder))


def test_the_program_of_a_case_runs(tmp_path):
    program = tmp_path / "case.py"
    program.write_text(CASE.program())
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo_1" in done.stdout


# ── the contract, by hand ────────────────────────────────────────────────────────────────────────────


def contract(tmp_path, **changes) -> Contract:
    case = Case(**{**vars(CASE), **changes})
    return Contract(case, case.tree.write(str(tmp_path)))


def test_windows_of_the_contract(tmp_path):
    found = contract(tmp_path, samples={"length": 2, "stride": 3, "dilation": 2})
    assert [one.rows for one in found.series] == [5, 9, 4]
    assert found.everything == [Sample(0, 0), Sample(1, 0), Sample(1, 3), Sample(1, 6), Sample(2, 0)]
    with h5py.File(found.paths[0]) as file:
        values = file["data/demo_1/x"][[3, 5]]
    samples = found.case.stage_samples["train"]
    np.testing.assert_array_equal(found.value("x", Sample(1, 3), samples, (0, 9)), values)


def test_padding_of_the_contract_ends_at_the_border_of_a_part(tmp_path):
    found = contract(tmp_path, samples={"length": 2, "pad": "edge"}, fields={"x": "data/*/x", "pad": "pad:x"})
    samples = found.case.stage_samples["train"]
    values = found.value("x", Sample(1, 3), samples, (0, 4))
    np.testing.assert_array_equal(values[0], values[1])
    assert found.value("pad", Sample(1, 3), samples, (0, 4)).tolist() == [False, True]
    assert found.value("pad", Sample(1, 3), samples, (0, 9)).tolist() == [False, False]


def test_stages_of_the_contract_have_sections(tmp_path):
    found = contract(tmp_path, samples={"train": {"length": 2}, "test": {"length": 4}})
    assert list(found.sections.values()) == [0, 15]
    assert len(found.everything) == 15 + 9


@pytest.mark.parametrize(
    ("options", "values", "expected"),
    [
        ({"ends": "e"}, {"e": [2, 2, 6]}, [(0, 2), (2, 2), (2, 6)]),
        ({"offsets": "o"}, {"o": [0, 4, 6]}, [(0, 4), (4, 6)]),
        ({"starts": "s", "lengths": "n"}, {"s": [0, 3], "n": [3, 3]}, [(0, 3), (3, 6)]),
        ({"flags": ["a", "b"]}, {"a": [0, 1, 0, 0, 0, 0], "b": [0, 0, 0, 1, 0, 0]}, [(0, 2), (2, 4), (4, 6)]),
        ({"runs": "r"}, {"r": [3, 3, 1, 1, 1, 3]}, [(0, 2), (2, 5), (5, 6)]),
        ({"ends": "e"}, {"e": [2, 7]}, None),
        ({"ends": "e"}, {"e": [4, 2, 6]}, None),
        ({"starts": "s", "lengths": "n"}, {"s": [0, 3], "n": [4, 3]}, None),
        ({"flags": "a"}, {"a": [0, 1]}, None),
    ],
)
def test_tables_of_the_contract(options, values, expected):
    arrays = {name: np.array(value) for name, value in values.items()}
    if expected is None:
        with pytest.raises(RefusedError):
            divide(options, arrays.__getitem__, 6)
        return
    assert [border[1:] for border in divide(options, arrays.__getitem__, 6)] == expected


def test_all_kinds_are_drawn_in_the_suite():
    assert sorted(kind for group in GROUPS for kind in group) == sorted(KINDS)
    assert sorted(FLOORS) == sorted([*STYLES, *TOPICS])
