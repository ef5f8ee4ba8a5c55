"""A short run of the campaign, the long one on request, and what they rest on: they find what is wrong, and repeat."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from comparing import campaign, plain_loops
from comparing.campaign import Finding, Name, Tally, names, run_one, try_out
from comparing.case import Case, check_once
from comparing.children import run_limited
from comparing.configurations import Configuration
from comparing.disagreement import DisagreementError, code_of, expect
from comparing.kinds import KINDS, Kind
from comparing.truth import Sample

from h5lightning import Field, Windows
from h5lightning.loading.loader import H5DataLoader
from h5lightning.storage.readers.libhdf5.reader import H5pyReader

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="children are limited as on Linux"),
    # Cases that are made to fail leave pools open, which are collected at any time.
    pytest.mark.filterwarnings("ignore:a HandlePool with:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in.*finalize:pytest.PytestUnraisableExceptionWarning"
    ),
]
RUN = Path(__file__).with_name("run.py")
CAMPAIGN_SEED = 11


def run_program(out: Path, *arguments: str, timeout_s: float) -> str:
    """The table of a campaign that found no disagreement."""
    command = [sys.executable, str(RUN), "--out", str(out), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr[-20_000:]}"
    return ended.stdout


@pytest.mark.timeout(300)
def test_a_short_campaign(tmp_path):
    cases = [f"{kind}/{seed}" for kind in KINDS for seed in (7,)]
    table = run_program(tmp_path, "--jobs", "2", "--no-torchrun", "--only", *cases, timeout_s=280)
    assert "| **all** |" in table
    assert all(f"| {kind} |" in table for kind in KINDS)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_long_campaign(tmp_path):
    jobs = str(len(os.sched_getaffinity(0)))
    run_program(tmp_path, "--cases", "2000", "--seed", str(CAMPAIGN_SEED), "--jobs", jobs, timeout_s=3500)


# ── it finds what is wrong ───────────────────────────────────────────────────────────────────────────


def spoil_reader(monkeypatch):
    """Two rows of a batch are swapped, in all fields but the number."""
    read = H5pyReader.read

    def spoiled(self, files, takes):
        read(self, files, takes)
        for take in takes:
            if not take.source.path.endswith(("number", "table")) and len(take.out) > 1:
                take.out[[0, 1]] = take.out[[1, 0]]

    monkeypatch.setattr(H5pyReader, "read", spoiled)


def spoil_batches(change):
    """Something is done to the batches of each epoch."""

    def spoil(monkeypatch):
        batches = H5DataLoader.__iter__
        monkeypatch.setattr(H5DataLoader, "__iter__", lambda self: change(batches(self)))

    return spoil


def without_last(batches):
    yield from list(batches)[:-1]


def first_again(batches):
    first = next(batches)
    yield first
    yield first
    yield from batches


def in_one_type(batches):
    for batch in batches:
        yield {**batch, "number": batch["number"].to(torch.float16)}


def overwritten(batches):
    held = None
    for batch in batches:
        if held is not None:
            held["number"] += 1
        held = batch
        yield batch


@pytest.fixture
def small(monkeypatch):
    """Cases of one plain kind, whose reader is h5py, in batches of two rows."""

    def draw(case, **files):
        original(case, changes=plainly, **files)

    def plainly(found: Configuration) -> Configuration:
        return found.with_options(
            batch_size=2, reader="h5py", num_workers=0, threads=0, drop_last=False, transform=None
        )

    original = Case.draw
    monkeypatch.setattr(plain_loops, "maybe_workers", lambda *_, **__: lambda found: found)
    monkeypatch.setattr(Case, "draw", lambda case, changes=None, **files: draw(case, **files))


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_reader,
        spoil_batches(without_last),
        spoil_batches(first_again),
        spoil_batches(in_one_type),
        spoil_batches(overwritten),
    ],
    ids=["two rows swapped", "a batch left out", "a batch twice", "another type", "a batch overwritten"],
)
@pytest.mark.timeout(60)
def test_what_is_wrong_is_found(spoil, small, monkeypatch, tmp_path):
    name = Name("values", 5)
    (tmp_path / "right").mkdir()
    verdict, words, _ = try_out(name, str(tmp_path / "right"))
    assert (verdict, words) == ("right", "")
    spoil(monkeypatch)
    (tmp_path / "wrong").mkdir()
    verdict, words, code = try_out(name, str(tmp_path / "wrong"))
    assert verdict == "disagreement", words
    assert "  found    " in words
    assert "  expected " in words
    assert "dm = H5DataModule(" in code
    assert "--only values/5" in code


def fails(case):
    raise ValueError("wrong")


def waits(case):
    time.sleep(60)


def dies(case):
    os.abort()


@pytest.mark.parametrize(("work", "verdict"), [(fails, "error"), (waits, "hang"), (dies, "crash")])
@pytest.mark.timeout(60)
def test_errors_hangs_and_crashes_are_findings(work, verdict, monkeypatch, tmp_path):
    monkeypatch.setitem(KINDS, "bad", Kind(work, 1))
    finding = run_one(Name("bad", 3), str(tmp_path), limit_s=2)
    assert finding.verdict == verdict
    assert finding.is_bad
    assert "--only bad/3" in str(finding)
    assert work.__name__ in finding.words
    assert os.listdir(tmp_path) == []


def test_samples_that_are_missing_or_come_twice():
    every = [Sample(0, row) for row in range(4)]
    check_once("all", every[::-1], every)
    check_once("all but one", every[:3], every, may_lack=1)
    for found in (every[:3], [*every, every[0]], [*every[:3], every[0]], [*every, Sample(1, 0)]):
        with pytest.raises(DisagreementError):
            check_once("wrong", found, every)


def test_steps_of_ranks_are_checked():
    chosen = Configuration((), {}, Windows(1), None, {"batch_size": 2, "tail": "drop", "drop_last": False})
    a, b, c, d, e = (Sample(0, row) for row in range(5))
    plain_loops.check_training_batches("right", [[[a, b]], [[c, d]]], [a, b, c, d, e], chosen)
    plain_loops.check_evaluation_batches("right", [[[a, b], [c]], [[d], [e]]], [a, b, c, d, e], chosen)
    for ranks in ([[[a, b]], [[a, b]]], [[[a, b]], []], [[[a]], [[c, d]]], [[[a], [b]], [[c], [d]]]):
        with pytest.raises(DisagreementError):
            plain_loops.check_training_batches("wrong", ranks, [a, b, c, d, e], chosen)
    for ranks in ([[[a, b], [c]], [[d, e]]], [[[a, b]], [[c, d]]], [[[b, a], [c]], [[d], [e]]]):
        with pytest.raises(DisagreementError):
            plain_loops.check_evaluation_batches("wrong", ranks, [a, b, c, d, e], chosen)


def test_the_first_difference_is_shown():
    with pytest.raises(DisagreementError, match="the first difference is at 5"):
        expect("numbers", list(range(9)), [0, 1, 2, 3, 4, 6, 6, 7, 8])


# ── it repeats ───────────────────────────────────────────────────────────────────────────────────────


def test_cases_follow_from_their_seeds(tmp_path):
    assert list(names(50, 3)) == list(names(50, 3)) != list(names(50, 4))
    for name in names(30, 5, ["values"]):
        assert Name.parse(str(name)) == name
        cases = []
        for number in range(2):
            case = Case(name.kind, name.seed, str(tmp_path / f"{name.seed}-{number}"))
            case.draw()
            cases.append(case)
        assert cases[0].files == cases[1].files
        assert code_of(cases[0].configuration) == code_of(cases[1].configuration)


def test_code_is_python(tmp_path):
    field = Field("a/b", steps=(0, 2))
    assert code_of({"x": field, "y": [(1,), ()]}) == "{'x': Field(path='a/b', steps=(0, 2)), 'y': [(1,), ()]}"
    assert eval(code_of(field), {"Field": Field}) == field


def test_findings_are_counted():
    tally = Tally()
    for verdict in ("right", "right", "refused", "hang"):
        tally.add(Finding(Name("plain", 1), verdict, took_s=1))
    tally.merge(tally)
    assert tally.of("right") == 4
    assert [finding.verdict for finding in tally.bad] == ["hang"] * 2
    assert "| plain | 4 | 2 | 0 | 0 | 0 | 2 | 1.00 |" in tally.markdown()
    assert campaign.LIMIT_S > 0


def test_children_answer_at_the_same_time():
    large = np.arange(200_000)
    ended = run_limited([lambda: large, os.getpid], limit_s=20)
    assert [one.problem for one in ended] == ["", ""]
    assert np.array_equal(ended[0].value, large)


def test_a_child_that_the_others_wait_for_is_given_up():
    ended = run_limited([lambda: time.sleep(60), lambda: 3], limit_s=50, apart_s=0.5)
    assert [one.problem for one in ended] == ["hang", ""]
