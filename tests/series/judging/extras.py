"""Draws options of values and rows: categories, conditions, groups of rows, and what is normalised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from judging.adding import TEXTS, Added
from judging.drawing import Drawn, Draws
from judging.options import Case
from judging.tabling import draw_table

__all__ = ["draw_extras"]

_SPLITS = ("by ", "given", "keep_together")  # features of splits, which others replace


def draw_extras(draws: Draws, drawn: Drawn, case: Case) -> Case:
    """The case with options of its topic, and some of others."""
    topic = drawn.topic
    added = Added(draws, drawn, _calm(case))
    changes: dict[str, Any] = {}
    if topic == "categories" or draws.chance(3):
        _add_categories(added)
    if topic == "tables":
        changes |= draw_table(added)
    has_extra = any(column.extra for column in drawn.columns.values())
    if not has_extra and (topic == "sets" or draws.chance(4)):
        changes["where"] = _draw_where(added) if topic != "sets" or draws.chance(2) else None
    if topic == "sets" and drawn.style != "whole" and not (changes.get("where") and draws.chance(2)):
        changes["split"] = _draw_groups(added)
    if topic == "normalised" or draws.chance(4):
        changes["normalize"] = _draw_normalize(added)
    changes = {name: value for name, value in changes.items() if value}
    changes = {"tree": added.tree, "fields": added.fields, **changes}
    features = [name for name in case.features if "split" not in changes or not name.startswith(_SPLITS)]
    return replace(
        added.case, **changes, features=(*features, *sorted(set(added.features)), f"topic: {topic}")
    )


def _calm(case: Case) -> Case:
    """The case without draws."""

    def calmed(samples: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in samples.items() if name not in ("jitter", "take")}

    samples = case.samples
    if samples and "train" in samples:
        samples = {stage: calmed(one) for stage, one in samples.items()}
    elif samples:
        samples = calmed(samples)
    return replace(case, samples=samples, transform=None if case.transform == "tell_row" else case.transform)


# ── categories ───────────────────────────────────────────────────────────────────────────────────────


def _add_categories(added: Added) -> None:
    """Fields with categories, of rows, attributes and constants."""
    draws = added.draws
    for _ in range(draws.number(1, 2)):
        form, values = added.draw_form(kinds=("text", "text", "text", "numbers", "bool"))
        column = added.labels(added.name("kind"), form, values)
        options = added.options(column) | added.member_of(form)
        added.fields[added.name("c")] = options | _draw_list(added, values)
        added.features.append(f"categories: {form}")
    if draws.chance(3):
        name, values = added.name("site"), draws.pick((TEXTS[:3], (4, 5, 9)))
        added.attribute(name, values)
        added.fields[added.name("c")] = {"attr": name} | _draw_list(added, values)
        added.features.append("categories: attribute")


def _draw_list(added: Added, values: tuple[Any, ...]) -> dict[str, Any]:
    """The categories of these values, and what others are."""
    draws, found = added.draws, dict[str, Any]()
    known = [value for value in values if value is not None]
    is_whole = all(type(value) in (str, int) for value in known)
    lacks = None in values
    if is_whole and draws.chance(2):
        other: Any = "never" if isinstance(known[0], str) else 1234
        chosen = draws.pick((known[::-1], [*known, other], [other, *known], known[1:] or known))
        found["categories"] = chosen
        lacks |= len(chosen) < len(known)
        added.features.append("categories: a list")
    else:
        found["categories"] = True
        added.features.append("categories: True")
    if (lacks and not draws.chance(3)) or draws.chance(4):
        found["unknown"] = draws.pick((-1, 99))
        added.features.append("unknown")
    if draws.chance(6):
        found["dtype"] = draws.pick(("int32", "int16"))
        added.features.append("categories with a type")
    return found


# ── conditions and groups ────────────────────────────────────────────────────────────────────────────


def _draw_where(added: Added) -> dict[str, Any]:
    """One or two conditions, each with a dataset or a field of its own."""
    draws, found = added.draws, dict[str, Any]()
    for kind in draws.pick(
        (("range",), ("finite",), ("set",), ("mask",), ("range", "set"), ("finite", "mask"))
    ):
        column, condition, more = _draw_condition(added, kind)
        is_field = column.own is not None or added.drawn.style == "whole" or draws.chance(2)
        if is_field:
            key = added.name("w")
            added.fields[key] = added.options(column) | more
            added.features.append("where: a field")
        else:
            key = column.path if not more.get("member") else f"{column.path}[{more['member']}]"
            added.features.append("where: a path")
        found[key] = condition
        added.features.append(f"where: {kind}")
    return found


def _draw_condition(added: Added, kind: str) -> tuple[Any, Any, dict[str, Any]]:
    draws = added.draws
    shape = draws.pick(((), (), (2,))) if added.drawn.layout.place != "second" else (2,)
    if kind == "mask":
        dtype = draws.pick(("|b1", "|u1"))
        return added.numbers(added.name("valid"), dtype, (1, 1, 1, 0), shape), True, {}
    if kind == "set":
        form, values = added.draw_form(may_lack=False)
        column = added.labels(added.name("kind"), form, values)
        more: dict[str, Any] = added.member_of(form)
        if form.partition(":")[0] != "numbers" or draws.chance(2):
            more["categories"] = True
        known = [value for value in values if value in added.used] or [values[0]]
        if draws.chance(12):
            known = [*known, values[-1]]
        return column, known[: draws.number(1, len(known))], more
    values = (1.0, 2.5, 4.0, -3.0)
    if kind == "finite":
        dtype = draws.pick(("<f4", "<f8", "<f2"))
        bad = draws.pick((float("nan"), float("inf"), float("-inf")))
        return added.numbers(added.name("energy"), dtype, (*values, bad), shape), "finite", {}
    bounds = draws.pick(((None, 3.0), (2.5, None), (-3.0, 4.0), (1.0, 10.0)))
    dtype = draws.pick(("<f4", ">f8", "<i2"))
    values = (1, 2, 4, -3) if dtype == "<i2" else values
    return added.numbers(added.name("energy"), dtype, values, shape), bounds, {}


def _draw_groups(added: Added) -> dict[str, Any]:
    """What keeps rows of one value together."""
    draws = added.draws
    form, values = added.draw_form(kinds=("text", "numbers"), may_lack=False)
    more = [f"g{place}" for place in range(6)] if isinstance(values[0], str) else list(range(10, 16))
    column = added.labels(added.name("donor"), form, (*values, *more), groups=True)
    if column.own is not None:
        return {}
    path = column.path + (f"[{added.member_of(form)['member']}]" if form.startswith("column") else "")
    added.features += ["keep_together: a field", f"groups: {form}"]
    return {
        "keep_together": f"field:{path}",
        "val": draws.pick((0.2, 0.3)),
        "test": draws.pick((None, 0.2)),
    }


# ── what is normalised ───────────────────────────────────────────────────────────────────────────────


def _draw_normalize(added: Added) -> dict[str, Any]:
    """Datasets of the tree, and one with values that are hard to normalise."""
    draws, drawn, found = added.draws, added.drawn, dict[str, Any]()
    shuffle = added.case.options.get("shuffle")
    bucket = shuffle["bucket"] if isinstance(shuffle, dict) else ""
    for key, column in drawn.columns.items():
        options = added.fields.get(key)
        if options is None or bucket.endswith(key) or column.extra or column.is_table or draws.chance(3):
            continue
        dtype = options.get("dtype") if isinstance(options, dict) else None
        if column.dtype in ("<c8", "|b1") or (column.dtype in (">i4", "<i8") and dtype is None):
            continue
        is_ragged = column.index is not None or column.varies is not None
        found[key] = _draw_way(added, "all" if is_ragged else None)
    if draws.chance(2) or not found:
        key, shape = (
            added.name("s"),
            draws.pick(((2,), (3, 2), ())) if drawn.layout.place != "second" else (2,),
        )
        values = draws.pick(
            ((1e6, 1e6 + 1, 1e6 + 7), (5.0,), (-1.0, 2.0, float("nan"), 8.0), (0.5, 3.0, 1e-3))
        )
        column = added.numbers(added.name("signal"), draws.pick(("<f4", "<f8")), values, shape, first=1.5)
        added.fields[key] = added.options(column)
        found[key] = _draw_way(added, None)
        if draws.chance(2):
            found[key] = _draw_mask(added, found[key], shape)
    return found


def _draw_mask(added: Added, way: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """The way to normalise, with a mask of the elements that count."""
    draws = added.draws
    if added.drawn.layout.place != "second":
        shape = shape[: draws.number(0, len(shape))]
    dtype = draws.pick(("|b1", "|u1"))
    mask = added.numbers(added.name("valid"), dtype, (1, 1, 0), shape, first=1)
    name = added.name("m")
    added.fields[name] = added.options(mask, may_have_steps=False)
    added.features.append("normalize: where")
    return {**(way if isinstance(way, dict) else {"kind": way}), "where": name}


def _draw_way(added: Added, per: str | None) -> Any:
    draws = added.draws
    kind = draws.pick(("standard", "standard", "minmax", "quantile"))
    per = per or draws.pick(("last", "last", "first", "element", "all"))
    added.features += [f"normalize: {kind}", f"normalize: per {per}"]
    is_short = per == "last" and draws.chance(2)
    return kind if is_short else {"kind": kind, "per": per}
