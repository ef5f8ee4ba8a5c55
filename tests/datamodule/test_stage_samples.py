"""Samples of each stage: an option for each, ids that count over all of them, one split of the rows."""

from __future__ import annotations

import pickle
from collections import Counter

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch.tuner import Tuner
from module_runs import ids_of, quiet_trainer
from recording import Recorder

from h5lightning import Field, H5DataModule, H5Dataset, Rows, Split, Whole, Windows
from h5lightning.errors import OptionError, ResumeError, SplitError

LENGTHS = (60, 48, 82, 52)
STAGES = ("train", "val", "test", "predict")


@pytest.fixture
def files(tmp_path) -> str:
    """Files whose ``x`` is its file and row, ``(rows, 1, 2)``."""
    for number, rows in enumerate(LENGTHS):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.stack([np.full(rows, number), np.arange(rows)], axis=1)[:, None]
            file["y"] = np.arange(rows) + 100 * number
    return str(tmp_path / "*.h5")


def batches_of(dm: H5DataModule, stage: str) -> list[dict[str, torch.Tensor]]:
    return list(getattr(dm, f"{stage}_dataloader")())


@pytest.mark.parametrize("reader", ["direct", "h5py"])
@pytest.mark.parametrize("workers", [0, 2])
def test_each_stage_has_its_windows_and_ids_say_where_they_are(make, files, reader, workers) -> None:
    samples = {"train": Windows(5), "val": Windows(5, stride=3), "test": Windows(9, dilation=2)}
    dm = make(
        files,
        samples=samples,
        split={"by": "block", "val": 0.3, "test": 0.3},
        reader=reader,
        num_workers=workers,
    )
    sizes = {"train": 5, "val": 5, "test": 9, "predict": 9}
    seen: dict[str, list[int]] = {}
    for stage, length in sizes.items():
        batches = batches_of(dm, stage)
        for batch in batches:
            assert batch["x"].shape[1:] == (length, 1, 2)
            step = 2 if length == 9 else 1
            for values, where in zip(batch["x"].tolist(), dm.locate(batch["sample_id"]), strict=True):
                number = int(where.file[-4])
                assert values == [[[number, where.row + step * k]] for k in range(length)]
        seen[stage] = ids_of(batches)
    assert seen["test"] == seen["predict"]
    assert Counter(seen["train"] + seen["val"] + seen["test"]).most_common(1)[0][1] == 1
    # One call for ids of all stages, in any order.
    mixed = [ids[-1] for ids in seen.values()] + [ids[0] for ids in seen.values()]
    assert dm.locate(mixed) == [dm.locate([one])[0] for one in mixed]
    for stage in STAGES:
        dataset = getattr(dm, f"{stage}_dataset")
        again = dataset.read_ids(seen[stage][:3])
        assert torch.equal(again["x"], dataset.read_batch(dataset._selection.positions(seen[stage][:3]))["x"])


def test_sections_follow_each_other_in_the_order_of_the_stages(make, files) -> None:
    samples = {"train": Windows(5), "test": Windows(20), "predict": Windows(5)}
    dm = make(files, samples=samples, split={"by": "block", "val": 0.2, "test": 0.6})
    short, long = (sum(max(0, rows - length + 1) for rows in LENGTHS) for length in (5, 20))
    assert dm.train_dataset.index is dm.val_dataset.index is dm.predict_dataset.index
    assert (dm.train_dataset.index.first, dm.test_dataset.index.first) == (0, short)
    assert (len(dm.train_dataset.index), len(dm.test_dataset.index)) == (short, long)
    last = dm.locate([short + long - 1, short])
    assert [one.row for one in last] == [LENGTHS[-1] - 20, 0]
    with pytest.raises(IndexError, match=rf"must lie in \[0, {short + long}\), found {short + long}"):
        dm.locate([short + long])


def test_one_option_for_all_stages_keeps_the_ids(make, files) -> None:
    split = {"by": "block", "val": 0.2, "test": 0.2}
    plain = make(files, samples=Windows(5), split=split)
    named = make(files, samples={"train": Windows(5), "test": {"length": 5}}, split=split)
    assert len(named._data.survey.sections.indices) == 1
    for stage in STAGES:
        assert ids_of(batches_of(plain, stage)) == ids_of(batches_of(named, stage))
    assert plain.state_dict()["samples"] == named.state_dict()["samples"]
    assert "Samples by stage" not in str(named.summary())


