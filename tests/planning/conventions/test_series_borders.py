"""Windows over the borders of series are an error at setup, through all front doors; both ways out work."""

import json
import pickle
import re

import h5py
import numpy as np
import pytest
import torch
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI
from typer.testing import CliRunner

from h5lightning import Field, H5DataModule, H5Dataset, Rows, Series, Whole, Windows
from h5lightning.cli import app
from h5lightning.config import register
from h5lightning.errors import OptionError, UnsupportedFieldError
from h5lightning.planning.catalog.annotations import Annotations, SeriesTable
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.file_schema import FileSchema
from h5lightning.planning.catalog.schema import DatasetSchema
from h5lightning.planning.conventions.series_borders import check_series_borders, evidence_text, series_option
from h5lightning.tools.inspect import inspect_files

pytestmark = pytest.mark.timeout(120)

ENDS = (4, 9, 12)
REMEDY = r"series='file'.*Field\('x', decode='stored'\)"
TABLE = SeriesTable(("meta/ends",), "ends")


def write(path, ends=ENDS, number=0):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(24, dtype="f4").reshape(12, 2) + 100 * number
        file["y"] = np.arange(12)
        if ends is not None:
            file["meta/ends"] = ends


@pytest.fixture
def files(tmp_path):
    """Six files of which the last two hold three series each."""
    for number in range(6):
        write(tmp_path / f"{number}.h5", ENDS if number > 3 else None, number)
    return str(tmp_path / "*.h5")


# ── the check ────────────────────────────────────────────────────────────────────────────────────────


def catalog_of(*tables):
    schemas = [
        FileSchema(
            (DatasetSchema("x", "<f4", (1200,), annotations=Annotations(series=(table,) if table else ())),)
        )
        for table in tables
    ]
    return Catalog.of(
        "/data", [f"{number}.h5" for number in range(len(tables))], np.zeros((len(tables), 4)), schemas
    )


def check(*tables, field=None, samples=None, files=None, series=None):
    catalog = catalog_of(*tables)
    files_to_check = np.arange(len(catalog)) if files is None else np.asarray(files)
    check_series_borders(
        catalog, "k", field or Field("x"), samples or Windows(3), files_to_check, series=series
    )


def test_the_error_says_what_where_and_what_to_do():
    with pytest.raises(UnsupportedFieldError) as caught:
        check(None, TABLE, None, TABLE, TABLE)
    message = str(caught.value)
    assert message.startswith("field 'k': '/x' in /data/1.h5 holds several series")
    assert "'/meta/ends' has the ends of series that tile its 1,200 rows (and 2 more files)" in message
    assert "Windows(length=3, stride=1, dilation=1" in message
    assert "would cross their borders" in message
    assert re.search(REMEDY, message)


@pytest.mark.parametrize(
    "options",
    [
        {"samples": Rows()},
        {"samples": Whole()},
        {"samples": Windows(1, stride=3, dilation=2)},
        {"series": "file"},
        {"field": Field("x", decode="stored")},
        {"field": Field("y")},
        {"files": [0]},
    ],
    ids=["rows", "whole", "windows of one row", "series", "decode", "absent", "other files"],
)
def test_what_crosses_no_border_or_is_meant_is_fine(options):
    check(None, TABLE, **options)


