"""What a checkpoint says of a run, whether this run may continue it, and which seed counts then."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeGuard

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from h5lightning.core.visible import visible
from h5lightning.errors import OptionError, ResumeError, SplitMismatchError
from h5lightning.options import Normalize
from h5lightning.options.checks import check_int, to_plain
from h5lightning.options.where import Where
from h5lightning.planning.file_runs import RunReach
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.reach import WholeReach
from h5lightning.planning.sampling.training_progress import TrainingProgress
from h5lightning.planning.splitting.manifest import describe_difference
from h5lightning.planning.splitting.split_plan import SplitPlan

__all__ = [
    "RunRecord",
    "RunSeed",
    "SavedRun",
    "check_same_data",
    "differences_between_runs",
    "recorded_lines",
    "recorded_reach",
    "recorded_where",
]

_VERSION = 2
_LATER = ("reach", "lines", "where", "normalize", "classes")  # came in a later version
_VARIABLE = "PL_GLOBAL_SEED"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the training samples and their order depend on, in plain types; ``...`` where a checkpoint does not say."""

    seed: int
    samples: Any  # a mapping
    shuffle: Any  # a mapping
    order: Any  # the text of its fingerprint
    split: Mapping[str, Any]  # as `to_plain_split` packs it
    reach: Any = (
        ...
    )  # rows that samples need before and after their first one; ``...`` if only ``samples`` says it
    lines: Any = ...  # a digest of the first rows of series that lines of a table make; ``...`` if none do
    where: Any = ...  # the conditions of rows, and which rows they leave out; ``...`` without conditions
    normalize: Any = ...  # key → how the field is normalised, with its statistics; ``...`` if none is
    classes: Any = ...  # key → the names of its categories; ``...`` if no field has some

    def to_state(self, position: TrainingProgress) -> dict[str, Any]:
        """The state of a DataModule, for a checkpoint."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        # What does not apply is left out, as earlier versions did.
        said = {name: value for name, value in record.items() if value is not ... or name not in _LATER}
        return {"version": _VERSION, "position": position.to_plain(), **said}


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The state that a DataModule loaded, and where training continues; None if it does not."""

    record: RunRecord
    position: TrainingProgress | None
    is_own: bool  # no Trainer loaded it, so that its seed stays after the next fit has begun

    @classmethod
    def of_state(cls, state: object, *, continues: bool, is_own: bool) -> SavedRun:
        """Read a state that `RunRecord.to_state` made; its position only if training ``continues`` there.

        Raises:
            ResumeError: it is something else.
        """
        if not state:
            raise ResumeError(
                "the state is empty, because it was taken before setup(): nothing can continue from it"
            )
        if not _is_state(state):
            raise ResumeError(
                f"this is not the state of an H5DataModule: found {_described(state)}, expected what dm.state_dict() "
                "returns. The state of a loader is loaded with loader.load_state_dict()"
            )
        values: dict[str, Any] = {item.name: state.get(item.name, ...) for item in fields(RunRecord)}
        values["seed"] = to_plain(values["seed"])
        position = TrainingProgress.of_plain(state["position"]) if continues and "position" in state else None
        return cls(RunRecord(**values), position, is_own)

    def position_in(self, record: RunRecord, *, on_other_data: str) -> TrainingProgress | None:
        """Where training continues in a run with this record; None where it does not; see `check_same_data`."""
        differences = differences_between_runs(self.record, record)
        is_training = self.position is not None
        if not is_training and self.record.normalize is ...:
            differences.pop("normalize", None)  # it may have been normalised in another way
        check_same_data(differences, is_training=is_training, on_other_data=on_other_data)
        return self.position.restarted() if self.position is not None and differences else self.position


def _is_state(state: object) -> TypeGuard[Mapping[str, Any]]:
    if not isinstance(state, Mapping):
        return False
    return isinstance(to_plain(state.get("seed")), int) and isinstance(state.get("split"), Mapping)


def _described(state: object) -> str:
    if not isinstance(state, Mapping) or not state.keys() >= {"seed", "split"}:
        return str(state)[:80]
    return f"seed={state['seed']!r} and a split of type {type(state['split']).__name__}"


def differences_between_runs(saved: RunRecord, current: RunRecord) -> dict[str, str]:
    """Name → text, for everything in which the current run differs from the saved one."""
    differences = {"split": describe_difference(saved.split, current.split)}
    for name in ("seed", "samples", "shuffle"):
        before, now = getattr(saved, name), getattr(current, name)
        if before is not ... and before != now:
            differences[name] = f"{name} was {before!r}, is {now!r}"
    if saved.reach != current.reach:
        before, now = _reach_text(saved.reach), _reach_text(current.reach)
        differences["steps"] = f"the steps of the fields needed {before}, now they need {now}"
    if saved.lines != current.lines:
        differences["lines"] = "lines of the table say other rows of the files"
    differences["where"] = _where_difference(saved.where, current.where)
    differences["normalize"] = _normalize_difference(saved.normalize, current.normalize)
    explained = {name: text for name, text in differences.items() if text}
    if not explained and saved.order is not ... and saved.order != current.order:
        return {
            "order": "the order of samples differs: files were written again with other chunks or weights"
        }
    return explained


