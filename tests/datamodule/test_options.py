"""Options of the DataModule: read, checked, and kept as plain hyperparameters."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch

from h5lightning import Access, Field, H5DataModule, Shuffle, Split, Windows
from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.errors import OptionError
from h5lightning.options import Rows

pytestmark = pytest.mark.timeout(60)


def noisy(sample, info):
    return sample


def test_the_options_are_the_arguments_with_their_defaults() -> None:
    arguments = inspect.signature(H5DataModule).parameters
    options = {option.name: option.default for option in dataclasses.fields(DataModuleOptions)}
    assert list(options) == list(arguments)
    required = {name for name, option in options.items() if option is dataclasses.MISSING}
    assert required == {"files"}
    assert {name: options[name] for name in options if name != "files"} == {
        name: argument.default for name, argument in arguments.items() if name != "files"
    }


def test_the_values_have_the_types_that_the_class_states() -> None:
    options = DataModuleOptions(files=Path("a.h5"), fields=["x"], batch_size=np.int64(4))
    assert options.files == "a.h5"
    assert options.fields == {"x": Field("x")}
    assert (options.samples, options.split, options.shuffle, options.access) == (
        Rows(),
        Split(),
        Shuffle(),
        Access(),
    )
    assert type(options.batch_size) is int
    assert set(options.transform) == set(options.batch_transform) == {"train", "val", "test", "predict"}
    scalars = {
        name: hint for name, hint in get_type_hints(DataModuleOptions).items() if hint in (int, bool, str)
    }
    assert {name: type(getattr(options, name)) for name in scalars} == scalars


def test_named_files_leave_the_split_to_them() -> None:
    split = DataModuleOptions(files={"train": "a.h5", "val": "b.h5"}).split
    assert (split.val, split.test) == (None, None)


def test_options_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DataModuleOptions(files="a.h5").batch_size = 3


def test_hyperparameters_hold_the_fields_as_they_were_written() -> None:
    values = DataModuleOptions(files="a.h5", fields=["x"]).hyperparameters(["x"])
    assert values[:2] == ["a.h5", ["x"]]
    assert len(values) == len(dataclasses.fields(DataModuleOptions)) - 2


def _name(options: dict) -> str:
    """The name of a case: the same in each process, so that a parallel run collects the same tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(map(str, *options.items())))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": -1}, "batch_size must be"),
        ({"tail": "cut"}, "tail must be one of 'drop', 'repeat'"),
        ({"split": {"vall": 0.1}}, "did you mean 'val'"),
        ({"split": {"val": float("nan")}}, "fraction of the rows"),
        ({"shuffle": "fully"}, r"shuffle\.mode must be"),
        ({"dtype": "int8"}, "dtype is for floating fields"),
        ({"access": {"on_missing": "zero"}}, "on_missing"),
        ({"transform": {"training": noisy}}, "did you mean 'train'"),
        ({"num_workers": -1}, "num_workers"),
        ({"seed": 1.5}, "seed must be an integer of at least 0, found 1.5"),
        ({"index_dir": 3}, "index_dir must be text, found 3"),
        ({"as_tuple": "xy"}, "as_tuple must list keys of the batch.*found 'xy'"),
        ({"as_tuple": []}, r"as_tuple must list keys of the batch.*found \[\]"),
        ({"as_tuple": [1, 2]}, r"as_tuple must list keys of the batch.*found \[1, 2\]"),
        ({"multiprocessing_context": "thread"}, "multiprocessing_context"),
        ({"batch_size": True}, "batch_size must be an integer of at least 1, found True"),
        ({"batch_size": "8"}, "batch_size must be an integer of at least 1, found '8'"),
        ({"batch_size": 2**63}, "batch_size must be an integer of at most"),
        ({"seed": 2**63}, "seed must be an integer of at most 9223372036854775807"),
        ({"seed": True}, "seed must be"),
        ({"provenance": "False"}, "provenance must be true or false, found 'False'"),
        ({"drop_last": "False"}, "drop_last must be true or false, found 'False'"),
        ({"pin_memory": "no"}, "pin_memory must be true or false, found 'no'"),
        ({"persistent_workers": 1}, "persistent_workers must be true or false, found 1"),
        ({"num_workers": "2"}, "num_workers must be an integer"),
        ({"num_workers": 10**6}, "num_workers must be an integer of at most"),
        ({"threads": 10**6}, "threads must be an integer of at most"),
        ({"threads": True}, "threads must be an integer"),
        ({"prefetch_factor": 2**63}, "prefetch_factor must be an integer of at most"),
        ({"timeout_s": "5"}, "timeout_s must be a number of seconds"),
        ({"timeout_s": float("nan")}, "timeout_s must be a number of seconds.*found nan"),
        ({"timeout_s": float("inf")}, "timeout_s must be .*where 0 means no limit; found inf"),
        ({"timeout_s": -1}, "timeout_s must be a number of seconds"),
        ({"timeout_s": True}, "timeout_s must be a number of seconds"),
        ({"access": {"cache_bytes": 2**63}}, r"access\.cache_bytes must be an integer of at most"),
        ({"shuffle": {"window_bytes": 2**63}}, r"shuffle\.window_bytes must be an integer of at most"),
        ({"samples": {"length": 2**62, "dilation": 2**62}}, "the span of a window"),
    ],
    ids=lambda value: _name(value) if isinstance(value, dict) else "",
)
def test_wrong_options_are_refused_at_once(options, message) -> None:
    with pytest.raises(OptionError, match=message):
        H5DataModule("nowhere/*.h5", **options)


def test_hyperparameters_are_plain(write_files, tmp_path) -> None:
    dm = H5DataModule(
        Path(write_files()),
        fields={"x": Field("x")},
        samples=Windows(2),
        split=Split(val=np.float64(0.2)),
        shuffle=Shuffle("block"),
        access=Access(locking=True),
    )
    torch.save(dict(dm.hparams), tmp_path / "hparams.pt")
    loaded = torch.load(tmp_path / "hparams.pt", weights_only=True)
    assert loaded["samples"] == {"kind": "windows", "length": 2, "stride": 1, "dilation": 1}
    H5DataModule(**loaded)


@pytest.mark.parametrize("size", [0, -1, True, "8", 8.0, None, [4], 2**63], ids=repr)
def test_a_batch_size_that_is_set_later_is_checked_like_the_argument(make, write_files, size) -> None:
    dm = make(write_files())
    with pytest.raises(OptionError, match="batch_size must be an integer of at"):
        dm.batch_size = size
    assert dm.batch_size == 7


@pytest.mark.parametrize(
    "size", [np.int64(3), np.uint8(3), torch.tensor(3)], ids=lambda size: type(size).__name__
)
def test_a_batch_size_may_be_an_integer_of_numpy_or_torch(make, write_files, size, tmp_path) -> None:
    dm = make(write_files(), batch_size=size)
    assert next(iter(dm.train_dataloader()))["x"].shape[0] == 3
    dm.batch_size = size
    assert (type(dm.batch_size), type(dm.hparams["batch_size"])) == (int, int)