@pytest.mark.parametrize("samples", [Windows(2), Windows(2, dilation=5), Windows(5, stride=5)])
def test_each_window_of_rows_may_cross(samples):
    with pytest.raises(UnsupportedFieldError):
        check(TABLE, samples=samples)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (TABLE, "'/meta/ends' has the ends of series that tile its 12 rows"),
        (SeriesTable(("p",), "offsets"), "'/p' has the offsets of series that tile its 12 rows"),
        (SeriesTable(("s",), "starts"), "'/s' has the first rows of series that tile its 12 rows"),
        (SeriesTable(("l",), "lengths"), "'/l' has the lengths of series that tile its 12 rows"),
        (
            SeriesTable(("i/first", "i/count"), "starts and lengths"),
            "'/i/first' and '/i/count' have the first rows and the lengths of series that tile its 12 rows",
        ),
        (
            SeriesTable(("t[a]", "t[b]"), "starts and ends"),
            "'/t[a]' and '/t[b]' have the first rows and the ends of series that tile its 12 rows",
        ),
        (SeriesTable(("d",), "flags"), "'/d' says that series begin or end among its 12 rows"),
        (SeriesTable(("d", "t"), "flags"), "'/d' and '/t' say that series begin or end among its 12 rows"),
        (SeriesTable(("e",), "runs"), "'/e' has runs of equal numbers, one for each series of its 12 rows"),
    ],
)
def test_evidence_in_words(table, text):
    assert evidence_text(table, 12) == text
    assert evidence_text(table) == text.replace("12 ", "")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (TABLE, "Series(ends='meta/ends')"),
        (SeriesTable(("p",), "offsets"), "Series(offsets='p')"),
        (SeriesTable(("l",), "lengths"), "Series(lengths='l')"),
        (
            SeriesTable(("i/first", "i/count"), "starts and lengths"),
            "Series(starts='i/first', lengths='i/count')",
        ),
        (SeriesTable(("t[a]", "t[b]"), "starts and ends"), "Series(starts='t/a', stops='t/b')"),
        (SeriesTable(("d", "t"), "flags"), "Series(flags=['d', 't'])"),
        (SeriesTable(("e",), "runs"), "Series(runs='e')"),
    ],
)
def test_the_remedy_is_the_option_that_names_the_table(table, text):
    option = series_option(table)
    assert option is not None
    assert option.text() == text
    with pytest.raises(UnsupportedFieldError) as caught:
        check(None, table)
    assert f"series={text} keeps windows inside of them" in str(caught.value)


def test_without_an_option_the_remedy_is_another_file():
    for table in (SeriesTable(("s",), "starts"), SeriesTable(("is_first",), "flags", is_plain=False)):
        assert (series_option(table) is None) == (not table.is_plain or table.kind == "starts")
        with pytest.raises(UnsupportedFieldError, match="write each series to its own file"):
            check(table)


def test_the_remedy_works(tmp_path, ready):
    write(tmp_path / "a.h5")
    with pytest.raises(UnsupportedFieldError) as caught:
        H5DataModule(str(tmp_path / "a.h5"), ["x"], Windows(3)).setup()
    option = eval(re.search(r"series=(Series\(.*?\)) keeps", str(caught.value)).group(1), {"Series": Series})
    split = {"val": None, "test": None}
    dm = ready(H5DataModule(str(tmp_path / "a.h5"), ["x"], Windows(3), series=option, split=split))
    assert [place.row for place in dm.locate(range(6))] == [0, 1, 0, 1, 2, 0]


# ── front doors ──────────────────────────────────────────────────────────────────────────────────────


def test_a_dataset(files):
    with pytest.raises(
        UnsupportedFieldError, match=rf"field 'x': '/x' in .*4\.h5 .* \(and 1 more file.*{REMEDY}"
    ):
        H5Dataset(files, {"y": Field("y", decode="stored"), "x": "x"}, Windows(3))
    for options in ({"series": "file"}, {"fields": {"x": Field("x", decode="stored")}}):
        dataset = H5Dataset(files, **{"fields": ["x"], **options}, samples=Windows(3))
        assert len(dataset) == 60
        assert dataset[52]["x"][:, 0].tolist() == [504.0, 506.0, 508.0]
        dataset.close()
    assert len(H5Dataset(files, ["x"])) == len(H5Dataset(files, ["x"], Windows(1))) == 72
    assert len(H5Dataset(files, ["x"], Whole())) == 6


def test_the_tables_may_be_learned_from_the_index(files):
    H5Dataset(files, ["x"])
    with pytest.raises(UnsupportedFieldError, match="'/meta/ends' has the ends"):
        H5Dataset(files, ["x"], Windows(3))


def test_constants_and_attributes_have_no_rows(files):
    for path in sorted({files.replace("*", str(number)) for number in range(6)}):
        with h5py.File(path, "a") as file:
            file.attrs["fps"] = 30
            file["other"] = np.arange(5)
    fields = {"x": Field("other"), "grid": Field("x", constant=True), "fps": Field(attr="fps")}
    dataset = H5Dataset(files, fields, Windows(2))
    assert dataset[0]["grid"].shape == (12, 2)
    dataset.close()


