"""What is computed of which fields, and which fields are read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from h5lightning.errors import FieldError, MissingFieldError, OptionError
from h5lightning.options.checks import did_you_mean
from h5lightning.planning.fields import FieldPlan, PaddingField, single_plans
from h5lightning.planning.passes.rows_of_field import is_by_entry, is_by_row, row_shape_of, same_values
from h5lightning.planning.ragged_fields import DerivedField
from h5lightning.planning.statistics import StatisticsRequest
from h5lightning.planning.summaries.channels import channel_shape
from h5lightning.planning.summaries.field_summary import SummaryForm
from h5lightning.planning.summaries.quantile_summary import MOST_CHANNELS

__all__ = ["Computation", "grouped", "planned_computations"]


@dataclass(frozen=True, slots=True, eq=False)
class Computation:
    """Statistics of one field.

    Args:
        plan: the field.
        mask: the field that says which elements count; None for all.
        per: see `Normalize`.
        channels: the shape of the statistics.
        form: what is computed.
        identity: equal for computations with equal results.
    """

    plan: FieldPlan
    mask: FieldPlan | None
    per: str
    channels: tuple[int, ...]
    form: SummaryForm
    identity: tuple[object, ...]

    @property
    def fields(self) -> tuple[FieldPlan, ...]:
        """The fields that it reads."""
        return (self.plan,) if self.mask is None else (self.plan, self.mask)


class _Members(NamedTuple):
    paths: set[tuple[str, bool]]
    computations: list[Computation]


def planned_computations(
    plans: Sequence[FieldPlan], requests: Mapping[str, StatisticsRequest]
) -> dict[str, Computation]:
    """What is computed for each key; keys of equal fields share one computation.

    Raises:
        MissingFieldError: there is no such field.
        FieldError: a field without numbers of its own, or without fixed channels.
        OptionError: quantiles of too many channels.
    """
    by_key = {plan.key: plan for plan in plans}
    found: dict[tuple[object, ...], Computation] = {}
    return {key: _computation(by_key, key, request, found) for key, request in requests.items()}


def _computation(
    plans: Mapping[str, FieldPlan],
    key: str,
    request: StatisticsRequest,
    found: dict[tuple[object, ...], Computation],
) -> Computation:
    plan = _plan(plans, key)
    mask = None if request.where is None else _plan(plans, request.where)
    asked = same_values(plan), None if mask is None else same_values(mask)
    identity = (*asked, request.per, bool(request.quantiles))
    if identity not in found:
        if mask is not None:
            _check_mask(plan, mask)
        shape = row_shape_of(plan)
        try:
            channels = channel_shape(shape, request.per)
        except ValueError:
            raise FieldError(
                f"{plan.title}: per={request.per!r} needs rows of one shape, and these have the shape {shape}: use "
                "per='last' or per='all'"
            ) from None
        count = 1
        for length in channels:
            count *= length
        if request.quantiles and count > MOST_CHANNELS:
            raise OptionError(
                f"{plan.title}: quantiles of {count} channels (per={request.per!r}) do not fit into 64 MiB, those of "
                f"{MOST_CHANNELS} do: use per='all', or 'standard' instead of 'quantile'"
            )
        classes = None if plan.spec.classes is None else len(plan.spec.classes)
        form = SummaryForm(count, classes, bool(request.quantiles))
        found[identity] = Computation(plan, mask, request.per, channels, form, identity)
    return found[identity]


def _plan(plans: Mapping[str, FieldPlan], key: str) -> FieldPlan:
    plan = plans.get(key)
    if plan is None:
        raise MissingFieldError(f"there is no field {key!r} for statistics{did_you_mean(key, plans)}")
    if isinstance(plan, (PaddingField, DerivedField)):
        raise FieldError(f"field {key!r} is made of another field, and has no statistics of its own")
    if plan.spec.dtype.startswith("complex"):
        raise FieldError(f"{plan.title} is {plan.spec.dtype}: complex numbers have no statistics")
    return plan


def _check_mask(plan: FieldPlan, mask: FieldPlan) -> None:
    """Raise `FieldError` unless the mask says for each element of a row, or along its leading axes, what counts."""
    shape, own = row_shape_of(plan), row_shape_of(mask)
    fits = len(own) <= len(shape) and all(
        length is None or other is None or length == other for length, other in zip(own, shape, strict=False)
    )
    if not fits:
        raise FieldError(
            f"{plan.title} has rows of the shape {shape}, and where={mask.key!r} has {own}: it must have that shape, "
            "or that of the leading axes"
        )
    if is_by_row(mask) and (not is_by_row(plan) or is_by_entry(mask) != is_by_entry(plan)):
        raise FieldError(
            f"{plan.title} and where={mask.key!r} have no rows in common: both need rows of the same kind"
        )


def grouped(computations: Sequence[Computation]) -> list[tuple[Computation, ...]]:
    """The computations that read a dataset in common, such as columns of one table, as groups.

    Fields that are the same for many rows are in other groups than those with values for each row.
    """
    groups: list[_Members] = []
    for computation in computations:
        paths = {(part.path, is_by_row(computation.plan)) for part in single_plans(computation.fields)}
        merged = _Members(paths, [computation])
        others = []
        for group in groups:
            if group.paths & merged.paths:
                merged = _Members(group.paths | merged.paths, [*group.computations, *merged.computations])
            else:
                others.append(group)
        groups = [*others, merged]
    return [tuple(group.computations) for group in groups]
