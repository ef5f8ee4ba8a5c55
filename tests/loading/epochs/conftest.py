"""DataModules over three small files."""

from __future__ import annotations

import pytest
from passes import epoch_of, noise

from h5lightning import H5DataModule

LENGTHS = (8, 8, 9)


@pytest.fixture
def make(write_files):
    files, made = write_files(LENGTHS), []

    def setup(**options) -> H5DataModule:
        options = {"batch_size": 2, "provenance": True, "split": {"val": 0, "test": 0}, **options}
        dm = H5DataModule(files, ["x"], **options)
        made.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    yield setup
    for dm in made:
        dm.teardown()


@pytest.fixture
def reference(make) -> list:
    """The first epochs."""
    loader = make(transform=noise).train_dataloader()
    return [epoch_of(loader) for _ in range(4)]
