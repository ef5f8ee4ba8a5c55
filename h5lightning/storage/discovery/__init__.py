"""Patterns → ordered, unique files: as text, on disk, each file once, all together."""

from h5lightning.storage.discovery.discover import Discovered, discover

__all__ = ["Discovered", "discover"]
