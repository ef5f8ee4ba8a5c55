"""Rows of one value stay together: what is delivered of each split, in files with interleaved groups."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule, Series, Shuffle, Split, Windows
from h5lightning.errors import ManifestError, SplitError

pytestmark = pytest.mark.timeout(240)
ROWS = 90


@pytest.fixture
def donors(tmp_path: Path) -> np.ndarray:
    """The donor of each row of three files, whose rows are numbered one after the other; in chunks of 16 rows."""
    draw = np.random.default_rng(3)
    found = np.repeat(draw.integers(0, 12, 3 * ROWS), draw.integers(1, 4, 3 * ROWS))[: 3 * ROWS]
    for number in range(3):
        write(tmp_path / f"f{number}.h5", ROWS * number, found[ROWS * number : ROWS * (number + 1)])
    return found


def write(path: Path, first: int, donors: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        rows = np.arange(first, first + len(donors), dtype="f4")
        file.create_dataset("x", data=rows, chunks=(min(16, len(rows)),), compression="gzip")
        group = file.create_group("obs/donor")  # as anndata writes a column of categories
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "categorical", "0.2.0"
        group.attrs["ordered"] = False
        group["codes"], group["categories"] = donors.astype("i1"), [f"d{one}" for one in range(12)]


@pytest.fixture
def module(tmp_path: Path):
    made = []

    def make(samples=None, fields=None, split=None, **options) -> H5DataModule:
        split = split or Split(val=0.2, test=0.2, keep_together="field:obs/donor")
        dm = H5DataModule(
            f"{tmp_path}/*.h5",
            fields or {"x": "x"},
            samples,
            split,
            index_dir=str(tmp_path),
            batch_size=8,
            **options,
        )
        made.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    yield make
    for dm in made:
        dm.teardown()


def delivered(dm: H5DataModule, key: str = "x") -> dict[str, np.ndarray]:
    loaders = {"train": dm.train_dataloader(), "val": dm.val_dataloader(), "test": dm.test_dataloader()}
    return {name: np.concatenate([batch[key] for batch in loader]) for name, loader in loaders.items()}


@pytest.mark.parametrize("shuffle", ["full", "block", Shuffle("block", window_bytes=256)], ids=str)
def test_each_row_comes_once_and_no_donor_is_in_two_splits(module, donors, shuffle) -> None:
    dm = module(shuffle=shuffle)
    rows = delivered(dm)
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(3 * ROWS))
    found = {name: set(donors[one.astype(int)].tolist()) for name, one in rows.items()}
    assert sum(map(len, found.values())) == len(set(donors.tolist()))
    summary = dm.summary()
    assert {one.name: one.groups for one in summary.splits} == {name: len(one) for name, one in found.items()}
    assert (summary.by, summary.shared_groups, summary.shared_rows) == ("group", 0, 0)


@pytest.mark.parametrize("pad", [None, "edge", "zero"])
def test_windows_read_no_row_of_another_split(module, donors, pad) -> None:
    dm = module(Windows(3, pad=pad), {"x": "x", "is_padding": "pad:x"} if pad else {"x": "x"})
    part_of = {}
    for name, part in dm._data.plan.parts.items():
        for runs in part.runs():
            for series, start, stop in zip(*(array.tolist() for array in runs[:3]), strict=True):
                part_of |= {ROWS * series + row: name for row in range(start, stop)}
    windows, masks = delivered(dm), delivered(dm, "is_padding") if pad else {}
    for name in ("val", "test"):  # in the order of their rows, in each pass
        expected, padding = [], []
        for first in (row for row in range(3 * ROWS) if part_of[row] == name):
            rows = [first + step for step in range(3)]
            ends = [
                r // ROWS > first // ROWS or any(part_of.get(k) != name for k in range(first, r + 1))
                for r in rows
            ]
            if pad is None and any(ends):
                continue
            last = max(r for r, end in zip(rows, ends, strict=True) if not end)
            filler = last if pad == "edge" else 0
            expected.append([filler if end else r for r, end in zip(rows, ends, strict=True)])
            padding.append(ends)
        assert windows[name].tolist() == expected
        if pad:
            assert masks[name].tolist() == padding
    train = windows["train"][windows["train"] > 0].astype(int)
    assert {part_of[row] for row in train.tolist()} == {"train"}


def test_a_saved_split_holds_without_the_values_and_when_files_come(module, donors, tmp_path) -> None:
    first = module()
    first.save_split(str(tmp_path / "split.json"))
    again = module(split=Split(manifest=str(tmp_path / "split.json")))
    assert again._data.plan.fingerprint == first._data.plan.fingerprint
    write(tmp_path / "new.h5", 3 * ROWS, np.asarray([donors[0], donors[0], donors[5]]))
    with pytest.raises(ManifestError, match=r"data\.split\.keep_together=field:PATH"):
        module(split=Split(manifest=str(tmp_path / "split.json"), on_new="train"))
    split = Split(manifest=str(tmp_path / "split.json"), on_new="train", keep_together="field:obs/donor")
    before, after = delivered(first), delivered(module(split=split))
    every = np.append(donors, [donors[0], donors[0], donors[5]])
    for name, rows in before.items():
        assert set(rows.tolist()) <= set(after[name].tolist())
    found = {name: set(every[one.astype(int)].tolist()) for name, one in after.items()}
    assert sum(map(len, found.values())) == len(set(donors.tolist()))


def test_a_run_goes_on_with_the_rows_that_are_left(module, donors) -> None:
    first = module()
    loader = iter(first.train_dataloader())
    done = np.concatenate([next(loader)["x"] for _ in range(5)])
    state = first.state_dict()
    second = module()
    second.load_state_dict(state)
    rest = np.concatenate([batch["x"] for batch in second.train_dataloader()])
    assert sorted([*done.tolist(), *rest.tolist()]) == sorted(delivered(module())["train"].tolist())


def test_a_value_of_each_series_is_enough(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"], file["who"] = np.arange(60.0).reshape(10, 6), np.arange(10) % 5
        file["each"] = np.repeat(np.arange(10) % 5, 6).reshape(10, 6)
    for path in ("who", "each"):
        split = Split(val=0.2, test=0.2, keep_together=f"field:{path}")
        dm = H5DataModule(
            f"{tmp_path}/a.h5",
            {"v": "v"},
            Windows(2, axis=1),
            split,
            series=Series(axis=0),
            index_dir=str(tmp_path),
        )
        dm.setup()
        series = {
            name: {int(one.series) % 5 for one in dm.locate(ids(dm, name))}
            for name in ("train", "val", "test")
        }
        assert sorted(len(one) for one in series.values()) == [1, 1, 3]
        assert sum(len(ids(dm, name)) for name in series) == 10 * 5
        dm.teardown()
    with pytest.raises(SplitError, match=r"'/nothing'|has no"):
        H5DataModule(
            f"{tmp_path}/a.h5",
            {"v": "v"},
            split=Split(keep_together="field:nothing"),
            index_dir=str(tmp_path),
        ).setup()


def ids(dm: H5DataModule, name: str) -> list[int]:
    dataset = getattr(dm, f"{name}_dataset")
    return dataset.sample_ids(np.arange(len(dataset))).tolist()
