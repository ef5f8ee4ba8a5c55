"""Numbers are normalised along the axes of a row, whatever samples are made of; undone, they are those of the files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, Series, Whole, Windows

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for number, rows in enumerate((12, 15, 9, 20)):
        rng = np.random.default_rng(number)
        lengths = rng.integers(0, 5, rows)
        table = np.zeros(rows, [("a", "f4"), ("b", "f8"), ("c", "i2"), ("v", "f4", (3,))])
        for name, scale in [("a", 1), ("b", 9), ("c", 50), ("v", 2)]:
            table[name] = (rng.normal(size=table[name].shape) + 1) * scale
        table["c"] += 1000  # none is 0, as padding is
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["volume"] = (rng.normal(size=(rows, 10, 11, 2)) * [1, 50] + [3, 0]).astype("f4")
            file["plane"] = rng.normal(size=(rows, 6, 11)).astype("f4") + np.arange(6)[:, None]
            file["x"] = (rng.normal(size=(rows, 4, 3)) * [1, 20, 300]).astype("f4")
            file["y"] = rng.normal(size=(rows, 4, 3)) + 5
            file["ends"] = np.cumsum(lengths)
            file["points"] = (rng.normal(size=(lengths.sum(), 3)) * [1, 20, 300]).astype(">f4")
            file["table"] = table
    return str(folder / "*.h5")


TABLE = {"columns": Field("table", member=["a", "b"], dtype="float32"), "vector": Field("table", member="v")}
JOINED = {
    "last": Field(["x", "y"], dtype="float32"),
    "first": Field(["x", "y"], join="first", dtype="float32"),
    "concat": Field(["x", "y"], join="concat", dtype="float32"),
}
# Fields, options of all of them, other options, and the shape in which each field's statistics broadcast to samples.
CASES = [
    (
        {"volume": "volume"},
        {},
        {"samples": Windows((4, 3, 5), stride=3, axis=(0, 1, 2), pad="zero")},
        {"volume": (2,)},
    ),
    (
        {"plane": "plane"},
        {"per": "element"},
        {"samples": Windows(3, axis=2), "series": Series(axis=0)},
        {"plane": (6, 1)},
    ),
    (
        {**TABLE, **JOINED, "short": Field("table", member="c")},
        {},
        {"samples": Windows(3, pad="edge")},
        {"columns": (2,), "vector": (3,), "last": (2,), "first": (3,), "concat": (6,), "short": ()},
    ),
    (
        {**JOINED, "half": Field("y", dtype="bfloat16")},
        {"per": "first"},
        {"samples": Windows(3)},
        {"last": (4, 1, 1), "first": (2, 1, 1), "concat": (4, 1), "half": (4, 1)},
    ),
    ({"x": "x", **JOINED}, {"per": "all"}, {}, {"x": (), "last": (), "first": (), "concat": ()}),
    (
        {"points": Field("points", index="ends", ragged="concat")},
        {"kind": "minmax"},
        {},
        {"points": (3,)},
    ),
    ({"x": Field("x", ragged="list")}, {"per": "element"}, {"samples": Whole()}, {"x": (4, 3)}),
]


@pytest.mark.parametrize(("fields", "option", "options", "shapes"), CASES)
def test_statistics_are_those_of_the_axes_of_a_row(files, ready, fields, option, options, shapes) -> None:
    usual = {"batch_size": 7, "shuffle": "none", "split": {"by": "file", "val": 0.4, "test": None}, **options}
    normalize = {key: {"kind": "standard", **option} for key in fields}
    plain = ready(H5DataModule(files, fields, **usual))
    dm = ready(H5DataModule(files, fields, normalize=normalize, **usual))
    scales = {}
    for key, of_key in dm.statistics.items():
        shift, scale = of_key.mean, of_key.std
        if option.get("kind") == "minmax":
            shift, scale = (of_key.max + of_key.min) / 2, (of_key.max - of_key.min) / 2
        scales[key] = shift.reshape(shapes[key]), scale.reshape(shapes[key])
    for stage in ("train", "val"):
        pairs = zip(*(list(getattr(one, f"{stage}_dataloader")()) for one in (dm, plain)), strict=True)
        for found, stored in pairs:
            undone = dm.denormalize(found)
            for key, (shift, scale) in scales.items():
                check(found[key], stored[key], undone[key], shift, scale)


def check(found, stored, undone, shift, scale) -> None:
    if isinstance(found, list):
        for each in zip(found, stored, undone, strict=True):
            check(*each, shift, scale)
        return
    is_half = found.dtype is torch.bfloat16
    is_number = stored != 0  # the zeros of padding stay
    assert (found[~is_number] == 0).all()
    expected = torch.where(is_number, (stored.double() - shift) / scale, 0)
    tolerance = 2e-2 if is_half else 2e-6
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(
        undone.double()[is_number],
        stored.double()[is_number],
        rtol=tolerance,
        atol=3 * tolerance * float(scale.max()),
    )
