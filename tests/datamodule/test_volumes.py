"""Volumes trained by crops, from the DataModule: stages, splits, drawn starts, workers, and what the summary says."""

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, Windows

pytestmark = pytest.mark.timeout(180)
SHAPE, CROP = (24, 10, 12), (4, 5, 6)


def with_start(sample, info):
    assert info.row == info.start[0]
    return {**sample, "start": torch.tensor(info.start)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    for number in range(2):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            # Each entry says where it lies.
            numbers = np.arange(np.prod(SHAPE)).reshape(SHAPE) + 10_000 * number
            file.create_dataset("x", data=numbers.astype("f4"), chunks=(4, 4, 4), compression="gzip")
    return folder


@pytest.fixture
def module(folder, tmp_path):
    made = []

    def make(samples, **options):
        options = {"split": {"val": 0.25, "test": None, "by": "block"}, "batch_size": 7, **options}
        dm = H5DataModule(
            str(folder / "*.h5"),
            {"x": "x", "p": "pad:x"} if getattr(samples, "pad", None) else {"x": "x"},
            samples,
            provenance=True,
            transform=with_start,
            index_dir=str(tmp_path),
            **options,
        )
        dm.prepare_data()
        dm.setup("fit")
        made.append(dm)
        return dm

    yield make
    for dm in made:
        dm.teardown("fit")


def epoch(loader):
    """Id → start and values of each sample of an epoch, each once."""
    found = {}
    for batch in loader:
        for number, start, x in zip(
            batch["sample_id"].tolist(), batch["start"].tolist(), batch["x"], strict=True
        ):
            assert number not in found
            found[number] = tuple(start), x
    return found


def test_drawn_starts_lie_in_their_cells_and_change_with_the_epoch(module):
    dm = module(Windows(CROP, (3, 5, 4), axis=(0, 1, 2), jitter=True))
    loader = dm.train_dataloader()
    first, second = epoch(loader), epoch(loader)
    assert first.keys() == second.keys()
    assert any(first[number][0] != second[number][0] for number in first)
    for number, (start, x) in first.items():
        (where,) = dm.locate([number])
        assert all(0 <= a - b < s for a, b, s in zip(start, where.start, (3, 5, 4), strict=True))
        assert int(x[0, 0, 0]) == np.ravel_multi_index(start, SHAPE) + 10_000 * where.file.endswith("1.h5")


def test_evaluation_uses_the_grid_itself(module):
    dm = module(Windows(CROP, (3, 5, 4), axis=(0, 1, 2), jitter=True))
    found = epoch(dm.val_dataloader())
    assert found
    assert all(dm.locate([number])[0].start == start for number, (start, _) in found.items())


@pytest.mark.parametrize("workers", [0, 2])
def test_draws_do_not_depend_on_workers(module, workers):
    dm = module(Windows(CROP, 3, axis=(0, 1, 2), jitter=True), seed=5)
    expected = epoch(dm.train_dataloader())
    other = module(Windows(CROP, 3, axis=(0, 1, 2), jitter=True), seed=5, num_workers=workers, batch_size=3)
    found = epoch(other.train_dataloader())
    assert {number: start for number, (start, _) in found.items()} == {
        number: start for number, (start, _) in expected.items()
    }


@pytest.mark.parametrize("jitter", [False, True])
def test_windows_of_a_part_hold_no_row_of_another_one(module, jitter):
    dm = module(Windows(CROP, 2, axis=(0, 1, 2), pad="edge", jitter=jitter))
    rows = {}
    for stage in ("train", "val"):
        loader = getattr(dm, f"{stage}_dataloader")()
        for batch in loader:
            for x, file in zip(batch["x"], dm.locate(batch["sample_id"]), strict=True):
                own = x.numpy().astype(int) % 10_000 // (SHAPE[1] * SHAPE[2])
                rows.setdefault((stage, file.file), set()).update(own.ravel().tolist())
    for file in {file for _, file in rows}:
        assert not rows.get(("train", file), set()) & rows.get(("val", file), set())


def test_stages_have_windows_of_their_own(module):
    train = Windows(CROP, axis=(0, 1, 2), jitter=True)
    dm = module({"train": train, "val": Windows((4, 10, 12), stride=4, axis=(0, 1, 2))})
    found = epoch(dm.val_dataloader())
    assert all(x.shape == (4, 10, 12) for _, x in found.values())
    assert not found.keys() & epoch(dm.train_dataloader()).keys()
    assert all(dm.locate([number])[0].start == start for number, (start, _) in found.items())


def test_the_summary_says_what_no_window_holds(module):
    dm = module(Windows(CROP, CROP, axis=(0, 1, 2)), split={"val": None, "test": None})
    # 24 = 6 windows of 4, 10 = 2 of 5, 12 = 2 of 6: nothing is left out.
    assert "Lie in no window" not in str(dm.summary())
    dm = module(Windows(CROP, (4, 6, 6), axis=(0, 1, 2)), split={"val": None, "test": None})
    text = str(dm.summary())
    assert "Lie in no window: 50 % of all entries (train)" in text
    assert dm.summary().splits[0].decoded_bytes == 2 * 4 * int(np.prod(SHAPE))


def test_a_field_may_have_windows_along_the_rows_alone(folder, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["z"] = np.zeros(SHAPE), np.arange(SHAPE[0])
    dm = H5DataModule(
        str(tmp_path / "a.h5"),
        {"x": "x", "z": Field("z", axis=0, steps=(1, 2))},
        Windows(CROP, axis=(0, 1, 2)),
        {"val": None, "test": None},
        batch_size=400,
        provenance=True,
        index_dir=str(tmp_path),
    )
    dm.setup("fit")
    batch = next(iter(dm.train_dataloader()))
    assert batch["z"][:, 0].tolist() == [where.row + 1 for where in dm.locate(batch["sample_id"])]
    dm.teardown("fit")
