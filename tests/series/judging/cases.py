"""Hypothesis strategies of cases: what is asked of a tree, and what is wrong with some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from judging.asking import draw_fields, draw_samples, draw_shuffle, draw_transform, used
from judging.drawing import KINDS, STYLES, Drawn, Draws
from judging.extras import draw_extras
from judging.making import draw_tree
from judging.options import Case
from judging.trees import FileTree, Stored, Tree

__all__ = ["DEFECTS", "cases"]


@st.composite
def cases(draw: Callable[[Any], Any], kinds: Sequence[str] = KINDS, styles: Sequence[str] = STYLES) -> Case:
    """Random cases of these kinds of series, and of these styles; one in ten has a defect."""
    draws = Draws(draw)
    drawn = draw_tree(draws, kinds, styles)
    samples = draw_samples(draws, drawn)
    fields = draw_fields(draws, drawn, samples)
    shuffle = draw_shuffle(draws, drawn, fields, samples)
    tree, split, features = _draw_split(draws, drawn, samples)
    case = Case(
        tree=tree,
        fields=fields,
        samples=samples,
        series=drawn.series,
        split=split,
        options={
            "batch_size": draws.number(1, 9),
            "reader": draws.pick(("auto", "h5py")),
            "seed": draws.number(0, 3),
            "threads": draws.pick((0, 1)),
            "shuffle": shuffle,
        },
        world=draws.number(1, 3),
        steps=draws.number(1, 5),
        transform=draw_transform(draws, fields, samples),
        features=(drawn.kind, *features, *sorted(used(drawn, fields, samples, shuffle))),
    )
    if drawn.topic:
        case = draw_extras(draws, drawn, case)
    if not draws.chance(10) or "table: skip" in case.features:
        return case
    name = draws.pick(tuple(DEFECTS))
    changed = DEFECTS[name](case, draws)
    return case if changed is None else replace(changed, features=(*changed.features, f"defect: {name}"))


# ── splits ───────────────────────────────────────────────────────────────────────────────────────────


def _draw_split(
    draws: Draws, drawn: Drawn, samples: dict[str, Any] | None
) -> tuple[Tree, dict[str, Any], list[str]]:
    is_rows = samples is None or samples.get("kind") == "rows"
    whole = samples is not None and "whole" in (samples.get("kind"), samples.get("train", {}).get("kind"))
    kinds = ["none", "series", "file", "block", "auto"] + (["sample"] if is_rows else [])
    if drawn.kind == "names":
        kinds += ["given", "given", "attr"]
    is_enough = len(drawn.tree.files) > 2 or draws.chance(4)  # else there is often nothing to divide
    left_out = {"block"} if whole else set()
    left_out |= {"block", "auto"} if drawn.style == "boxes" and not draws.chance(3) else set()
    left_out |= set() if is_enough else {"file", "series"} if drawn.kind == "files" else {"file"}
    kind = draws.pick([one for one in kinds if one not in left_out])
    if kind == "none":
        return drawn.tree, {"val": None, "test": None}, []
    if kind == "given":
        return _given(draws, drawn.tree, drawn.columns["x"].path)
    if kind == "attr":
        return _grouped(draws, drawn.tree, drawn.columns["x"].path)
    split: dict[str, Any] = {
        "by": kind,
        "val": draws.pick((None, 0.1, 0.25, 0.4)),
        "test": draws.pick((None, 0.2, 0.3)),
    }
    if kind == "block" and draws.chance(3):
        split["gap"] = draws.number(1, 3)
    return drawn.tree, split, [f"by {kind}"]


def _series_of(tree: FileTree, path: str) -> list[tuple[str, str]]:
    """The object and the name of each series of a file."""
    before, _, after = path.partition("*")
    tail, _, rest = after.partition("/")
    head, _, lead = before.rpartition("/")
    found = []
    for dataset in tree.datasets:
        parts = dataset.path.split("/")
        depth = len(head.split("/")) if head else 0
        is_here = (
            "/".join(parts[:depth]) == head and parts[depth].startswith(lead) and parts[depth].endswith(tail)
        )
        if is_here and "/".join(parts[depth + 1 :]) == rest:
            found.append(("/".join(parts[: depth + 1]), parts[depth]))
    return found


def _given(draws: Draws, tree: Tree, path: str) -> tuple[Tree, dict[str, Any], list[str]]:
    """Masks with the names of series, as robomimic's; some names may be in none."""
    files, stages = [], ("train", "val", "test")[: draws.number(1, 3)]
    for name, file in tree.files:
        chosen: dict[str, list[str]] = {stage: [] for stage in stages}
        for _, series in _series_of(file, path):
            stage = draws.pick((*stages, ""))
            if stage:
                chosen[stage].append(series)
        masks = tuple(
            Stored(f"mask/{stage}", (len(v),), "text", values=tuple(v)) for stage, v in chosen.items()
        )
        files.append((name, replace(file, datasets=(*file.datasets, *masks))))
    return Tree(tuple(files)), {"given": {stage: f"mask/{stage}" for stage in stages}}, ["given"]


