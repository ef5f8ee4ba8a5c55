"""Which files are taken for copies, and how little is read to find out."""

import os

import pytest

from h5lightning.storage.discovery import same_files as module
from h5lightning.storage.discovery.same_files import identical_files

SIZE = 200_000
TRAIN, VAL, BOTH = frozenset(["train"]), frozenset(["val"]), frozenset(["train", "val"])


@pytest.fixture
def groups(tmp_path):
    """Writes the contents, and returns which files are taken for copies."""

    def find(contents, owners):
        paths = [str(tmp_path / str(number)) for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            if content is not None:
                with open(path, "wb") as file:
                    file.write(content)
        sizes = [SIZE if content is None else len(content) for content in contents]
        return identical_files(paths, sizes, owners)

    return find


def content(seed, size=SIZE):
    return bytes([seed]) * size


@pytest.mark.parametrize(
    ("owners", "expected"),
    [((TRAIN, VAL), [[0, 1]]), ((TRAIN, TRAIN), []), ((BOTH, BOTH), [[0, 1]]), ((TRAIN, BOTH), [[0, 1]])],
    ids=["different", "same", "both in both", "one in both"],
)
def test_copies_count_where_several_splits_hold_them(groups, owners, expected):
    assert groups([content(1), content(1)], owners) == expected


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_files_that_differ_in_one_of_the_blocks_are_no_copies(groups, fraction):
    changed = bytearray(content(1))
    changed[int(fraction * (SIZE - 4096))] ^= 1
    assert groups([content(1), bytes(changed)], [TRAIN, VAL]) == []


@pytest.mark.parametrize("size", [1, 100, 4096, 5000], ids=str)
def test_small_files_are_compared_as_a_whole(groups, size):
    assert groups([content(1, size), content(1, size), content(2, size)], [TRAIN, VAL, VAL]) == [[0, 1]]


def test_a_file_that_vanished_is_like_no_other(groups):
    assert groups([None, None, content(1), content(1)], [TRAIN, VAL, TRAIN, VAL]) == [[2, 3]]


def test_only_files_of_equal_size_are_opened_and_different_ones_once(groups, monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr(module.os, "open", lambda path, flags: opened.append(path[-1]) or real(path, flags))
    contents = [content(1), content(2), content(3), content(1, SIZE + 1), content(4, 50)]
    assert groups(contents, [TRAIN, VAL, VAL, VAL, TRAIN]) == []
    assert sorted(opened) == ["0", "1", "2"]