def test_the_specification_is_that_of_the_stage(make, files) -> None:
    split = {"by": "block", "val": 0.2, "test": 0.6}
    fields = {"x": Field("x", steps=(0, 3)), "y": "y"}
    dm = make(files, fields=fields, samples={"train": Windows(5), "test": Windows(20)}, split=split)
    assert (dm.sample_spec["x"].shape, dm.sample_spec["y"].shape) == ((3, 1, 2), (5,))
    spec = dm.test_dataset.sample_spec()
    assert (spec["x"].shape, spec["y"].shape) == ((3, 1, 2), (20,))
    text = str(dm.summary())
    assert "Samples by stage: train, val: Windows(length=5" in text
    assert "test, predict: Windows(length=20" in text
    counts = {split.name: split.samples for split in dm.summary().splits}
    assert counts == {stage: len(getattr(dm, f"{stage}_dataset")) for stage in ("train", "val", "test")}


def test_series_too_short_for_their_stage_are_told(make, files) -> None:
    split = {"by": "block", "val": None, "test": 0.9}
    dm = make(files, samples={"train": Windows(2), "test": Windows(50)}, split=split)
    summary = dm.summary()
    # Only series that are shorter than a window of a stage that they are in; parts of series do not count.
    assert summary.without_samples_count == 1
    assert "1.h5" in summary.without_samples[0]


def test_rows_are_split_as_with_one_option(make, files) -> None:
    split = {"by": "block", "val": 0.2, "test": 0.3}
    one = make(files, samples=Windows(3), split=split)
    two = make(files, samples={"train": Windows(3), "test": Windows(7)}, split=split)
    assert {part.name: part.rows for part in one.summary().splits} == {
        part.name: part.rows for part in two.summary().splits
    }
    assert one.state_dict()["split"] == two.state_dict()["split"]
    assert two.summary().shared_rows == 0


def test_whole_series_and_rows_beside_windows(tmp_path, make) -> None:
    for number in range(6):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(12) + 100 * number
    samples = {"train": Windows(4), "val": {"kind": "whole"}, "test": {"kind": "rows"}}
    dm = make(
        str(tmp_path / "*.h5"),
        fields=["x"],
        samples=samples,
        split={"by": "file", "val": 2 / 6, "test": 1 / 6},
    )
    assert {stage: tuple(batches_of(dm, stage)[0]["x"].shape[1:]) for stage in STAGES} == {
        "train": (4,), "val": (12,), "test": (), "predict": (),
    }  # fmt: skip
    assert len(dm.val_dataset) == 2
    assert len(dm.test_dataset) == 12


def test_files_for_prediction_have_their_own_samples(make, tmp_path, files) -> None:
    with h5py.File(tmp_path / "new.hdf5", "w") as file:
        file["x"] = np.stack([np.full(50, 9), np.arange(50)], axis=1)[:, None]
    patterns = {"train": files, "predict": str(tmp_path / "*.hdf5")}
    dm = make(
        patterns, samples={"train": Windows(5), "predict": Windows(30)}, split={"val": 0.25, "by": "file"}
    )
    batches = batches_of(dm, "predict")
    assert {tuple(batch["x"].shape[1:]) for batch in batches} == {(30, 1, 2)}
    assert "y" not in batches[0]
    assert {where.file[-8:] for where in dm.locate(ids_of(batches))} == {"new.hdf5"}
    assert [where.row for where in dm.locate(ids_of(batches))] == list(range(21))
    assert min(ids_of(batches)) >= len(dm.train_dataset.index)
    assert dm.predict_dataset.read_ids(ids_of(batches)[:2])["x"][0, :, 0, 1].tolist() == list(range(30))


