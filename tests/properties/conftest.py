"""Settings of Hypothesis for all property tests."""

from hypothesis import settings

# A busy machine is no failure: pytest-timeout guards against what hangs.
settings.register_profile("h5lightning", deadline=None)
settings.load_profile("h5lightning")
