"""Packed, masked and mixed data through every door: the values that the files mean, or an error with its remedy."""

from __future__ import annotations

import copy
import pickle

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from h5lightning import Field, H5DataModule, H5Dataset, Windows
from h5lightning.errors import FieldError, MissingDataError, NonFiniteError, UnsupportedFieldError

READERS = ("auto", "h5py")
SCALES = (0.01, 0.25, 1e-3)
ROWS, SHAPE, FILL = 12, (3, 4), -999


_TO_CLOSE = []


def opened(*args, **options):
    """A dataset that is closed when the test ends."""
    _TO_CLOSE.append(H5Dataset(*args, **options))
    return _TO_CLOSE[-1]


@pytest.fixture(autouse=True)
def _close():
    yield
    while _TO_CLOSE:
        _TO_CLOSE.pop().close()


@pytest.fixture
def packed(tmp_path):
    """The pattern of three files with scales of their own, and the values that they mean."""
    rng = np.random.default_rng(0)
    meant = []
    for number, scale in enumerate(SCALES):
        with h5py.File(tmp_path / f"{number}.nc", "w") as file:
            stored = rng.integers(-900, 900, (ROWS, *SHAPE)).astype("i2")
            stored[number, 0, number] = FILL
            options = {"chunks": (5, *SHAPE), "compression": "gzip"} if number else {}
            data = file.create_dataset("t", data=stored, **options)
            data.attrs.update(scale_factor=scale, add_offset=np.float32(280), _FillValue=np.int16(FILL))
            grid = file.create_dataset("grid", data=np.asarray([[1, FILL], [2, 3]], ">i2"))
            grid.attrs.update(scale_factor=scale, _FillValue=np.asarray(FILL, ">i2"))
            file["y"] = np.arange(ROWS) + 100 * number
        values = stored * np.float64(scale) + np.float64(280)
        meant.append(np.where(stored == FILL, np.nan, values))
    return str(tmp_path / "*.nc"), np.concatenate(meant)


def same(found, expected):
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dtype", [None, "float64", "float32"])
def test_each_file_is_decoded_with_its_own_attributes(packed, reader, dtype):
    pattern, meant = packed
    dataset = opened(pattern, {"t": Field("t", decode="cf", dtype=dtype)}, reader=reader)
    order = np.random.default_rng(1).permutation(len(dataset))
    found = dataset.read_batch(order)["t"]
    assert found.dtype == getattr(torch, dtype or "float32")
    same(found, meant[order].astype(dtype or "float32"))


def test_the_type_of_the_module_is_the_type_of_decoded_fields(packed):
    pattern, meant = packed
    dataset = opened(pattern, {"t": Field("t", decode="cf")}, dtype="float64")
    same(dataset.read_batch(range(ROWS))["t"], meant[:ROWS])


@pytest.mark.parametrize("reader", READERS)
def test_windows_of_two_fields_share_decoded_rows(packed, reader):
    pattern, meant = packed
    fields = {
        "x": Field("t", decode="cf", steps=(0, 3)),
        "y": Field("t", decode="cf", steps=(3, 4)),
        "z": Field("t", decode="cf", dtype="float64", steps=(1, 3)),
        "raw": Field("t", decode="stored", steps=(0, 1)),
    }
    dataset = opened(pattern, fields, Windows(4), reader=reader)
    starts = [start + ROWS * number for number in range(3) for start in range(ROWS - 3)]
    batch = dataset.read_batch(range(len(dataset)))
    windows = np.stack([meant[start : start + 4] for start in starts])
    same(batch["x"], windows[:, :3].astype("f4"))
    same(batch["y"], windows[:, 3:].astype("f4"))
    same(batch["z"], windows[:, 1:3])
    assert batch["raw"].dtype == torch.int16


@pytest.mark.parametrize("reader", READERS)
def test_constants_are_decoded_for_each_file(packed, reader):
    pattern, _ = packed
    fields = {"y": "y", "g": Field("grid", constant=True, decode="cf")}
    found = opened(pattern, fields, reader=reader).read_batch([0, ROWS, 2 * ROWS, 1])["g"]
    for number, scale in enumerate((*SCALES, SCALES[0])):
        same(found[number], np.asarray([[scale, np.nan], [2 * scale, 3 * scale]], "f4"))


