"""The collate function of loaders: samples that are read together → a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import get_worker_info

from h5lightning.errors import OptionError
from h5lightning.loading.sample_sequence import SampleSequence
from h5lightning.loading.worker_transfer import for_crossing

__all__ = ["Collate"]


class Collate:
    """Turns samples that are read together into a batch.

    Args:
        keys: deliver a tuple in their order; None for a dict.
    """

    def __init__(self, keys: Sequence[str] | None = None) -> None:
        self._keys = keys if keys is None else tuple(keys)

    def __call__(self, samples: SampleSequence) -> Any:
        """The batch of samples, read whole."""
        batch = self.deliver(samples.batch())
        return batch if get_worker_info() is None else for_crossing(batch)

    def deliver(self, batch: Any) -> Any:
        """A batch as it is delivered.

        Raises:
            OptionError: the batch lacks a key.
        """
        if self._keys is None:
            return batch if get_worker_info() is None else for_crossing(batch)
        if missing := [key for key in self._keys if key not in batch]:
            raise OptionError(f"as_tuple names {missing}, the batch holds {sorted(batch)}")
        return tuple(batch[key] for key in self._keys)
