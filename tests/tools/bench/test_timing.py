"""The clocks measure what they say; where time is asserted, it is that of a clock which only sleep moves."""

from itertools import chain, count, islice, repeat

import pytest
from clocks import Clock

from h5lightning.tools.bench.timing import (
    Candidate,
    Trial,
    run_trial,
    run_trials,
    whole_epochs,
)

BATCH = range(4)
CLOCK = Clock()
TICK_S = 1 / 64  # which a float holds exactly


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr("h5lightning.tools.bench.timing.time", CLOCK)


def slow(batches, seconds):
    for batch in batches:
        CLOCK.sleep(seconds)
        yield batch


def test_a_trial_consumes_all_batches():
    trial = run_trial(Candidate("a", lambda _: chain(repeat(BATCH, 5), [range(1)])), 0)
    assert (trial.samples, trial.first_samples, trial.was_cut) == (21, 4, False)
    assert 0 <= trial.first_s <= trial.total_s


def test_a_slow_trial_ends_at_the_limit_and_is_closed():
    closed = []

    def endless(_):
        try:
            yield from slow(repeat(BATCH), TICK_S)
        finally:
            closed.append(True)

    trial = run_trial(Candidate("a", endless), 0, limit_s=5 * TICK_S)
    assert (trial.samples, trial.first_samples) == (7 * 4, 4)
    assert (trial.first_s, trial.total_s) == (TICK_S, 7 * TICK_S)
    assert (trial.was_cut, closed) == (True, [True])


def test_rates_with_and_without_the_start():
    assert Trial(samples=100, first_samples=20, first_s=6, total_s=10).rate == 10
    assert Trial(samples=100, first_samples=20, first_s=6, total_s=10, counts_start=False).rate == 20
    assert Trial(samples=20, first_samples=20, first_s=2, total_s=2, counts_start=False).rate == 10


def test_candidates_take_turns_after_a_warm_up():
    log = []

    def logged(name):
        def batches(number):
            log.append((name, number))
            yield BATCH

        return Candidate(name, batches, prepare=lambda: log.append(name))

    done = []
    found = run_trials([logged("a"), logged("b")], rounds=2, limit_s=1, advance=done.append)
    assert log == [entry for number in range(3) for name in "ab" for entry in (name, (name, number))]
    assert {name: len(trials) for name, trials in found.items()} == {"a": 2, "b": 2}
    assert done == [1] * 6


def test_a_candidate_that_is_too_slow_has_one_trial():
    candidates = [
        Candidate("slow", lambda _: slow(repeat(BATCH, 3), TICK_S)),
        Candidate("quick", lambda _: [BATCH]),
    ]
    found = run_trials(candidates, rounds=3, limit_s=TICK_S / 4, patience_s=TICK_S * 3 / 4)
    assert {name: len(trials) for name, trials in found.items()} == {"slow": 1, "quick": 3}


@pytest.mark.parametrize(("least_s", "epochs"), [(0, [7]), (5 * TICK_S, [7, 8, 9])], ids=["one", "some"])
def test_epochs_are_whole(least_s, epochs):
    found = list(whole_epochs(lambda number: slow([number, number], TICK_S), 7, least_s))
    assert found == [number for number in epochs for _ in range(2)]


def test_epochs_that_are_left_early_are_closed():
    assert list(islice(whole_epochs(count, 3, 0), 2)) == [3, 4]