def recorded_reach(index: SampleIndex) -> Any:
    """The `RunRecord.reach` of a run: rows before and after the first one of a sample, if they move the samples."""
    reach: Any = index.reach
    if isinstance(reach, RunReach):
        reach = reach.of_run
    if isinstance(reach, WholeReach) or reach.pad is not None or reach.is_of(index.samples):
        return ...
    return [int(np.max(reach.before)), int(np.max(reach.after))]


def recorded_lines(index: SampleIndex, plan: SplitPlan) -> Any:
    """The `RunRecord.lines` of a run whose series are lines of a table: where these begin, in the files of a split."""
    series = np.flatnonzero(np.isin(index.series_file, plan.files))
    starts = np.zeros(0, np.int64) if index.series_start is None else index.series_start[series]
    return hashlib.blake2b(starts.astype("<i8").tobytes(), digest_size=16).hexdigest()


def _normalize_difference(saved: Any, current: Any) -> str:
    """What is normalised in another way; statistics may differ, and those of the checkpoint count."""
    before, now = (
        {} if one is ... else {key: {**how, "statistics": None, "shape": None} for key, how in one.items()}
        for one in (saved, current)
    )
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return "; ".join(
        f"{key!r} was {_normalize_text(before.get(key))}, and is {_normalize_text(now.get(key))}"
        for key in keys
    )


def _normalize_text(how: Mapping[str, Any] | None) -> str:
    if how is None:
        return "not normalised"
    return f"normalised by {Normalize(how['kind'], how['per'], how['where'])}"


def recorded_where(where: Where | None, index: SampleIndex) -> Any:
    """The `RunRecord.where` of a run."""
    if where is None or index.filter is None:
        return ...
    rows = index.filter.left_out
    digest = hashlib.blake2b(rows.to_bytes(), digest_size=16).hexdigest()
    return {"conditions": to_plain(where), "rows": len(rows), "digest": digest}


def _where_difference(before: Any, now: Any) -> str:
    if before == now:
        return ""
    conditions = [one.get("conditions") if isinstance(one, Mapping) else None for one in (before, now)]
    if conditions[0] != conditions[1] or not isinstance(before, Mapping):
        return f"where was {conditions[0]!r}, is {conditions[1]!r}"
    return (
        f"where={conditions[1]!r} left out {before.get('rows')} rows, and now leaves out {now.get('rows')} "
        "others: values have changed"
    )


def _reach_text(reach: Any) -> str:
    if reach is ...:
        return "the rows of the window"
    return f"{reach[0]} rows before and {reach[1]} after the first row" if _is_reach(reach) else repr(reach)


def _is_reach(reach: object) -> bool:
    return isinstance(reach, list) and len(reach) == 2


def check_same_data(differences: Mapping[str, str], *, is_training: bool, on_other_data: str) -> None:
    """Raise or warn where a checkpoint was made with other data; an evaluation only warns of another split.

    Raises:
        SplitMismatchError: training would continue with another split.
        ResumeError: training would continue in another order; or the model was trained with numbers that were
            normalised in another way.
    """
    if not is_training:
        if "normalize" in differences:
            raise ResumeError(
                f"the checkpoint was trained with numbers that were normalised in another way: field "
                f"{differences['normalize']}. Use the same normalize= as that run"
            )
        if "split" in differences:
            rank_zero_warn(visible(f"the checkpoint was trained with another split: {differences['split']}"))
        return
    if not differences:
        return
    what = "; ".join(differences.values())
    if on_other_data == "restart_epoch":
        rank_zero_warn(
            visible(f"training continues with other data, from the beginning of the epoch: {what}")
        )
        return
    advice = "To continue all the same, from the beginning of the epoch, set on_other_data='restart_epoch'"
    if "split" in differences:
        raise SplitMismatchError(
            f"the checkpoint was trained with another split: {what}. Use the files and options of that run, or keep "
            f"its split: dm.save_split(path) there, Split(manifest=path, on_new='train') here. {advice}"
        )
    raise ResumeError(
        f"the checkpoint was trained in another order: {what}. Use the options of that run. {advice}"
    )


class RunSeed:
    """The seed of a run: the one given, else that of a checkpoint, else that of `seed_everything`."""

    def __init__(self, given: int | None) -> None:
        self._is_given = given is not None
        self._own = given
        self._of_checkpoint: int | None = None  # until the next fit

    @property
    def value(self) -> int:
        """The seed that counts now."""
        if self._of_checkpoint is not None:
            return self._of_checkpoint
        if self._own is None:
            self._own = _seed_of_environment()
        return self._own

    def keep(self, seed: int) -> None:
        """Use the seed of rank 0 from now on."""
        self._own = seed

    def take_over(self, seed: int, *, is_kept: bool) -> bool:
        """Use the seed of a checkpoint, for good or until the next fit; whether that is another one."""
        if self._is_given or seed == self.value:
            return False
        if is_kept:
            self._own = seed
        else:
            self._of_checkpoint = seed
        return True

    def begin_fit(self) -> bool:
        """Drop the seed of a checkpoint that an earlier fit resumed; whether there was one."""
        had_one, self._of_checkpoint = self._of_checkpoint is not None, None
        return had_one


def _seed_of_environment() -> int:
    text = os.environ.get(_VARIABLE, "0")
    if not (text.isascii() and text.isdigit()):
        raise OptionError(
            f"the environment variable {_VARIABLE} must be an integer of at least 0, found {text!r}: unset it, set it "
            "with seed_everything(), or give seed="
        )
    check_int(_VARIABLE, int(text), at_least=0)
    return int(text)