def _grouped(draws: Draws, tree: Tree, path: str) -> tuple[Tree, dict[str, Any], list[str]]:
    """An attribute of each series, or of the file, says what belongs together."""
    files = []
    on_file = draws.chance(3)
    for name, file in tree.files:
        places = ["/"] if on_file else [where for where, _ in _series_of(file, path)]
        marks = tuple((where, "scene", draws.pick(("a", "b", "c", "d"))) for where in places)
        files.append((name, replace(file, attributes=(*file.attributes, *marks))))
    split = {"keep_together": "attr:scene", "val": draws.pick((None, 0.3)), "test": draws.pick((0.2, None))}
    return Tree(tuple(files)), split, ["keep_together"]


# ── defects ──────────────────────────────────────────────────────────────────────────────────────────


def _edit(
    case: Case, draws: Draws, change: Callable[[Stored], Stored | None], *, of: str = ""
) -> Case | None:
    """Change or remove one dataset of one file, of those whose last part is ``of``."""
    number = draws.number(0, len(case.tree.files) - 1)
    name, file = case.tree.files[number]
    places = [place for place, one in enumerate(file.datasets) if not of or of in one.path.split("/")]
    if not places:
        return None
    place = draws.pick(places)
    changed = change(file.datasets[place])
    datasets = (*file.datasets[:place], *([changed] if changed else []), *file.datasets[place + 1 :])
    files = (
        *case.tree.files[:number],
        (name, replace(file, datasets=datasets)),
        *case.tree.files[number + 1 :],
    )
    return replace(case, tree=replace(case.tree, files=files))


def _longer(one: Stored) -> Stored:
    if one.values is not None:
        return replace(
            one, shape=(len(one.values) + 1,), values=(*one.values, one.values[-1] if one.values else 0)
        )
    return replace(one, shape=(one.shape[0] + 3, *one.shape[1:]))


def _shifted(one: Stored) -> Stored:
    if one.values is None or not one.values or one.is_text:
        return one
    return replace(one, values=(*one.values[:-1], int(one.values[-1]) + 1))


def _table_of(case: Case) -> str:
    option = next((value for name, value in (case.series or {}).items() if name != "axis"), "")
    return (option if isinstance(option, str) else option[0]).split("/")[-1]


def _with_path(case: Case, path: str) -> Case:
    return replace(case, fields={**case.fields, "x": {"path": path}})


def _without_star(case: Case) -> Case | None:
    return None if case.features[0] != "names" or len(case.fields) < 2 else _with_path(case, "mask/x")


DEFECTS: dict[str, Callable[[Case, Draws], Case | None]] = {
    "a dataset is missing": lambda case, draws: _edit(case, draws, lambda _: None),
    "a dataset is longer": lambda case, draws: _edit(case, draws, _longer),
    "a field is longer": lambda case, draws: _edit(case, draws, _longer, of="x"),
    "the table ends later": lambda case, draws: (
        _edit(case, draws, _shifted, of=_table_of(case)) if _table_of(case) else None
    ),
    "the table is missing": lambda case, draws: (
        _edit(case, draws, lambda _: None, of=_table_of(case)) if _table_of(case) else None
    ),
    "a span that fits nowhere": lambda case, _: replace(case, samples={"length": 300, **_axis(case)}),
    "whole series, padded": lambda case, _: replace(case, samples={"kind": "whole", "pad": "edge"}),
    "two stars": lambda case, _: _with_path(case, "*/a/*"),
    "no match": lambda case, _: _with_path(case, "nothing/*/x"),
    "a star in some fields": lambda case, _: _without_star(case),
    "rows along the axis of series": lambda case, _: replace(case, series={"axis": 0}, samples=None),
}


def _axis(case: Case) -> dict[str, Any]:
    axis = case.stage_samples["train"].axis
    return {"axis": list(axis) if isinstance(axis, tuple) else axis} if axis != 0 else {}
