"""Finding the files that the user's patterns match: each file once, in an order that never varies."""

from h5lightning.storage.discovery.discover import Discovered, discover

__all__ = ["Discovered", "discover"]
