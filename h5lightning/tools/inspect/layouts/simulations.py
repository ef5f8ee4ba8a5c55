"""Simulations: trajectories along a leading axis or in groups, and frames of particles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from h5lightning.core.star_paths import split_at_star, starred_object
from h5lightning.options import Field, Rows, Series, Windows
from h5lightning.tools.inspect.layouts.call import Call
from h5lightning.tools.inspect.layouts.stored_files import StoredFiles
from h5lightning.tools.overview.dataset_paths import words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary
from h5lightning.tools.overview.infer_series import find_family
from h5lightning.tools.overview.row_axis import has_leading_series, is_of_the_well, names_time, time_axis

__all__ = ["frames_of_particles", "the_well", "trajectories", "trajectory_groups"]

_TIMES = 5  # of a window: the last one is predicted from those before it
_FRAMES = 10
_GRID = re.compile(r"(?:^|/)(?:grid/)?[xyz](?:-coordinate)?$")
_POSITIONS = re.compile(r"(?P<group>(?:^|.*/)particles/[^/]+/)position/value$")


def the_well(stored: StoredFiles) -> Iterator[Call]:
    """Fields of several tensor orders, with trajectories along axis 0 and time along axis 1."""
    fields = [array for array in stored.arrays if is_of_the_well(array.path) and stored.is_alike(array)]
    if not fields:
        return
    axes = min(len(field.schema.shape) for field in fields)
    alike = [field for field in fields if field.schema.shape[1:axes] == fields[0].schema.shape[1:axes]]
    joined = sorted(field.path for field in alike if len(field.schema.shape) <= axes + 1)
    reason = (
        "The Well: each entry of axis 0 of '/t0_fields', '/t1_fields' and '/t2_fields' is a trajectory, with time "
        "along axis 1"
    )
    for paths in ([joined] if len(joined) > 1 else []) + [[fields[0].path]]:
        yield _leading("trajectories of The Well", reason, paths, fields[0], stored)


def trajectories(stored: StoredFiles) -> Iterator[Call]:
    """A dataset with trajectories along axis 0, and a coordinate that says that time runs along axis 1."""
    x = stored.largest
    if x is None or not has_leading_series(x, stored.datasets) or not stored.is_alike(x):
        return
    found = time_axis(x, stored.datasets)
    if found is None or len(x.schema.shape) < 3:
        return
    reason = (
        f"Trajectories along axis 0 of '/{x.path}', with time along axis 1, as '/{found[1]}' says; PDEBench stores "
        "them so"
    )
    same = [one.path for one in stored.arrays if one.schema.shape == x.schema.shape and stored.is_alike(one)]
    for paths in ([sorted(same)] if len(same) > 1 else []) + [[x.path]]:
        yield _leading("trajectories", reason, paths, x, stored)


def trajectory_groups(stored: StoredFiles) -> Iterator[Call]:
    """One group for each trajectory, with values and the grid where they lie."""
    family = find_family(stored.datasets)
    if family is None:
        return
    x, group = family.members[0], starred_object(family.members[0].path)
    beside = {one.path: one for one in stored.datasets if one.is_pattern and one.path.startswith(f"{group}/")}
    times = [one for one in family.members if names_time(one.path) and len(one.schema.shape) == 1]
    grid = [path for path in sorted(beside) if _GRID.search(path) and len(beside[path].schema.shape) == 1]
    if not times or not grid or not split_at_star(x.path)[2] or not stored.is_alike(x):
        return
    windows = _windows(int(x.rows.min()))
    *_, time = family.fields([x, times[0]])
    yield Call(
        layout="trajectories",
        reason=f"Trajectories: each group '/{group}' is one, with a coordinate of time and a grid, as PDEBench writes "
        "them",
        fields={
            **_past_and_next(x.path, windows),
            "time": time,
            **{_key(path): Field(path, constant=True) for path in grid if stored.is_alike(beside[path])},
        },
        samples=windows,
    )


def frames_of_particles(stored: StoredFiles) -> Iterator[Call]:
    """Frames of particles with their steps (H5MD)."""
    matched = [(array, found) for array in stored.arrays if (found := _POSITIONS.search(array.path))]
    matched = [(array, found) for array, found in matched if len(array.schema.shape) == 3]
    if not matched or not any(
        path.path == f"{matched[0][1]['group']}position/step" for path in stored.datasets
    ):
        return
    positions, found = matched[0]
    paths = {name: stored.at(f"{found['group']}{name}/value") for name in ("position", "velocity", "force")}
    present = {
        name: one for name, one in paths.items() if one is not None and stored.equally_long(one, positions)
    }
    reason = f"Frames of particles: '/{positions.path}' with a step for each frame, as H5MD says"
    if stored.is_alike(positions):
        yield Call(
            layout="frames of particles",
            reason=reason,
            fields={name: Field(one.path) for name, one in present.items()},
            samples=Windows(min(_FRAMES, int(positions.rows.min()))),
        )
        return
    yield Call(
        layout="frames of particles",
        reason=f"{reason}. The number of particles differs between files",
        fields={name: Field(one.path, ragged="concat") for name, one in present.items()}
        | {"length": Field("length:position")},
        samples=Rows(),
    )


def _leading(layout: str, reason: str, paths: Sequence[str], x: DatasetSummary, stored: StoredFiles) -> Call:
    windows = _windows(x.schema.shape[1], axis=1)
    path = paths[0] if len(paths) == 1 else list(paths)
    return Call(
        layout=layout,
        reason=reason,
        fields=_past_and_next(path, windows) | _coordinates(x, stored),
        samples=windows,
        series=Series(axis=0),
    )


def _windows(times: int, axis: int = 0) -> Windows:
    return Windows(max(2, min(_TIMES, times)), axis=axis)


def _past_and_next(path: str | list[str], windows: Windows) -> dict[str, Field]:
    last = windows.rows - 1
    return {"x": Field(path, steps=(0, last)), "y": Field(path, steps=(last, last + 1))}


def _coordinates(x: DatasetSummary, stored: StoredFiles) -> dict[str, Field]:
    """The coordinate of time, shared by all trajectories, and the grid beside the values."""
    found = time_axis(x, stored.datasets)
    time = None if found is None else stored.at(found[1])
    fields = {}
    if time is not None and stored.is_alike(time):
        fields["time"] = Field(time.path, axis=0, extra_rows=int(time.rows.max()) - x.schema.shape[1])
    for array in stored.arrays:
        beside = array.path.rpartition("/")[0] == x.path.rpartition("/")[0] and "coordinate" in words_of(
            array.path
        )
        one_length = len(set(array.rows.tolist())) == 1
        if beside and _GRID.search(array.path) and len(array.schema.shape) == 1 and one_length:
            fields[_key(array.path)] = Field(array.path, constant=True)
    return fields


def _key(path: str) -> str:
    """``grid_x`` for ``0000/grid/x`` and for ``x-coordinate``."""
    return f"grid_{path.rpartition('/')[2][:1]}"