def test_ids_of_other_stages_are_refused_by_name(make, files) -> None:
    dm = make(
        files,
        samples={"train": Windows(5), "test": Windows(9)},
        split={"by": "block", "val": 0.3, "test": 0.4},
    )
    of_test, of_val = int(dm.test_dataset.sample_ids([0])[0]), int(dm.val_dataset.sample_ids([0])[0])
    with pytest.raises(
        IndexError, match=rf"id {of_test} \(row \d+ of .*\.h5\).*'train', but in 'test': read it from"
    ):
        dm.train_dataset.read_ids([of_test])
    with pytest.raises(IndexError, match=r"is not in this dataset, 'test', but in 'val'"):
        dm.test_dataset.read_ids([of_val])
    # The first rows are for training: no test window begins there, although there is an id for it.
    first_of_test = dm.test_dataset.index.first
    with pytest.raises(
        IndexError, match=r"in no split: the numbers of 'test' and 'predict' count Windows\(length=9"
    ):
        dm.test_dataset.read_ids([first_of_test])
    total = len(dm._data.survey.sections)
    with pytest.raises(IndexError, match=rf"in \[0, {total}\), found {total}"):
        dm.test_dataset.read_ids([total])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"test": Windows(5)}, "samples names 'test' and lacks 'train'"),
        ({"train": None, "test": Windows(5)}, "lacks 'train'"),
        ({"train": {"length": 5}, "tset": {"length": 5}}, r"'tset' is no stage; did you mean 'test'\?"),
        ({"train": {"length": 5}, "length": 4}, "'length' is no stage"),
        ({"train": {"length": 0}}, "samples.train: samples.length must be an integer of at least 1, found 0"),
        ({"train": {"length": 5}, "test": {"lenght": 5}}, "samples.test: samples needs a kind, one of"),
        ({"train": {"length": 5}, "val": 7}, "samples.val: samples must be Rows, Windows"),
        (
            {"train": Rows(), "test": Rows(axis=1)},
            "samples.test has rows along axis 1, samples.train along axis 0",
        ),
    ],
)
def test_wrong_options_name_the_stage(samples, message) -> None:
    with pytest.raises(OptionError, match=message):
        H5DataModule("*.h5", ["x"], samples)


def test_a_dataset_takes_one_option(files) -> None:
    with pytest.raises(OptionError, match="a layout for each stage, which only H5DataModule takes"):
        H5Dataset(files, ["x"], {"train": Windows(5), "test": Windows(20)})


def test_errors_of_one_stage_name_it(make, files) -> None:
    split = {"by": "block", "val": 0.2, "test": 0.4}
    with pytest.raises(OptionError, match=r"samples.test: field 'x': steps"):
        make(files, fields={"x": Field("x", steps=(0, 4)), "y": "y"}, split=split,
             samples={"train": Windows(5), "test": Rows()})  # fmt: skip
    with pytest.raises(OptionError, match=r"samples.train: field 'x': steps"):
        make(files, fields={"x": Field("x", steps=(0, 4)), "y": "y"}, split=split,
             samples={"train": Rows(), "test": Windows(5)})  # fmt: skip
    with pytest.raises(
        OptionError, match=r"split.by='sample' needs samples of one row, found samples.test='windows'"
    ):
        make(files, split={"by": "sample"}, samples={"train": Rows(), "test": Windows(5)})
    with pytest.raises(SplitError, match=r"test has \d+ rows, but no sample: its longest run"):
        make(files, split=split, samples={"train": Windows(5), "test": Windows(70)})
    with pytest.raises(SplitError, match=r"predict has \d+ rows, but no sample: its longest run"):
        make(files, split=split, samples={"train": Windows(5), "predict": Windows(70)})


def test_hyperparameters_are_plain_and_make_the_same_module(make, files) -> None:
    split = {"by": "block", "val": 0.2, "test": 0.4}
    dm = make(files, samples={"train": Windows(5), "test": Windows(9, pad=None)}, split=split)
    assert dm.hparams["samples"] == {
        "train": {"kind": "windows", "length": 5, "stride": 1, "dilation": 1},
        "test": {"kind": "windows", "length": 9, "stride": 1, "dilation": 1},
    }
    again = make(files, samples=dm.hparams["samples"], split=split)
    assert ids_of(batches_of(again, "test")) == ids_of(batches_of(dm, "test"))
    copied = pickle.loads(pickle.dumps(dm))
    assert ids_of(batches_of(copied, "test")) == ids_of(batches_of(dm, "test"))
    assert copied.test_dataset.index.series_rows is copied.train_dataset.index.series_rows
    copied.teardown()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_trainer_goes_through_all_stages(files, workers, tmp_path) -> None:
    dm = H5DataModule(
        files, ["x", "y"], {"train": Windows(4), "val": Windows(6), "test": Windows(9)}, provenance=True,
        batch_size=4, split=Split(by="block", val=0.3, test=0.4), num_workers=workers,
    )  # fmt: skip
    model = Recorder(str(tmp_path / "out"))
    (tmp_path / "out").mkdir()
    trainer = quiet_trainer(max_epochs=2, num_sanity_val_steps=0)
    trainer.fit(model, datamodule=dm)
    trainer.test(model, datamodule=dm, verbose=False)
    trainer.predict(model, datamodule=dm, return_predictions=False)
    for stage in ("val", "test", "predict"):
        expected = getattr(dm, f"{stage}_dataset").sample_ids(np.arange(len(getattr(dm, f"{stage}_dataset"))))
        assert sorted(model.seen[stage][-1]) == expected.tolist()
    assert len(model.seen["train"]) == 2
    dm.teardown()


