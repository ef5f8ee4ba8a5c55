"""Patterns → ordered, unique files: as text, on disk, each file once, all together."""

from h5lightning.discovery.discovering import Discovered, discover

__all__ = ["Discovered", "discover"]
