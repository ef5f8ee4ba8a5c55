"""DataModules that are torn down after a test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from h5lightning import H5DataModule


@pytest.fixture
def make(ready) -> Callable[..., H5DataModule]:
    """A function that makes DataModules and sets them up."""
    usual = {"fields": ["x", "y"], "batch_size": 7, "provenance": True}
    return lambda files, **options: ready(H5DataModule(files, **(usual | options)))