def test_all_fields_that_fit(tmp_path):
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.zeros((9, 2), "f4")
            file["terminals"] = np.arange(9) % 3 == 2
    files = str(tmp_path / "*.h5")
    with pytest.raises(UnsupportedFieldError, match="'/terminals' says that series begin or end"):
        H5Dataset(files, None, Windows(2))
    assert len(H5Dataset(files, None)) == 27
    assert len(H5Dataset(files, None, Windows(2), series="file")) == 24


def test_a_data_module(files):
    dm = H5DataModule(files, ["x"], Windows(3), seed=1)
    with pytest.raises(UnsupportedFieldError, match=REMEDY):
        dm.setup()
    dm = H5DataModule(files, ["x"], Windows(3), seed=1, series="file")
    dm.setup()
    assert next(iter(dm.train_dataloader()))["x"].shape[1:] == (3, 2)
    dm.teardown()


@pytest.mark.parametrize("role", ["train", "val", "predict"])
def test_files_of_each_role(tmp_path, role):
    for name in ("train", "val", "predict"):
        write(tmp_path / f"{name}.h5", ENDS if name == role else None)
    files = {name: str(tmp_path / f"{name}.h5") for name in ("train", "val", "predict")}
    with pytest.raises(UnsupportedFieldError, match=rf"{role}\.h5 holds several series"):
        H5DataModule(files, ["x"], Windows(3)).setup()
    H5DataModule(files, ["x"], Windows(3), series="file").setup()
    H5DataModule(files, ["x"]).setup()


def test_such_files_are_not_left_out_as_bad_ones(files):
    access = {"on_bad_file": "skip", "max_bad_fraction": 1}
    with pytest.raises(UnsupportedFieldError, match=REMEDY):
        H5DataModule(files, ["x"], Windows(3), access=access).setup()


@pytest.mark.parametrize("series", ["files", "", 1, ["file"]])
def test_series_must_be_known(files, series):
    for make in (H5DataModule, H5Dataset):
        with pytest.raises(OptionError, match="series must be"):
            make(files, ["x"], series=series)


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────


def test_it_is_a_plain_hyperparameter(files, tmp_path):
    dm = H5DataModule(files, ["x"], Windows(3), series="file")
    assert dm.hparams.series == "file"
    torch.save(dict(dm.hparams), tmp_path / "h.pt")
    assert torch.load(tmp_path / "h.pt", weights_only=True)["series"] == "file"
    assert pickle.loads(pickle.dumps(dm)).hparams.series == "file"
    assert H5DataModule(files).hparams.series is None


def test_a_run_is_resumed_with_and_without_it(files):
    def module(series, fields):
        dm = H5DataModule(files, fields, Windows(3), batch_size=4, seed=1, series=series)
        dm.setup("fit")
        return dm

    meant = {"x": Field("x", decode="stored")}
    first = module("file", {"x": "x"})
    batches = iter(first.train_dataloader())
    next(batches)
    state, expected = first.state_dict(), next(batches)
    second = module(None, meant)
    second.load_state_dict(state)
    assert torch.equal(next(iter(second.train_dataloader()))["x"], expected["x"])
    first.teardown()
    second.teardown()


# ── command lines and configurations ─────────────────────────────────────────────────────────────────


class Mean(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, _):
        return self.weight * batch["x"].mean()

    def validation_step(self, batch, _):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")
@pytest.mark.parametrize("options", [["--data.series=file"], []], ids=["series", "none"])
def test_lightning_cli(files, monkeypatch, options):
    quiet = [f"--trainer.{name}=false" for name in ("logger", "enable_checkpointing", "enable_progress_bar")]
    data = [
        "--data=h5lightning.H5DataModule",
        f"--data.files={files}",
        "--data.fields=[x]",
        "--data.samples={kind: windows, length: 3}",
    ]
    trainer = ["--trainer.accelerator=cpu", "--trainer.max_steps=1", "--trainer.enable_model_summary=false"]
    monkeypatch.setattr("sys.argv", ["cli.py", "fit", *trainer, *quiet, *data, *options])
    if options:
        cli = LightningCLI(Mean, save_config_callback=None, seed_everything_default=3)
        assert (cli.datamodule.hparams.series, cli.trainer.global_step) == ("file", 1)
    else:
        with pytest.raises(UnsupportedFieldError, match=REMEDY):
            LightningCLI(Mean, save_config_callback=None, seed_everything_default=3)


