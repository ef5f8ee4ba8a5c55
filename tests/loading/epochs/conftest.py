"""DataModules over three small files."""

from __future__ import annotations

import pytest
from passes import epoch_of, noise

from h5lightning import H5DataModule

LENGTHS = (8, 8, 9)


@pytest.fixture
def make(write_files, ready):
    files = write_files(LENGTHS)
    usual = {"batch_size": 2, "provenance": True, "split": {"val": 0, "test": 0}}
    return lambda **options: ready(H5DataModule(files, ["x"], **(usual | options)))


@pytest.fixture
def reference(make) -> list:
    """The first epochs."""
    loader = make(transform=noise).train_dataloader()
    return [epoch_of(loader) for _ in range(4)]