def test_a_run_resumes_with_other_samples_of_evaluation_only(make, files) -> None:
    split = {"by": "block", "val": 0.2, "test": 0.4}
    options = {"split": split, "batch_size": 5}
    dm = make(files, samples={"train": Windows(5), "test": Windows(9)}, **options)
    batches = iter(dm.train_dataloader())
    seen = ids_of([next(batches) for _ in range(3)])
    state = dm.state_dict()
    whole = seen + ids_of(batches)
    other = make(files, samples={"train": Windows(5), "val": Rows(), "test": Windows(12)}, **options)
    other.load_state_dict(state)
    assert seen + ids_of(other.train_dataloader()) == whole
    # The same option for all stages is the same run.
    plain = make(files, samples=Windows(5), **options)
    plain.load_state_dict(state)
    assert seen + ids_of(plain.train_dataloader()) == whole
    different = make(files, samples={"train": Windows(4), "test": Windows(9)}, **options)
    with pytest.raises(ResumeError, match="samples was"):
        different.load_state_dict(state)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_each_sample_once_over_the_ranks(make, files, world) -> None:
    dm = make(files, samples={"train": Windows(4), "val": Windows(6), "test": Windows(9)}, batch_size=3,
              split={"by": "block", "val": 0.3, "test": 0.4})  # fmt: skip
    for stage in ("val", "test", "predict"):
        loaders = [getattr(dm, f"{stage}_dataloader")(rank, world) for rank in range(world)]
        dataset = getattr(dm, f"{stage}_dataset")
        assert (
            sorted(ids_of(batch for loader in loaders for batch in loader))
            == dataset.sample_ids(np.arange(len(dataset))).tolist()
        )


def test_compressed_chunks_are_decoded_for_each_stage(tmp_path, make) -> None:
    for number, rows in enumerate(LENGTHS):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("x", data=np.arange(rows) + 100 * number, chunks=(7,), compression="gzip")
    dm = make(str(tmp_path / "*.h5"), fields=["x"], samples={"train": Windows(3), "test": Windows(11)}, threads=2,
              split={"by": "block", "val": 0.3, "test": 0.5})  # fmt: skip
    for stage, length in (("train", 3), ("val", 3), ("test", 11)):
        for batch in batches_of(dm, stage):
            for values, where in zip(batch["x"].tolist(), dm.locate(batch["sample_id"]), strict=True):
                first = 100 * int(where.file[-4]) + where.row
                assert values == list(range(first, first + length))


def test_the_tuner_changes_the_batch_size(files) -> None:
    dm = H5DataModule(files, ["x", "y"], {"train": Windows(4), "val": Windows(6)}, batch_size=2, provenance=True,
                      split=Split(by="block", val=0.3, test=None))  # fmt: skip
    trainer = quiet_trainer(max_epochs=1)
    Tuner(trainer).scale_batch_size(Recorder(), datamodule=dm, max_trials=2, steps_per_trial=1)
    assert dm.batch_size > 2
    dm.teardown()


def test_whole_series_cannot_be_cut(make, tmp_path) -> None:
    for number in range(2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = file["y"] = np.arange(12)
    files = str(tmp_path / "*.h5")
    with pytest.raises(OptionError, match=r"samples.val='whole'"):
        make(
            files,
            samples={"train": Windows(5), "val": Whole()},
            split={"by": "block", "val": 0.2, "test": 0.2},
        )
