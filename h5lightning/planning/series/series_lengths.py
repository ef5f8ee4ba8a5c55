"""Windows that no series is long enough for: an error before training starts."""

from __future__ import annotations

import numpy as np

from h5lightning.errors import OptionError
from h5lightning.options import Windows
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.reach import reach_text

__all__ = ["check_span"]


def check_span(index: SampleIndex) -> None:
    """Raise `OptionError` if windows are longer than every series, so that there is no sample; names the longest."""
    samples = index.samples
    if (
        not isinstance(samples, Windows)
        or samples.pad is not None
        or len(index)
        or not index.series_rows.any()
    ):
        return
    grid = index.grid
    if grid is not None and index.reach.counts(index.series_rows).any():
        unit = int(grid.lengths.prod(axis=1, dtype=np.float64).argmax())
        raise OptionError(
            f"samples: {samples!r} does not fit into any file or series; the largest one has {grid.text(unit)}: "
            f"{index.path(int(index.unit_files[unit]))}. Use smaller windows, or pad='edge'"
        )
    rows = index.series_rows if index.runs is None else index.runs.run_rows[index.runs.run]
    longest = int(rows.argmax())
    name = index.series_name(longest)
    series = f"series {name!r} of " if name else ""
    raise OptionError(
        f"samples: {reach_text(samples, index.reach)}, and the longest series has {rows[longest]} rows: "
        f"{series}{index.path(int(index.series_file[longest]))}. Use shorter windows, or pad='edge'"
    )
