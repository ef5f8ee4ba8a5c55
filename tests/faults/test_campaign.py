"""A short run of the campaign, and what it rests on: seeds repeat, limits hold, verdicts are told apart."""

import os
import sys
import time

import numpy as np
import pytest
from fuzzing.campaign import VERDICTS, Recipe, Workshop, bad_counts, recipes, run
from fuzzing.children import run_limited
from fuzzing.judging import ARMS, OURS, VERIFIED, expect, judge
from fuzzing.specimens import SPECIMENS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are limited as on Linux")


@pytest.fixture
def workshop(tmp_path):
    return Workshop(str(tmp_path))


@pytest.mark.timeout(300)
def test_a_short_campaign(tmp_path):
    tally = run(recipes(2 * len(SPECIMENS), seed=7), str(tmp_path))
    listed = "\n".join(
        f"{finding.recipe} {finding.arm} {finding.verdict}: {finding.words}" for finding in tally.findings
    )
    assert not any(bad_counts(tally).values()), listed
    for arm in OURS:
        assert not tally.of(arm, "unclear"), listed
        assert tally.of(arm, "error") > len(SPECIMENS) // 2, listed
    assert sum(tally.of("h5py alone", verdict) for verdict in VERDICTS) == 2 * len(SPECIMENS)


@pytest.mark.parametrize("name", SPECIMENS)
def test_whole_files_are_right(name, tmp_path):
    path = str(tmp_path / "a.h5")
    SPECIMENS[name].write(path)
    expected = expect(path, SPECIMENS[name].fields)
    assert {arm: judge(arm, path, expected) for arm in ARMS} == dict.fromkeys(ARMS, ("right", ""))


def test_a_recipe_repeats(workshop):
    for recipe in recipes(200, seed=3):
        assert Recipe.parse(str(recipe)) == recipe
        damaged = workshop.damaged(recipe)
        assert damaged == workshop.damaged(recipe)
    assert len({str(recipe) for recipe in recipes(200, seed=4)}) == 200


def test_verdicts(tmp_path):
    path = str(tmp_path / "a.h5")
    SPECIMENS["contiguous-earliest"].write(path)
    expected = expect(path, SPECIMENS["contiguous-earliest"].fields)
    values = expected.values["x"].tobytes()
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data.replace(values, b"\1" + values[1:]))
    assert {arm: judge(arm, path, expected)[0] for arm in OURS} == {
        arm: "error" if arm in VERIFIED else "wrong" for arm in OURS
    }
    os.truncate(path, 100)
    assert {judge(arm, path, expected)[0] for arm in OURS} == {"error"}


def crash():
    os.kill(os.getpid(), 11)
    return ""


def hang():
    time.sleep(60)
    return ""


def grow():
    return str(np.ones(600 * 2**20, np.uint8).sum())


def exhaust():
    return str(np.ones(2**34, np.uint8).sum())


@pytest.mark.parametrize(
    ("work", "problem", "words"),
    [(crash, "crash", "SIGSEGV"), (hang, "hang", ""), (exhaust, "crash", "status 1"), (lambda: "ok", "", "")],
    ids=["crash", "hang", "no memory", "none"],
)
@pytest.mark.timeout(30)
def test_children_are_limited(work, problem, words):
    ended = run_limited(work, limit_s=1.0)
    assert (ended.problem, ended.words) == (problem, words)
    assert ended.text == ("" if problem else "ok")


def test_memory_of_children_is_measured():
    assert run_limited(lambda: "", limit_s=30).grown_bytes < 50 * 2**20
    assert run_limited(grow, limit_s=30).grown_bytes > 300 * 2**20