def test_hydra(files):
    register()
    ConfigStore.instance().store(name="app", node={"defaults": [{"data": "h5"}, "_self_"]})
    overrides = [f"data.files={files}", "data.fields=[x]", "data.samples={length: 3}"]
    try:
        with initialize(config_path=None, version_base="1.3"):
            plain = instantiate(compose("app", overrides=overrides).data)
            meant = instantiate(compose("app", overrides=[*overrides, "data.series=file"]).data)
            decoded = [
                f"data.files={files}",
                "data.fields={x: {path: x, decode: stored}}",
                "data.samples={length: 3}",
            ]
            stored = instantiate(compose("app", overrides=decoded).data)
    finally:
        GlobalHydra.instance().clear()
    with pytest.raises(UnsupportedFieldError, match=REMEDY):
        plain.setup()
    meant.setup()
    stored.setup()
    assert len(meant.train_dataset) == len(stored.train_dataset) > 0


def test_check(files):
    arguments = [
        "check",
        files,
        "--fields",
        "[x]",
        "--workers",
        "0",
        "--ranks",
        "1",
        "--batches",
        "1",
        "--json",
    ]
    runner = CliRunner()
    windows = runner.invoke(app, [*arguments, "--samples", "{length: 3}"])
    assert windows.exit_code == 1
    assert "would cross their borders" in windows.stdout
    meant = runner.invoke(app, [*arguments, "--samples", "{length: 3}", "--series", "file"])
    assert (meant.exit_code, json.loads(meant.stdout)["passed"]) == (0, True)
    assert runner.invoke(app, arguments).exit_code == 0
    assert isinstance(runner.invoke(app, [*arguments, "--series", "files"]).exception, OptionError)


# ── inspect ──────────────────────────────────────────────────────────────────────────────────────────


def test_inspect_says_so_and_advises_no_windows(files):
    found = inspect_files([files])
    (trap,) = [trap for trap in found.traps if trap.kind == "several series"]
    assert (trap.severity, trap.paths, trap.files) == ("note", ("x", "y"), 2)
    assert (
        "in 4.h5, 5.h5: '/meta/ends' has the ends of series that tile its rows. Single rows are fine"
        in trap.text
    )
    assert "Windows(5)" not in " ".join(found.hints)
    assert found.is_usable


def test_inspect_forecasts_where_nothing_divides_rows(tmp_path):
    for number, ends in enumerate([None, (4, 9, 13)]):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.zeros((12, 8), "f4")
            if ends is not None:
                file["meta/ends"] = ends
    found = inspect_files([str(tmp_path / "0.h5")])
    assert "samples=Windows(5)" in found.hints[0]
    assert [
        trap for trap in inspect_files([str(tmp_path / "1.h5")]).traps if trap.kind == "several series"
    ] == []
    with h5py.File(tmp_path / "0.h5", "a") as file:
        file["is_first"] = np.arange(12) % 6 == 0
    found = inspect_files([str(tmp_path / "0.h5")])
    assert "'/x' holds several series" in found.hints[0]
    assert "Windows(5)" not in found.hints[0]


def test_inspect_names_one_table_of_many(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(6):
            file[f"data/demo_{number}/actions"] = np.zeros((12, 2), "f4")
            file[f"data/demo_{number}/dones"] = np.arange(12) >= 10 + number % 2
    (trap,) = [
        trap for trap in inspect_files([str(tmp_path / "a.h5")]).traps if trap.kind == "several series"
    ]
    assert trap.paths == ("data/demo_*/actions", "data/demo_*/dones")
    assert (
        "'/data/demo_0/dones' says that series begin or end among its rows, and so do 2 more tables"
        in trap.text
    )


def test_values_that_are_no_rows_are_never_called_fine_as_single_rows(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["times"], file["times_index"] = np.arange(9.0), np.array([4, 9])
        file["times_index"].attrs["target"] = file["times"].ref
    with pytest.raises(UnsupportedFieldError, match="its entries are not rows"):
        H5Dataset(tmp_path / "a.h5", ["times"], Windows(2))
