"""Keyed permutations: bijective, uniform, cheap, and stable between versions."""

import itertools
import pickle
import tracemalloc

import numpy as np
import pytest

from h5lightning.core.permutation import (
    KeyDeriver,
    KeyedPermutation,
    KeyedPermutations,
    derive_key,
    derive_keys,
)

MAX_KEY = 2**64 - 1

# Splits, orders and checkpoints depend on these values: they never change.
GOLDEN_KEYS = [
    ((), 13020603013274838756),
    (("",), 6670688381248633501),
    ((0,), 206174973315766160),
    (("0",), 7082172605157053174),
    ((1,), 5362511624446944392),
    (("1",), 2867679177383346259),
    ((-1,), 16906634364353448357),
    ((2**64,), 15995498501664627937),
    (("ä",), 2685859442854579581),
    (("split", 0), 7815975771560551758),
    ((0, "split"), 7003158651375137399),
    (("order", 7, 3), 9607211685560650223),
]
GOLDEN_IMAGES = [
    (1, 0, [0], [0]),
    (2, 0, [0, 1], [1, 0]),
    (2, 1, [0, 1], [0, 1]),
    (10, 0, range(10), [9, 0, 5, 8, 1, 3, 4, 7, 2, 6]),
    (10, 1, range(10), [4, 5, 6, 2, 3, 8, 7, 9, 1, 0]),
    (1000, 0, [0, 199, 399, 599, 799, 999], [748, 280, 676, 203, 196, 995]),
    (1000, 12345, [0, 199, 399, 599, 799, 999], [942, 9, 875, 209, 546, 50]),
    (10**9, 0, [0, 399999999, 799999999, 999999999], [79265124, 386696882, 278792485, 832159747]),
    (10**9, MAX_KEY, [0, 399999999, 799999999, 999999999], [7792920, 566190612, 758757368, 840282724]),
]


def images(size, key):
    return KeyedPermutation(size, key)(np.arange(size)).tolist()


def chi_square(counts):
    expected = np.mean(counts)
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("parts", "key"), GOLDEN_KEYS, ids=[repr(parts) for parts, _ in GOLDEN_KEYS])
def test_keys_stay_what_they_are(parts, key):
    assert derive_key(*parts) == key
    for count in range(len(parts) + 1):
        keys = KeyDeriver(*parts[:count])
        assert [keys(*parts[count:]) for _ in range(2)] == [key] * 2


@pytest.mark.parametrize(
    ("one", "other"),
    [((1,), ("1",)), (("a", 1), (1, "a")), (("ab", "c"), ("a", "bc")), ((1, 2), (12,)), ((0,), (0, 0))],
    ids=["type", "order", "border", "digits", "number of parts"],
)
def test_keys_tell_parts_apart(one, other):
    assert derive_key(*one) != derive_key(*other)


@pytest.mark.parametrize("seed", [np.int64(7), np.uint8(7)], ids=["int64", "uint8"])
def test_a_numpy_integer_gives_the_key_of_its_value(seed):
    assert derive_key("order", seed) == derive_key("order", 7)


@pytest.mark.parametrize("part", [1.0, None, ("a",)], ids=repr)
def test_keys_of_other_types_are_refused(part):
    with pytest.raises(TypeError):
        derive_key(part)


# ── permutations ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "key", "positions", "expected"),
    GOLDEN_IMAGES,
    ids=[f"size {size}, key {key}" for size, key, *_ in GOLDEN_IMAGES],
)
def test_permutations_stay_what_they_are(size, key, positions, expected):
    assert KeyedPermutation(size, key)(np.asarray(positions)).tolist() == expected


def test_is_a_bijection_at_every_small_size():
    broken = [size for size in range(301) if sorted(images(size, key=size)) != list(range(size))]
    assert broken == []


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 100_003], ids=str)
def test_is_a_bijection_at_larger_sizes(size):
    found = KeyedPermutation(size, 3)(np.arange(size))
    assert np.array_equal(np.sort(found), np.arange(size))


# The bounds are the 99.9 % quantiles of chi-square with n! - 1 degrees of freedom.
@pytest.mark.parametrize(
    ("size", "keys", "bound"), [(3, 600, 20.5), (4, 720, 49.7), (5, 960, 173.6)], ids=["3", "4", "5"]
)
def test_all_permutations_of_few_positions_are_equally_likely(size, keys, bound):
    counts = dict.fromkeys(itertools.permutations(range(size)), 0)
    for key in range(keys):
        counts[tuple(images(size, key))] += 1
    assert chi_square(list(counts.values())) < bound


def test_the_uniformity_test_can_fail():
    only_rotations = [200 if rank % 2 else 0 for rank in range(6)]
    assert chi_square(only_rotations) > 20.5


def test_a_position_goes_anywhere():
    found = [int(KeyedPermutation(1000, key)(key % 7)) for key in range(1000)]
    assert chi_square(np.histogram(found, bins=20, range=(0, 1000))[0]) < 43.8  # 99.9 %, 19 degrees


def test_neighbours_do_not_stay_neighbours():
    steps = np.diff(KeyedPermutation(100_000, 5)(np.arange(100_000)))
    assert abs(np.corrcoef(steps[:-1], steps[1:])[0, 1] + 0.5) < 0.02  # -1/2 for independent positions
    assert (np.abs(steps) == 1).mean() < 1e-4


def test_keys_give_different_permutations():
    assert len({tuple(images(20, key)) for key in (0, 1, 2, 2**32, MAX_KEY)}) == 5


def test_an_image_does_not_depend_on_its_company():
    order = KeyedPermutation(1000, 9)
    whole = order(np.arange(1000))
    assert order(np.arange(300, 310)).tolist() == whole[300:310].tolist()
    assert order([999, 0, 999]).tolist() == whole[[999, 0, 999]].tolist()