def test_workers_copies_and_parts_deliver_the_same(packed):
    pattern, meant = packed
    dataset = opened(pattern, {"t": Field("t", decode="cf")})
    loader = DataLoader(dataset, batch_size=7, num_workers=2, multiprocessing_context="fork", timeout=60)
    same(torch.cat([batch["t"] for batch in loader]), meant.astype("f4"))
    for other in (copy.copy(dataset), copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        _TO_CLOSE.append(other)
        same(other.read_batch([20, 3])["t"], meant[[20, 3]].astype("f4"))


def test_a_data_module_delivers_decoded_batches(packed):
    pattern, meant = packed
    dm = H5DataModule(
        pattern,
        {"t": {"path": "t", "decode": "cf"}},
        provenance=True,
        batch_size=5,
        split={"val": None, "test": None},
    )
    dm.setup()
    assert (dm.sample_spec["t"].dtype, dm.sample_spec["t"].shape) == ("float32", SHAPE)
    for batch in dm.train_dataloader():
        same(batch["t"], meant[batch["sample_id"].numpy()].astype("f4"))
    dm.teardown("fit")


def test_without_decode_packed_data_are_refused_at_setup(packed):
    with pytest.raises(UnsupportedFieldError, match=r"scale_factor=0.01.*Field\('t', decode='cf'\)"):
        opened(packed[0], ["t"])
    with pytest.raises(UnsupportedFieldError, match="grid"):
        opened(packed[0], {"y": "y", "g": Field("grid", constant=True)})


def test_stored_numbers_are_delivered_where_they_are_asked_for(packed):
    found = opened(packed[0], {"t": Field("t", decode="stored")}).read_batch(range(3 * ROWS))["t"]
    assert found.dtype == torch.int16
    assert int((found == FILL).sum()) == 3


def test_missing_values_count_as_not_finite(packed):
    dataset = opened(packed[0], {"t": Field("t", decode="cf")}, access={"on_nonfinite": "raise"})
    assert dataset.read_batch([1, 2]).keys() == {"t"}
    with pytest.raises(NonFiniteError, match="row 0 of"):
        dataset.read_batch([1, 0])


def test_an_integer_type_holds_no_missing_value(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.asarray([1, 2, -9, 3] * 10, "i2")
        file["x"].attrs["_FillValue"] = np.int16(-9)
    dataset = opened(str(tmp_path / "a.h5"), {"x": Field("x", decode="cf", dtype="int64")})
    assert dataset.read_batch([0, 1, 3])["x"].tolist() == [1, 2, 3]
    with pytest.raises(FieldError, match=r"holds -9 at row 2 of .*int64 cannot hold"):
        dataset.read_batch([0, 2])


# ── found while training ─────────────────────────────────────────────────────────────────────────────


class Sum(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen = []

    def training_step(self, batch, _):
        self.seen += batch["sample_id"].tolist()
        return self.layer(torch.nan_to_num(batch["x"].float())[:, :1]).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


@pytest.fixture
def hidden(tmp_path):
    """A file with one missing value, where no scan looks."""
    values = np.arange(40, dtype="i2")[:, None].repeat(
        4000, axis=1
    )  # too many for a scan to look at all of them
    values[13, 7] = -9
    with h5py.File(tmp_path / "hidden.h5", "w") as file:
        file["x"] = values
        file["x"].attrs["_FillValue"] = np.int16(-9)
    return str(tmp_path / "hidden.h5")


def module_of(hidden, **field):
    return H5DataModule(
        hidden,
        {"x": Field("x", **field)},
        provenance=True,
        batch_size=4,
        shuffle="none",
        split={"val": None, "test": None},
    )


def trainer_of(tmp_path):
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )


def test_a_missing_value_ends_the_batch_that_holds_it(hidden):
    dataset = opened(hidden, ["x"])
    others = [row for row in range(40) if row != 13]
    assert dataset.read_batch(others)["x"][:, 7].tolist() == others
    with pytest.raises(
        MissingDataError, match=r"holds -9 at row 13 of .*_FillValue=-9.*decode='cf'.*checkpoint"
    ):
        dataset.read_batch(range(40))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dtype", [None, "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("kind", ["rows", "steps", "shared steps", "constant"])
def test_a_missing_value_is_found_in_every_kind_of_field_and_its_row_named(tmp_path, kind, dtype, reader):
    values = np.ones((40, 3000))
    values[13, 2999] = 1e20
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["y"] = np.arange(40)
        for name in ("x", "grid"):
            file[name] = values
            file[name].attrs["missing_value"] = 1e20
    fields = {
        "rows": {"x": Field("x", dtype=dtype)},
        "steps": {"x": Field("x", dtype=dtype, steps=(1, 3))},
        "shared steps": {
            "x": Field("x", dtype=dtype, steps=(1, 3)),
            "z": Field("x", dtype=dtype, steps=(0, 1)),
        },
        "constant": {"y": "y", "x": Field("grid", dtype=dtype, constant=True)},
    }[kind]
    samples = Windows(3) if "steps" in kind else None
    dataset = opened(str(tmp_path / "a.h5"), fields, samples, reader=reader)
    with pytest.raises(MissingDataError, match=r"field 'x' .*holds 1e\+20 at (row 13 of|\[13, 2999\] in)"):
        dataset.read_batch([20, 12, 3, 13])
    if kind != "constant":
        assert (dataset.read_batch([0, 30])["x"] == 1).all()


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("decode", ["cf", "stored"])
def test_a_run_that_met_a_missing_value_goes_on_from_its_checkpoint(hidden, tmp_path, decode):
    model, trainer = Sum(), trainer_of(tmp_path)
    with pytest.raises(MissingDataError):
        trainer.fit(model, datamodule=module_of(hidden))
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    again = Sum()
    trainer_of(tmp_path).fit(
        again,
        datamodule=module_of(hidden, decode=decode),
        ckpt_path=tmp_path / "stopped.ckpt",
        weights_only=True,
    )
    assert model.seen + again.seen == list(range(40))


# ── types that differ between files ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("delivered", ["float16", "bfloat16", "float32", "float64", "int64"])
def test_files_of_any_number_type_are_one_field(tmp_path, reader, delivered):
    kinds = ["<f4", ">f4", "<f8", ">i2", "u1", "<i8"]
    for number, kind in enumerate(kinds):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = (np.arange(18).reshape(9, 2)).astype(kind)
    dataset = opened(str(tmp_path / "*.h5"), {"x": Field("x", dtype=delivered)}, reader=reader)
    order = np.random.default_rng(0).permutation(len(dataset))
    found = dataset.read_batch(order)["x"]
    assert found.dtype == getattr(torch, delivered)
    expected = np.concatenate([np.arange(18).reshape(9, 2)] * len(kinds))[order]
    same(found.double(), expected)


def test_byte_order_alone_needs_no_word(tmp_path):
    for name, kind in (("a", "<f4"), ("b", ">f4")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = np.arange(4).astype(kind)
    assert opened(str(tmp_path / "*.h5"), ["x"]).read_batch(range(8))["x"].tolist() == [0, 1, 2, 3] * 2


def test_widths_that_differ_name_the_option_that_says_one(tmp_path):
    for name, kind in (("a", "<f4"), ("b", "<f8")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = np.arange(4).astype(kind)
    pattern = str(tmp_path / "*.h5")
    with pytest.raises(Exception, match=r"has dtype <f8, expected <f4.*Field\('x', dtype='float64'\)"):
        opened(pattern, ["x"])
    assert opened(pattern, ["x"], dtype="float32").read_batch([0, 7])["x"].tolist() == [0, 3]
    dm = H5DataModule(
        pattern, ["x"], dtype="float32", access={"on_bad_file": "skip"}, split={"val": None, "test": None}
    )
    dm.setup()
    assert len(dm.train_dataset) == 8
    dm.teardown("fit")


def test_a_value_that_is_lost_is_named_with_its_row_in_its_file(tmp_path):
    for name, values in (("a", np.zeros(4, "f4")), ("b", np.asarray([1, 2, 1e39, 3]))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = values
    dataset = opened(str(tmp_path / "*.h5"), {"x": Field("x", dtype="float32")})
    assert dataset.read_batch([0, 4, 5, 7])["x"].tolist() == [0, 1, 2, 3]
    with pytest.raises(FieldError, match=r"holds 1e\+39 at row 2 of .*b.h5, which float32 cannot hold"):
        dataset.read_batch(range(8))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((np.uint64(2**63 + 1), np.int64(7)), [2**63 + 1, 7]),
        ((np.int64(2**62 + 1), np.uint8(3)), [2**62 + 1, 3]),
        ((np.int8(-5), np.uint64(9)), [-5, 9]),
        ((np.float32(0.5), np.int16(3)), [0.5, 3.0]),
    ],
    ids=["unsigned", "wide", "signed", "float"],
)
def test_attributes_of_mixed_types_keep_their_values(tmp_path, values, expected):
    for number, value in enumerate(values):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(2)
            file.attrs["a"] = value
    batch = opened(str(tmp_path / "*.h5"), {"x": "x", "a": "attr:a"}).read_batch([0, 2])
    assert batch["a"].tolist() == expected


def test_attributes_that_no_type_holds_are_an_error_at_setup(tmp_path):
    for number, value in enumerate((np.uint64(2**63 + 1), np.int64(-1))):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(2)
            file.attrs["a"] = value
    with pytest.raises(
        FieldError, match=r"attribute 'a'.* is -1, which uint64 cannot hold.* different types"
    ):
        opened(str(tmp_path / "*.h5"), {"x": "x", "a": "attr:a"})
    with pytest.raises(
        FieldError, match=r"-1, which uint8 cannot hold\. Field\(attr='a', dtype='float64'\) delivers"
    ):
        opened(str(tmp_path / "1.h5"), {"x": "x", "a": Field(attr="a", dtype="uint8")})
