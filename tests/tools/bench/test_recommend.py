"""What is recommended for given figures."""

import pytest

from h5lightning.tools.bench.configurations import LoaderConfig
from h5lightning.tools.bench.recommend import Limit, Speed, recommend
from h5lightning.tools.bench.timing import Timing

BATCH = 100


def speed(name="base", rate=1000, span=50, waiting=None, was_cut=False, **options):
    spread = Timing(rate, rate - span, rate + span)
    return Speed(LoaderConfig(**options), name, spread, BATCH / rate, 0.1, waiting, was_cut)


def limit(rate):
    return Limit("decode once", Timing(rate, rate, rate))


def options_for(*speeds, mode="full", step_s=None):
    return recommend(speeds, mode=mode, limit=None, step_s=step_s).options


@pytest.mark.parametrize(
    ("rival", "options"),
    [
        (speed("w", 1500, num_workers=2), {"num_workers": 2}),
        (speed("t", 1500, threads=1), {"threads": 1}),
        (speed("h", 1500, reader="h5py"), {"reader": "h5py"}),
        (speed("w", 1060, 5, num_workers=2), {}),
        (speed("w", 1500, 600, num_workers=2), {}),
        (speed("n", 9000, shuffle="none"), {}),
        (speed("b", 9000, shuffle="block"), {}),
    ],
    ids=["workers", "threads", "h5py", "hardly faster", "not in each round", "no shuffle", "less shuffle"],
)
def test_only_what_is_clearly_faster_is_set(rival, options):
    assert options_for(speed(), rival) == options


def test_the_fastest_is_taken():
    rivals = speed("a", 2000, threads=1), speed("b", 3000, num_workers=2), speed("c", 2500, num_workers=4)
    found = recommend([speed(), *rivals], mode="full", limit=None)
    assert found.options == {"num_workers": 2}
    assert found.reasons[0] == "'b' is 3 times as fast as 'base'"
    assert (found.python, found.command) == ("num_workers=2", "data.num_workers=2")


def test_steps_that_do_not_wait_need_nothing_faster():
    base = speed(waiting=0.01)
    rival = speed("w", 5000, num_workers=2, waiting=0.0)
    assert options_for(base, rival, step_s=0.2) == {}
    assert options_for(speed(waiting=0.3), rival, step_s=0.07) == {"num_workers": 2}


@pytest.mark.parametrize(
    ("full", "mode", "options"),
    [
        (speed("full", 980, shuffle="full"), "block", {"shuffle": "full"}),
        (speed("full", 700, shuffle="full"), "block", {}),
        (speed("full", 700, shuffle="full", waiting=0.0), "block", {"shuffle": "full"}),
        (speed("full", 700, shuffle="full", waiting=0.3), "block", {}),
        (speed("full", 2000, shuffle="full"), "none", {}),
    ],
    ids=["as fast", "slower", "slower, not waited for", "slower, waited for", "no shuffle asked for"],
)
def test_a_complete_shuffle_is_taken_where_it_costs_nothing(full, mode, options):
    assert options_for(speed(), full, mode=mode) == options


def test_a_complete_shuffle_is_not_mixed_with_another_change():
    rivals = speed("full", 1000, shuffle="full"), speed("w", 2000, num_workers=2)
    assert options_for(speed(), *rivals, mode="block") == {"num_workers": 2}


def test_the_order_that_was_asked_for_is_kept():
    base, rival = speed(shuffle="full"), speed("w", 2000, shuffle="full", num_workers=2)
    found = recommend([base, rival], mode="full", limit=None)
    assert found.options == {"shuffle": "full", "num_workers": 2}
    assert found.python == 'shuffle="full", num_workers=2'


def test_an_epoch_that_was_not_read_to_its_end_says_nothing_in_block_order():
    rival = speed("w", 9000, num_workers=2)
    found = recommend([speed(was_cut=True), rival], mode="block", limit=limit(1))
    assert found.options == {}
    assert found.reasons == ("'base' had no time for a whole epoch: raise --seconds to compare",)
    assert options_for(speed(was_cut=True), rival, mode="full") == {"num_workers": 2}


def test_the_limit_is_reported():
    found = recommend([speed()], mode="full", limit=limit(1250))
    assert "It reaches 80 % of a limit of this machine: decode once" in found.reasons


@pytest.mark.parametrize(
    ("base", "step_s", "words"),
    [
        (speed(), None, "A training step of at least 0.1 s does not wait for it"),
        (speed(waiting=0.5), 0.05, "Training steps of 50 ms wait for 50 % of the time: a batch takes 0.1 s"),
        (speed(waiting=0.0), 0.2, "Nothing to change: 'base' keeps ahead of steps of 0.2 s"),
    ],
    ids=["no step", "waits", "does not wait"],
)
def test_steps(base, step_s, words):
    assert words in recommend([base], mode="full", limit=None, step_s=step_s).reasons


@pytest.mark.parametrize(("span", "is_reported"), [(240, False), (260, True)], ids=["quiet", "busy"])
def test_a_busy_machine_is_reported(span, is_reported):
    reasons = recommend([speed(span=span)], mode="full", limit=None).reasons
    assert any(reason.startswith("The rounds differ much") for reason in reasons) == is_reported
