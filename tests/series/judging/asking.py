"""Hypothesis strategies of what is asked of a tree: samples, fields and orders."""

from __future__ import annotations

from typing import Any

from judging.drawing import Column, Drawn, Draws

__all__ = [
    "draw_fields",
    "draw_samples",
    "draw_shuffle",
    "draw_transform",
    "places",
    "ragged",
    "stages_of",
    "used",
]

Options = dict[str, Any]


# ── samples ──────────────────────────────────────────────────────────────────────────────────────────


def draw_samples(draws: Draws, drawn: Drawn) -> Options | None:
    """How samples lie in the series of a tree."""
    axis = drawn.axis
    if drawn.style == "ragged rows":
        return {"kind": "rows", **axis} if axis else None
    if drawn.style == "whole":
        return _whole(draws, axis)
    if draws.chance(5) and not draws.chance(3):
        return {
            stage: _windows(draws, drawn)
            for stage in ("train", "val", "test")
            if stage == "train" or draws.chance(2)
        }
    kind = draws.pick(("windows", "windows", "rows", "whole" if drawn.is_equal else "windows"))
    if kind == "windows" or drawn.style == "boxes":
        return _windows(draws, drawn)
    return {"kind": kind, **axis} if axis or kind == "whole" else None


def _whole(draws: Draws, axis: Options) -> Options:
    found: Options = {"kind": "whole", **axis}
    if not draws.chance(2):
        return found
    taken = {**found, "take": draws.number(1, 8)}
    return {"train": taken, "val": found} if draws.chance(5) else taken


def _windows(draws: Draws, drawn: Drawn) -> Options:
    axes = len(drawn.layout.order)
    found: Options = {"length": draws.number(1, 6 if axes == 1 and draws.chance(2) else 3), **drawn.axis}
    if axes > 1:
        found["length"] = [draws.number(1, 3) for _ in range(axes)] if draws.chance(2) else found["length"]
        found["stride"] = [draws.number(2, 4) for _ in range(axes)] if draws.chance(2) else draws.number(2, 4)
    elif draws.chance(3):
        found["stride"] = draws.number(2, 5)
    if axes == 1 and draws.chance(3):
        found["dilation"] = draws.number(2, 3)
    if draws.chance(3):
        found["pad"] = draws.pick(("edge", "zero"))
    if draws.chance(3) and "stride" in found:
        found["jitter"] = True
    return found


def stages_of(samples: Options | None) -> list[Options]:
    """The options of all stages."""
    if samples and "train" in samples:
        return list(samples.values())
    return [samples] if samples else []


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────


def draw_fields(draws: Draws, drawn: Drawn, samples: Options | None) -> Options:
    """What a sample holds."""
    stages = stages_of(samples)
    is_windows = bool(stages) and "length" in stages[0]
    is_padded = bool(stages) and all("pad" in one for one in stages)
    fields: Options = {}
    for key, column in drawn.columns.items():
        options: Options = {"path": column.path, **places(drawn, column)}
        if column.is_table:
            options["member"] = draws.pick(("a", "n", ["a", "b"]))
        if column.extra:
            options["extra_rows"] = column.extra
        if is_windows and draws.chance(3):
            first = stages[0]["length"]
            is_box = drawn.style == "boxes" and not is_padded  # with few rows
            start = draws.number(
                0 if is_box else -3, (first if isinstance(first, int) else first[0]) + 1 - is_box
            )
            options["steps"] = [start, start + draws.number(1, 2 if is_box else 4)]
        if not column.is_table and draws.chance(6) and column.dtype not in ("|b1", "<c8"):
            options["dtype"] = draws.pick(("float32", "float64"))
        if not is_windows:
            options |= ragged(draws, drawn, column, samples)
        name = f"fit_{key}" if options.get("ragged") == "stack" else key
        fields[name] = column.path if len(options) == 1 and draws.chance(2) else options
    fields |= _draw_list(draws, drawn, fields)
    if is_padded and draws.chance(2):
        fields["is_pad"] = f"pad:{draws.pick(tuple(fields))}"
    return fields | _words(draws, fields) | drawn.constants


def places(drawn: Drawn, column: Column) -> Options:
    """The options that say where the rows of a column lie."""
    if column.index is not None:
        return {"index": column.index}
    if column.own is None:
        return {}
    said = column.own.said(len(column.shape))
    return {"axis": 0 if said is None else said, **({"series_axis": 0} if drawn.layout.has_series else {})}


def ragged(draws: Draws, drawn: Drawn, column: Column, samples: Options | None) -> Options:
    """What becomes of samples of different lengths."""
    is_whole = drawn.style == "whole"
    if not is_whole and column.index is None and column.varies is None and not draws.chance(8):
        return {}
    if draws.chance(12):
        return {}
    has_time_first = is_whole and drawn.layout.place == "front" and column.varies is None
    if not (has_time_first or column.index is not None or (column.varies == 0 and not is_whole)):
        return {"ragged": draws.pick(("pad", "list", "pad", "list", "pad", "list", "concat"))}
    is_taken = any("take" in one for one in stages_of(samples))
    return {"ragged": draws.pick(("pad", "list", "concat", "concat", "pad" if is_taken else "stack"))}


