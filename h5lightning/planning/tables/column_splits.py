"""What columns of a table say of splits: which split a series is in, and which series stay together."""

from __future__ import annotations

import numpy as np

from h5lightning.errors import SplitError
from h5lightning.options.checks import did_you_mean
from h5lightning.options.split import GIVEN_NAMES
from h5lightning.planning.splitting.given_split import GivenSeries
from h5lightning.planning.splitting.groups import Labels
from h5lightning.planning.splitting.split_plan import SPLITS
from h5lightning.planning.tables.match_series import SeriesLines

__all__ = ["column_labels", "given_by_column"]


def given_by_column(series: SeriesLines, name: str) -> GivenSeries:
    """The split of each series, as a column says; an empty cell puts it into none.

    Raises:
        SplitError: a line names no split.
    """
    lines = series.lines
    values, number_of = lines.columns[name].distinct
    names = [str(value).strip() for value in values]
    found = [SPLITS.index(GIVEN_NAMES[one]) if one in GIVEN_NAMES else -2 for one in names]
    split_of = np.asarray([*found, -1], np.int8)[number_of]
    bad = np.unique(series.line_of[(series.line_of >= 0) & (split_of[series.line_of] == -2)])
    if bad.size:
        line = int(bad[0])
        name_found = names[number_of[line]]
        more = f" (and {bad.size - 1:,} more lines)" if bad.size > 1 else ""
        raise SplitError(
            f"split.given='table:{name}': {lines.where(line)} has {name_found!r}{more}, which is no split"
            f"{did_you_mean(name_found, GIVEN_NAMES)}. An empty cell leaves out what its line speaks of"
        )
    given: GivenSeries = np.append(split_of, np.int8(-1))[series.line_of]
    return given


def column_labels(series: SeriesLines, name: str) -> Labels:
    """The text of a column for each series; None where its cell is empty, or where it has no line."""
    texts = [*series.lines.columns[name].texts, None]
    return tuple([texts[line] for line in series.line_of.tolist()])
