"""Drawing by weight: samples come as often as their weights say, and each slot can be computed alone."""

import numpy as np
import pytest

from h5lightning.planning.sampling.weighted_draw import StratifiedSampler, class_weights

SEED = 3
RNG = np.random.default_rng(0)
WEIGHTS = {
    "equal": np.ones(50),
    "a tenth each": np.full(50, 0.1),
    "random": RNG.exponential(size=50),
    "mostly none": (np.arange(50) % 7 == 3).astype(float),
    "one heavy": np.where(np.arange(50) == 20, 400.0, 1.0),
    "one sample": np.ones(1),
    "none at the ends": np.array([0.0, 0, 1, 2, 0, 0]),
    "enormous": np.full(50, 1.7e308),
    "tiny": np.full(50, 1e-300),
}
each_weights = pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)


def counts(sampler, epoch):
    drawn = sampler.samples(epoch, np.arange(sampler.size))
    return np.bincount(drawn, minlength=sampler.size)


def chi_square(weights, epochs, drawn_by):
    """How far the samples of many epochs are from their weights; about its degrees of freedom or less."""
    sampler = StratifiedSampler.of(drawn_by, SEED)
    found = sum(counts(sampler, epoch) for epoch in range(epochs))
    expected = epochs * len(weights) * weights / weights.sum()
    return float(((found - expected) ** 2 / np.maximum(expected, 1e-9)).sum())


@each_weights
def test_a_sample_comes_as_often_as_its_weight_says(weights):
    scaled = weights / weights.max()
    expected = len(weights) * scaled / scaled.sum()
    for epoch in range(20):
        found = counts(StratifiedSampler.of(weights, SEED), epoch)
        # Its range begins in one stratum and ends in another one; those between are its own.
        assert np.all(np.abs(found - expected) < 2)
        assert not found[weights == 0].any()


@pytest.mark.parametrize("name", ["random", "one heavy", "mostly none"])
def test_over_many_epochs_samples_come_by_weight(name):
    weights = WEIGHTS[name]
    assert chi_square(weights, 10_000, drawn_by=weights) < 75


def test_the_test_of_frequencies_can_fail():
    weights = WEIGHTS["random"]
    assert chi_square(weights, 10_000, drawn_by=np.where(np.arange(50) == 7, weights * 1.2, weights)) > 100


def test_equal_weights_draw_each_sample_once():
    assert counts(StratifiedSampler.of(np.ones(1000), SEED), epoch=4).tolist() == [1] * 1000


def test_neighbours_draw_independently_of_each_other():
    """Two samples share each stratum: which of them comes is another coin for each slot, epoch and seed."""
    weights = np.append(np.ones(1990), np.full(10, 201.0))
    slots = np.arange(995)
    draws = [StratifiedSampler.of(weights, seed).samples(epoch, slots) for seed in (1, 2) for epoch in (0, 1)]
    assert all(np.array_equal(drawn // 2, slots) for drawn in draws)
    coins = np.stack(draws) % 2
    correlations = np.corrcoef(coins)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.1
    assert abs(np.corrcoef(coins[0][:-1], coins[0][1:])[0, 1]) < 0.1


@each_weights
def test_does_not_depend_on_how_it_is_asked_for(weights):
    sampler = StratifiedSampler.of(weights, SEED)
    whole = sampler.samples(2, np.arange(sampler.size))
    backward = np.arange(sampler.size)[::-1]
    assert np.array_equal(sampler.samples(2, backward), whole[::-1])
    assert sampler.samples(2, backward[:0]).tolist() == []
    assert not sampler.size > 1 or np.all(np.diff(whole) >= 0), "slots are in the order of the samples"


# Resuming an old run needs these values: they never change.
@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, [0, 3, 3, 3, 3, 6, 6, 8, 9, 9]), (1, [0, 1, 3, 3, 3, 6, 6, 7, 8, 9])],
    ids=["epoch 0", "epoch 1"],
)
def test_the_draw_stays_what_it_is(epoch, expected):
    sampler = StratifiedSampler.of(np.array([1.0, 0.5, 0.25, 4, 0, 0.125, 3, 1, 0.7, 2]), SEED)
    assert sampler.samples(epoch, np.arange(10)).tolist() == expected


@each_weights
def test_all_slots_are_before_the_end_and_none_before_the_beginning(weights):
    sampler = StratifiedSampler.of(weights, SEED)
    before = sampler.slots_before(np.arange(sampler.size + 1))
    assert (before[0], before[-1]) == (0, sampler.size)
    assert np.all(np.diff(before) >= 0)


@pytest.mark.parametrize(
    "weights",
    [[], [0.0, 0.0], [1.0, -0.5, 1.0], [-1.0, 2.0], [1.0, np.nan, 1.0], [np.nan, 1.0], [1.0, np.inf]],
    ids=["none", "all 0", "negative", "negative first", "nan", "nan first", "infinite"],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be"):
        StratifiedSampler.of(np.array(weights, dtype=np.float64), SEED)


@pytest.mark.parametrize(
    "labels",
    [np.array([3, 3, 7, 3]), np.array([True, True, False, True]), np.array([3, 3, 7, 3], dtype=np.uint64)],
    ids=["int", "bool", "uint64"],
)
def test_classes_weigh_the_same_in_sum(labels):
    assert class_weights(labels).tolist() == [1 / 3, 1 / 3, 1, 1 / 3]
