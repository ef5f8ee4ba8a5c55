"""The statistics that this process has read, so that none is read twice."""

from __future__ import annotations

from collections.abc import Mapping

from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.datamodule.setup import PreparedData
from h5lightning.loading.passes.read_statistics import read_statistics
from h5lightning.planning.statistics import FieldStatistics, StatisticsRequest

__all__ = ["FoundStatistics"]


class FoundStatistics:
    """Reads statistics of the train split, once for each field, split and list of categories.

    Args:
        options: how files are opened and read.
    """

    def __init__(self, options: DataModuleOptions) -> None:
        self._options = options
        self._found: dict[object, FieldStatistics] = {}

    def read(
        self, data: PreparedData, requests: Mapping[str, StatisticsRequest]
    ) -> dict[str, FieldStatistics]:
        """The statistics of some fields; see `read_statistics` for the errors."""
        spec, options = data.survey.fields.spec(), self._options
        names = {
            key: (data.plan.fingerprint, key, one, spec[key].classes if key in spec else None)
            for key, one in requests.items()
        }
        missing = {key: one for key, one in requests.items() if names[key] not in self._found}
        if missing:
            read = read_statistics(
                data.survey,
                data.plan,
                missing,
                access=options.access,
                reader=options.reader,
                index_dir=options.index_dir,
                threads=options.threads,
            )
            self._found |= {names[key]: one for key, one in read.items()}
        return {key: self._found[name] for key, name in names.items()}
