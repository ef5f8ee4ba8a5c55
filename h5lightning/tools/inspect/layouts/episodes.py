"""Episodes of agents: demonstrations in groups, replay buffers, and one file for each episode."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from h5lightning.core.star_paths import split_at_star, starred_object
from h5lightning.options import Field, Series, Split, Windows
from h5lightning.storage.scanning.series.name_roles import roles_of
from h5lightning.tools.inspect.layouts.call import Call, keyed
from h5lightning.tools.inspect.layouts.stored_files import StoredFiles, last_part
from h5lightning.tools.overview.dataset_paths import words_of
from h5lightning.tools.overview.dataset_summary import DatasetSummary
from h5lightning.tools.overview.infer_series import (
    ACTION_WORDS,
    OBSERVATION_WORDS,
    find_family,
    holds_actions,
    is_of_next_row,
    lists_of_series,
    series_in_rows,
)

__all__ = ["demonstrations", "episode_files", "replay_buffer"]

_STEPS = 16  # actions that are predicted together
_MOST_STEPS = 100  # where each file is an episode
_MOST_OBSERVATIONS = 4
_LATEST = (-1, 1)  # this observation, and the one before it
_FEWEST_EPISODES = 3
_PROGRAMS = {
    ("data", "demo_*"): "robomimic and LIBERO write",
    ("", "traj_*"): "ManiSkill writes",
    ("", "episode_*"): "Minari writes",
}


def demonstrations(stored: StoredFiles) -> Iterator[Call]:
    """One group for each episode, with observations and actions."""
    family = find_family(stored.datasets)
    actions = None if family is None else _actions(family.members)
    if family is None or actions is None or not split_at_star(actions.path)[2]:
        return
    members = [member for member in family.members if stored.is_alike(member) and member is not actions]
    chosen = _observations(members)
    if not chosen:
        return
    *observed, acted = family.fields([*chosen, actions])
    group = starred_object(actions.path)
    program = _PROGRAMS.get(split_at_star(group)[:2], "")
    call = Call(
        layout="demonstrations",
        reason=f"Demonstrations: each group '/{group}' is a series of observations and actions"
        + (f", as {program} them" if program else ""),
        fields=_sample(observed, acted),
        samples=Windows(_STEPS, pad="edge"),
    )
    if lists := lists_of_series(stored.datasets, stored.files):
        yield dataclasses.replace(call, split=Split(given=lists))
    yield call


def replay_buffer(stored: StoredFiles) -> Iterator[Call]:
    """All episodes one after the other, with a table or flags that divide the rows."""
    actions = _actions(stored.arrays)
    option = None if actions is None else series_in_rows(actions, stored.files)
    if actions is None or option is None:
        return
    beside = [
        array for array in stored.arrays if array is not actions and stored.equally_long(array, actions)
    ]
    chosen = _observations(
        [array for array in beside if len(array.schema.shape) > 1 and stored.is_alike(array)]
    )
    if not chosen:
        return
    names = " and ".join(f"'/{path}'" for path in _paths(option))
    says = "says" if len(_paths(option)) == 1 else "say"
    for series in (_with_all_flags(option, beside), option):
        yield Call(
            layout="a replay buffer",
            reason=f"A replay buffer: {names} {says} where the episodes in the rows of '/{actions.path}' end",
            fields=_sample(map(_field, chosen), _field(actions)),
            samples=Windows(_STEPS, pad="edge"),
            series=series,
        )


def episode_files(stored: StoredFiles) -> Iterator[Call]:
    """One file for each episode: actions, and a group of observations with as many rows."""
    actions = _actions(stored.arrays)
    if actions is None or stored.files < _FEWEST_EPISODES or actions.series or len(actions.schema.shape) != 2:
        return
    beside = [
        array
        for array in stored.arrays
        if OBSERVATION_WORDS & words_of(array.path.rpartition("/")[0])
        and stored.equally_long(array, actions)
        and stored.is_alike(array)
    ]
    if not beside or not stored.is_alike(actions):
        return
    call = Call(
        layout="episodes, one for each file",
        reason=f"Each file is an episode: '/{actions.path}' with a group of observations of as many steps, as ALOHA "
        "writes them",
        fields=_sample(map(_field, _observations(beside)), _field(actions), steps=(0, 1)),
        samples=Windows(max(1, min(_MOST_STEPS, int(actions.rows.min()))), pad="edge"),
    )
    if images := _cameras(stored, actions):
        fields = [*images, *map(_field, _observations(beside))][:_MOST_OBSERVATIONS]
        yield dataclasses.replace(call, fields=_sample(fields, _field(actions), steps=(0, 1)))
    yield call


def _cameras(stored: StoredFiles, actions: DatasetSummary) -> list[Field]:
    """Observations of bytes of variable length as images; whether they are some, their first rows say."""
    return [
        Field(encoded.path, decode="image")
        for encoded in stored.bytes_of_rows
        if OBSERVATION_WORDS & words_of(encoded.path.rpartition("/")[0])
        and stored.equally_long(encoded, actions)
    ]


def _actions(datasets: Iterable[DatasetSummary]) -> DatasetSummary | None:
    """The dataset of actions: the one that is named so, rather than one in a group of that name."""
    found = [one for one in datasets if holds_actions(one) and not is_of_next_row(one) and one.schema.shape]
    named = [one for one in found if last_part(one) <= ACTION_WORDS]
    return next(iter(named or found), None)


def _observations(datasets: Sequence[DatasetSummary]) -> list[DatasetSummary]:
    """The observations, the largest first; if no name says so, all arrays that may be some."""
    now = [one for one in datasets if not is_of_next_row(one) and not roles_of(one.path.rpartition("/")[2])]
    observed = [one for one in now if OBSERVATION_WORDS & words_of(one.path)]
    return (observed or [one for one in now if len(one.schema.shape) > 1])[:_MOST_OBSERVATIONS]


def _sample(observed: Iterable[Field], actions: Field, steps: tuple[int, int] = _LATEST) -> dict[str, Field]:
    """The latest observations, the actions that follow, and which of these lie beyond the episode."""
    latest = [dataclasses.replace(field, steps=steps) for field in observed]
    fields = keyed([*latest, actions])
    return {**fields, "is_pad": Field(f"pad:{list(fields)[-1]}")}


def _field(dataset: DatasetSummary) -> Field:
    return Field(dataset.path)


def _paths(series: Series) -> list[str]:
    return [text.partition("=")[2] for text in series.tables] or [series.runs or ""]


def _with_all_flags(series: Series, beside: Iterable[DatasetSummary]) -> Series:
    """The option with all flags of last rows: one that is false in all rows today may be true in other files."""
    if not series.flags:
        return series
    flags = {one.path for one in beside if "flags" in roles_of(one.path.rpartition("/")[2])}
    return Series(flags=sorted(flags | set(series.flags)))
