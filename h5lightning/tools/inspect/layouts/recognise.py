"""Recognise the layout of files, and find the call that works for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.tools.inspect.layouts.call import Call
from h5lightning.tools.inspect.layouts.episodes import demonstrations, episode_files, replay_buffer
from h5lightning.tools.inspect.layouts.ragged_samples import bags, indexed_rows, molecules, slices_of_scans
from h5lightning.tools.inspect.layouts.recordings import matlab_columns, recordings
from h5lightning.tools.inspect.layouts.simulations import (
    frames_of_particles,
    the_well,
    trajectories,
    trajectory_groups,
)
from h5lightning.tools.inspect.layouts.stored_files import StoredFiles
from h5lightning.tools.inspect.layouts.volumes import labelled_volumes, segmented_volumes
from h5lightning.tools.overview.suggest import Suggestion, suggest_options

__all__ = ["LAYOUTS", "Layout", "recognise"]

# It looks at what files hold, and gives the calls for its layout, the best one first; none for other files.
Layout = Callable[[StoredFiles], Iterator[Call]]

# The first one that gives a call that works is printed. What says most about its files comes first.
LAYOUTS: tuple[Layout, ...] = (
    demonstrations,
    replay_buffer,
    episode_files,
    the_well,
    molecules,
    trajectory_groups,
    recordings,
    matlab_columns,
    trajectories,
    slices_of_scans,
    bags,
    indexed_rows,
    frames_of_particles,
    segmented_volumes,
    labelled_volumes,
)


def recognise(
    patterns: Sequence[str], catalog: Catalog, stored: StoredFiles
) -> tuple[Call, Suggestion] | None:
    """The call for the layout of these files, and its arguments, which were planned; None if none is recognised."""
    if not len(catalog):
        return None
    calls = (call for layout in LAYOUTS for call in layout(stored) if _is_safe(call))
    found = ((call, suggest_options(patterns, catalog, **call.options())) for call in calls)
    return next(((call, options) for call, options in found if options is not None), None)


def _is_safe(call: Call) -> bool:
    """Whether a configuration can hold the names beside those of fields; Hydra would replace some of them."""
    given = call.split.given if call.split else None
    names = [
        *(call.series.tables if call.series else ()),
        *(given.values() if isinstance(given, dict) else ()),
    ]
    names += [field.index for field in call.fields.values() if field.index]
    return not any("${" in name or name.endswith("???") for name in names)