def _draw_list(draws: Draws, drawn: Drawn, fields: Options) -> Options:
    x, y = drawn.columns["x"], drawn.columns.get("y")
    if y is None or x.is_table or (x.shape, x.dtype) != (y.shape, y.dtype) or x.extra or y.extra:
        return {}
    if (x.own, x.varies, x.index) != (y.own, y.varies, y.index) or not draws.chance(2):
        return {}
    given = fields.get("x")
    same = (
        {name: given[name] for name in ("ragged", "axis", "series_axis", "index") if name in given}
        if isinstance(given, dict)
        else {}
    )
    is_refused = "ragged" in same and drawn.style == "whole" and drawn.layout.place != "front"
    if "x" not in fields or ((x.varies is not None or is_refused) and not draws.chance(3)):
        return {}
    return {"both": {"path": [x.path, y.path], "join": draws.pick(("last", "first", "concat")), **same}}


def _words(draws: Draws, fields: Options) -> Options:
    """The lengths and the padding of ragged fields."""
    found: Options = {}
    for key, field in fields.items():
        form = field.get("ragged") if isinstance(field, dict) else None
        if form is None:
            continue
        if draws.chance(2):
            found[f"length_{key}"] = f"length:{key}"
        if form == "pad" and draws.chance(2):
            found[f"pad_{key}"] = f"pad:{key}"
    return found


# ── orders and transforms ────────────────────────────────────────────────────────────────────────────


def draw_shuffle(draws: Draws, drawn: Drawn, fields: Options, samples: Options | None) -> Any:
    """The order of training, by buckets in some cases."""
    mode = draws.pick(("auto", "block", "full", "none"))
    if mode == "none" or not draws.chance(2):
        return mode
    is_rows = samples is None or samples.get("kind") == "rows"
    choices = [
        f"length:{key}"
        for key, field in fields.items()
        if isinstance(field, dict)
        and key in ("x", "y", "z", "both")
        and ("ragged" in field or draws.chance(12))
    ]
    if is_rows:
        plain = ("<f4", "<f8", "<i2", ">i4", "<i8", "|u1")
        choices += [
            key
            for key, one in drawn.columns.items()
            if key in fields
            and one.shape == ()
            and one.dtype in plain
            and one.index is None
            and "ragged" not in fields[key]
        ]
    if "mass" in fields:
        choices.append("mass")
    if not choices:
        return mode
    weights = {"weights": "mass"} if "mass" in fields and draws.chance(3) else {}
    return {"mode": mode, "bucket": draws.pick(choices), **weights}


def draw_transform(draws: Draws, fields: Options, samples: Options | None) -> str | None:
    """The name of a transform: samples become alike where they must, and tell where they begin in some cases."""
    if any(key.startswith("fit_") for key in fields):
        return "fit"
    has_draws = any("jitter" in one for one in stages_of(samples))
    return "tell_row" if has_draws and draws.chance(3) else None


# ── what is used ─────────────────────────────────────────────────────────────────────────────────────


def used(drawn: Drawn, fields: Options, samples: Options | None, shuffle: Any) -> set[str]:
    """Names of the options that a case uses, for tables of verdicts."""
    found = {"both"} & set(fields) | {f"style: {drawn.style}"}
    for key, field in fields.items():
        found |= _used_by(key, field, fields)
    for one in stages_of(samples):
        found |= {f"pad={one['pad']}"} if one.get("pad") else set()
        found |= {"jitter", "take"} & set(one)
        found |= _used_axes(one)
    if isinstance(shuffle, dict):
        found.add(f"bucket: {'lengths' if shuffle['bucket'].startswith('length:') else 'a field'}")
        found |= {"bucket with weights"} if "weights" in shuffle else set()
    found |= {"rows that differ"} if any(one.varies is not None for one in drawn.columns.values()) else set()
    return found | ({"stages"} if samples and "train" in samples else set())


def _used_by(key: str, field: Any, fields: Options) -> set[str]:
    if isinstance(field, str):
        word = field.partition(":")[0].replace("attr", "")
        of = fields.get(field.partition(":")[2])
        is_ragged = isinstance(of, dict) and "ragged" in of
        return {f"{word}: of ragged" if is_ragged else f"{word}:"} if word and ":" in field else set()
    found = {"steps", "extra_rows", "constant", "series_axis", "index", "axis"} & set(field)
    found = {f"{one} of a field" if one == "axis" else one for one in found}
    if {"constant", "index"} <= set(field):
        found = {"constant with index"}
    elif "index" in field and (isinstance(field["path"], list) or "member" in field):
        found.add("index of a list or member")
    if "ragged" in field:
        found.add(
            f"ragged={field['ragged']}"
            if key in ("x", "y", "z", "both") or key.startswith("fit_")
            else "ragged constant"
        )
    return found


def _used_axes(one: Options) -> set[str]:
    axis = one.get("axis", 0)
    kind = one.get("kind", "windows" if "length" in one else "rows")
    if isinstance(axis, int):
        return {f"{kind} along axis {axis}"} if axis else set()
    found = {f"{len(axis)} axes"}
    return (
        found
        | ({f"{len(axis)} axes, padded"} if "pad" in one else set())
        | ({"box with jitter"} if "jitter" in one else set())
    )
