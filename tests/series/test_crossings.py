"""Options that meet each other: padding, steps, lists, stages, roles, workers and ranks, in each kind of series.

Each sample is compared with the contract by where `locate` says that it lies.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from judging.contract import Contract, Sample
from judging.options import Case
from judging.trees import FileTree, Storage, Stored, Tree

from h5lightning import H5DataModule

pytestmark = pytest.mark.timeout(120)

GZIP = Storage(rows=4, gzip=True)
LENGTHS = ((8, 0, 9), (12, 3), (10,), (9, 11))
STAGED = {
    "train": {"length": 3, "pad": "edge"},
    "val": {"length": 2, "stride": 2, "pad": "zero"},
    "test": {"length": 4, "dilation": 2, "pad": "zero"},
}
OPEN = {"train": {"length": 3}, "test": {"length": 2, "stride": 2}}


def columns(path, rows, first, extra=0, entries=None):
    shape = (rows, 2) if entries is None else (entries, rows, 2)
    more = (rows + extra, 2) if entries is None else (entries, rows + extra, 2)
    return [
        Stored(path.format("x"), shape, "<f4", first, storage=GZIP),
        Stored(path.format("y"), shape, "<f4", first + 500, storage=GZIP),
        Stored(path.format("z"), more, "<i4", first + 700, storage=Storage(rows=3)),
    ]


def ends_of(lengths):
    return tuple(np.cumsum(lengths).tolist())


def tree_of(kind):
    """Four files of a kind of series, the option that finds them, and the paths of the fields."""
    files, path, series = [], "{}", None
    for number, lengths in enumerate(LENGTHS):
        first = 2000 * number
        if kind == "names":
            path = "data/*/obs/{}"
            datasets = [
                one
                for place, rows in enumerate(lengths)
                for one in columns(
                    f"data/demo_{9 + place}/obs/{{}}", rows, first + 300 * place, extra=(number + place) % 3
                )
            ]
        elif kind == "names and table":
            path, series = "*/{}", {"ends": "*/ends"}
            datasets = [
                one
                for place in range(2)
                for one in (
                    *columns(f"run{place}/{{}}", sum(lengths), first + 300 * place),
                    Stored(f"run{place}/ends", (len(lengths),), "<i8", values=ends_of(lengths)),
                )
            ]
        elif kind == "table":
            series = {"ends": "ends"}
            datasets = [
                *columns("{}", sum(lengths), first),
                Stored("ends", (len(lengths),), "<i8", values=ends_of(lengths)),
            ]
        elif kind == "axis":
            series = {"axis": 0}
            datasets = columns("{}", lengths[0], first, entries=3)
        else:
            datasets = columns("{}", lengths[0], first, extra=number % 3)
        files.append((f"data{number}.h5", FileTree(tuple(datasets))))
    return Tree(tuple(files)), path, series


def case_of(kind, samples, **options):
    tree, path, series = tree_of(kind)
    is_padded = "pad" in samples["train"]
    may_be_extra = series is None
    if kind == "axis":
        samples = {stage: {**one, "axis": 1} for stage, one in samples.items()}
    fields = {
        "before": {"path": path.format("x"), "steps": [-2, 1]},
        "both": {"path": [path.format("x"), path.format("y")], "join": "first", "steps": [-1, 4]},
        "z": {"path": path.format("z"), "steps": [1, 3], **({"extra_rows": 2} if may_be_extra else {})},
    }
    if is_padded:
        fields |= {f"gone {key}": f"pad:{key}" for key in ("before", "both", "z")}
    split = {"by": "file", "val": 0.25, "test": 0.25}
    return Case(tree, fields, samples, series, split, options)


KINDS = ("files", "names", "table", "names and table", "axis")


class Opened:
    """A module over the files of a case, and what the contract says of each sample."""

    def __init__(self, case, folder, *, predict=False, bad=(), **options):
        self.case, self.folder = case, str(folder)
        self.paths = case.tree.write(self.folder)
        self.contract = Contract(case, self.paths)
        self.number_of = {
            (os.path.basename(self.paths[one.file]), one.name): number
            for number, one in enumerate(self.contract.series)
        }
        files = {"train": self.paths[:-1], "predict": self.paths[-1:]} if predict else [*bad, *self.paths]
        self.dm = H5DataModule(
            files, **case.arguments, **options, provenance=True, batch_size=4, index_dir=f"{folder}/index"
        )
        self.dm.prepare_data()
        self.dm.setup()

    def starts(self, names, stage):
        """The samples of whole files in a stage."""
        samples = self.case.stage_samples[stage]
        return sorted(
            (name, series, row)
            for (name, series), number in self.number_of.items()
            if name in names
            for row in self.contract.starts(self.contract.series[number], samples)
        )

    def check(self, loader, stage):
        """The places of the samples of a loader, whose values are compared."""
        samples, found = self.case.stage_samples[stage], []
        for batch in loader:
            places = self.dm.locate(batch["sample_id"])
            for slot, (file, series, row) in enumerate(places):
                name = os.path.basename(file)
                found.append((name, series, row))
                number = self.number_of[name, series]
                part = (0, self.contract.series[number].rows)
                for key in self.case.fields:
                    expected = self.contract.value(key, Sample(number, row), samples, part)
                    np.testing.assert_array_equal(
                        batch[key][slot].numpy(), expected, err_msg=f"{key} of {found[-1]} in {stage}"
                    )
        return found

    def check_stage(self, stage, *world):
        found = self.check(getattr(self.dm, f"{stage}_dataloader")(*world), stage)
        assert len(found) == len(set(found))
        return sorted(found)

    def names(self, stage):
        return {os.path.basename(path) for path in self.dm.splits[stage]}


@pytest.fixture
def opened(tmp_path):
    made = []

    def make(case, **options):
        made.append(Opened(case, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.dm.teardown()


@pytest.mark.parametrize("reader", ["auto", "h5py"])
@pytest.mark.parametrize("samples", [STAGED, OPEN], ids=["padded", "inside"])
@pytest.mark.parametrize("kind", KINDS)
def test_lists_steps_and_extra_rows_in_each_stage(opened, kind, samples, reader):
    one = opened(case_of(kind, samples, reader=reader))
    for stage in ("train", "val", "test", "predict"):
        assert one.check_stage(stage) == one.starts(one.names("test" if stage == "predict" else stage), stage)
    series = one.contract.series
    ids = list(range(len(one.contract.everything)))
    assert [tuple(place) for place in one.dm.locate(ids)] == [
        (one.paths[series[where.series].file], series[where.series].name, where.row)
        for where in one.contract.everything
    ]


@pytest.mark.parametrize("samples", [STAGED, OPEN], ids=["padded", "inside"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_for_prediction(opened, kind, samples):
    one = opened(case_of(kind, samples), predict=True)
    assert one.check_stage("predict") == one.starts({"data3.h5"}, "predict")
    for stage in ("train", "val", "test"):
        assert one.check_stage(stage) == one.starts(one.names(stage), stage)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_workers_and_ranks(opened, kind, world):
    one = opened(case_of(kind, STAGED), num_workers=2 if world == 1 else 1)
    found = [place for rank in range(world) for place in one.check_stage("train", rank, world)]
    every = one.starts(one.names("train"), "train")
    assert len(set(found)) == len(found) > len(every) - world
    assert set(found) <= set(every)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_left_out(opened, tmp_path, kind):
    (tmp_path / "bad.h5").write_bytes(b"no HDF5 file")
    one = opened(
        case_of(kind, STAGED),
        bad=[str(tmp_path / "bad.h5")],
        access={"on_bad_file": "skip", "max_bad_fraction": 0.5},
    )
    for stage in ("train", "val", "test"):
        assert one.check_stage(stage) == one.starts(one.names(stage), stage)
