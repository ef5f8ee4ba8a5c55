"""DataModules that are torn down after a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from h5lightning import H5DataModule


@pytest.fixture
def make() -> Iterator[Callable[..., H5DataModule]]:
    """A function that makes DataModules and sets them up."""
    made = []

    def setup(files, **options) -> H5DataModule:
        options = {"fields": ["x", "y"], "batch_size": 7, "provenance": True} | options
        dm = H5DataModule(files, **options)
        made.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    yield setup
    for dm in made:
        dm.teardown()
