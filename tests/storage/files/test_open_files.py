"""Open files of a process: how many there may be, and what happens when the system has no more."""

import os

import h5py
import numpy as np
import pytest

from h5lightning.errors import ResourceError
from h5lightning.options import Access
from h5lightning.storage.files.handle_pool import HandlePool
from h5lightning.storage.files.open_files import default_budget


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{number}.h5") for number in range(6)]
    for number, name in enumerate(names):
        with h5py.File(name, "w") as file:
            file["x"] = np.full(10, number)
    return names


@pytest.mark.parametrize(
    ("processes", "expected"), [(1, 512), (4, 128), (100, 8)], ids=["one", "some", "many"]
)
def test_the_budget_is_shared_by_the_processes(processes, expected, few_descriptors):
    few_descriptors(3000)
    assert default_budget(processes) == expected


@pytest.mark.parametrize(("free", "expected"), [(201, 100), (4, 8)], ids=["half", "at-least"])
def test_the_budget_leaves_half_of_the_descriptors(free, expected, few_descriptors):
    few_descriptors(len(os.listdir("/dev/fd")) + free)
    assert default_budget() == expected


def test_no_descriptor_left_is_no_reason_to_fail(few_descriptors):
    few_descriptors(3)
    assert default_budget() == 8


def lowest_free():
    """The number of the next descriptor: no file can be opened where it is the limit."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_a_process_that_runs_out_of_descriptors_gives_some_back(paths, few_descriptors):
    """Files that are not in use are closed, and fewer of them are held from then on."""
    with HandlePool(Access(max_open_files=len(paths))) as pool:
        for path in paths[:-1]:
            with pool.file(path):
                pass
        held = len(pool)
        few_descriptors(lowest_free())
        with pool.file(paths[-1]) as file:
            assert file
        assert len(pool) <= held // 2 + 1
        with pool.file(paths[0]) as file:
            assert file


def test_a_process_without_any_descriptor_to_give_back_says_so(paths, few_descriptors):
    with HandlePool(Access()) as pool, pool.file(paths[0]):
        few_descriptors(lowest_free())
        with pytest.raises(ResourceError, match="Too many open files"), pool.file(paths[1]):
            pass
