"""The cache of constants: one array for each key, within its bound, for any number of threads."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

from h5lightning.loading.fields.constant_cache import ConstantCache


def make(number, made):
    made.append(number)
    return np.full(100, number, np.uint8)


def test_an_array_is_made_once_while_it_fits():
    cache, made = ConstantCache(300), []
    for number in (1, 2, 3, 1, 2, 3):
        assert cache.get(number, lambda number=number: make(number, made))[0] == number
    assert made == [1, 2, 3]


def test_the_least_recently_used_goes_first():
    cache, made = ConstantCache(200), []
    for number in (1, 2, 1, 3, 1, 2):
        cache.get(number, lambda number=number: make(number, made))
    assert made == [1, 2, 3, 2]


def test_one_array_may_be_larger_than_the_bound():
    cache, made = ConstantCache(1), []
    for number in (1, 1, 2, 2, 1):
        cache.get(number, lambda number=number: make(number, made))
    assert made == [1, 2, 1]


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["copy", "deep", "pickle"],
)
def test_a_copy_is_empty_and_has_the_same_bound(copied):
    made, cache = [], ConstantCache(100)
    cache.get(1, lambda: make(1, made))
    other = copied(cache)
    for number in (1, 2, 1):
        other.get(number, lambda number=number: make(number, made))
    assert made == [1, 1, 2, 1]


@pytest.mark.timeout(60)
def test_threads_get_the_array_of_their_key():
    cache, wrong, start = ConstantCache(500), [], threading.Barrier(4)

    def work(seed):
        start.wait(30)
        numbers = np.random.default_rng(seed).integers(0, 9, 500).tolist()
        got = [cache.get(number, lambda number=number: make(number, []))[0] for number in numbers]
        wrong.extend(number for number, first in zip(numbers, got, strict=True) if number != first)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