@pytest.mark.parametrize(
    "positions",
    [4, [], [[0, 1], [2, 3]], np.arange(10)[::-2], np.array([1, 2], dtype=np.uint8)],
    ids=["scalar", "empty", "matrix", "strided", "uint8"],
)
def test_keeps_the_shape_and_leaves_the_positions_alone(positions):
    before = np.array(positions)
    found = KeyedPermutation(10, 0)(positions)
    assert (found.shape, found.dtype) == (before.shape, np.int64)
    assert np.array_equal(positions, before)
    assert found.ravel().tolist() == [images(10, 0)[position] for position in before.ravel().astype(int)]


@pytest.mark.parametrize("size", [0, 5], ids=str)
@pytest.mark.parametrize("position", [-1, 5], ids=str)
def test_a_position_outside_is_refused(size, position):
    with pytest.raises(
        IndexError, match=rf"positions must lie in \[0, {size}\), found {position}\.\.{position}"
    ):
        KeyedPermutation(size, 0)([position])


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="size of at least 0, found -1"):
        KeyedPermutation(-1, 0)


def test_a_trillion_positions_take_no_memory():
    tracemalloc.start()
    try:
        found = KeyedPermutation(10**12, 1)(np.arange(10**12 - 1000, 10**12))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 200_000
    assert len(set(found.tolist())) == 1000
    assert found.max() > 0.99 * 10**12 > 10**10 > found.min() >= 0


def test_survives_a_pickle():
    order = KeyedPermutation(100, 8)
    copy = pickle.loads(pickle.dumps(order))
    assert (copy.size, copy.key) == (100, 8)
    assert np.array_equal(copy(np.arange(100)), order(np.arange(100)))


# ── many side by side ────────────────────────────────────────────────────────────────────────────────


def side_by_side(sizes, key=7):
    """The images of all positions of some permutations, one list for each."""
    sizes = np.asarray(sizes)
    which = np.repeat(np.arange(len(sizes)), sizes)
    positions = np.concatenate([np.arange(size) for size in sizes])
    found = KeyedPermutations(sizes, derive_keys(key, np.arange(len(sizes))))(which, positions)
    return [part.tolist() for part in np.split(found, np.cumsum(sizes)[:-1])]


# Orders depend on these values: they never change.
def test_keys_of_numbers_stay_what_they_are():
    assert derive_keys(0, np.arange(3)).tolist() == [
        16294208416658607535,
        7960286522194355700,
        487617019471545679,
    ]
    assert derive_keys(np.array([MAX_KEY, 5], dtype=np.uint64), 2**40).tolist() == [
        7550352060150933567,
        4200579470777321078,
    ]


def test_permutations_side_by_side_stay_what_they_are():
    assert side_by_side([1, 2, 3, 10]) == [[0], [1, 0], [1, 0, 2], [1, 0, 9, 2, 6, 7, 4, 8, 5, 3]]
    large = KeyedPermutations(np.array([10**9, 10**12]), derive_keys(7, np.arange(2)))
    assert large(np.array([0, 0, 1]), np.array([0, 10**9 - 1, 10**11])).tolist() == [
        112127783,
        814765600,
        449155049660,
    ]


def test_keys_of_numbers_differ():
    found = derive_keys(np.arange(100, dtype=np.uint64)[:, None], np.arange(100))
    assert np.unique(found).size == 100 * 100


def test_every_small_permutation_side_by_side_is_a_bijection():
    sizes = [*range(1, 301)]
    found = side_by_side(sizes)
    assert [sorted(images) for images in found] == [list(range(size)) for size in sizes]


def test_an_image_does_not_depend_on_other_permutations():
    keys = derive_keys(7, np.arange(2))
    alone = KeyedPermutations(np.array([50]), keys[1:])(np.zeros(50, dtype=np.int64), np.arange(50))
    assert side_by_side([1000, 50])[1] == alone.tolist()


def test_side_by_side_a_position_goes_anywhere():
    size, keys = 1000, 1000
    orders = KeyedPermutations(np.full(keys, size), derive_keys(1, np.arange(keys)))
    found = orders(np.arange(keys), np.arange(keys) % 7)
    assert chi_square(np.histogram(found, bins=20, range=(0, size))[0]) < 43.8  # 99.9 %, 19 degrees


def test_neighbours_in_a_permutation_of_many_do_not_stay_neighbours():
    steps = np.diff(side_by_side([5, 50_000])[1])
    assert abs(np.corrcoef(steps[:-1], steps[1:])[0, 1] + 0.5) < 0.02


def test_permutations_side_by_side_survive_a_pickle():
    orders = KeyedPermutations(np.array([30]), derive_keys(1, np.arange(1)))
    which, positions = np.zeros(30, dtype=np.int64), np.arange(30)
    assert np.array_equal(pickle.loads(pickle.dumps(orders))(which, positions), orders(which, positions))


# ── the inverse ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 2, 3, 63, 64, 65, 1000, 4097, 10**9, 2**62])
def test_images_lead_back_to_their_positions(size):
    permutation = KeyedPermutation(size, key=size % 5)
    positions = np.arange(0, size, max(1, size // 5000), dtype=np.int64)
    assert permutation.inverse(permutation(positions)).tolist() == positions.tolist()
    assert permutation(permutation.inverse(positions)).tolist() == positions.tolist()


def test_an_image_outside_is_an_index_error():
    with pytest.raises(IndexError, match=r"images must lie in \[0, 5\), found 0\.\.5"):
        KeyedPermutation(5, key=1).inverse([0, 5])
