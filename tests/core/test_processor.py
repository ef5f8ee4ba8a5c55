"""Cores are those that this process may use, not those of the machine."""

import os
import subprocess
import sys

import pytest

from h5lightning.core.processor import usable_cores

pytestmark = pytest.mark.timeout(60)


def test_at_most_those_of_the_machine():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_job_of_one_core_reads_with_one_thread():
    code = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from h5lightning.core.processor import usable_cores
from h5lightning.loading.loader import default_threads
print(usable_cores(), default_threads())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"]
