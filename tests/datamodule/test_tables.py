"""Tables beside the files: their columns are fields, groups, splits and weights, and their lines may be series."""

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, H5Dataset, Series, Split, Table, Whole, Windows
from h5lightning.errors import (
    FieldError,
    MissingDataError,
    OptionError,
    ResumeError,
    SplitError,
    TableError,
)

ROWS = 10


@pytest.fixture
def folder(tmp_path):
    """Six files, the values of which are 100 × number + row, and a table of them in another order."""
    for number in range(6):
        with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
            file["x"] = np.arange(ROWS) + 100 * number
    write(
        tmp_path,
        "slide,label,age,split,case",
        *(f"s{n},{n % 2},{n + 0.5},{SPLITS[n]},c{n // 2}" for n in ORDER),
    )
    return tmp_path


ORDER = (3, 0, 5, 1, 4, 2)
SPLITS = ("train", "val", "test", "train", "dev", "")


def write(folder, *lines, name="t.csv"):
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def module(folder):
    made = []

    def make(fields, split=None, *, files="*.h5", setup=True, **options):
        table = {"path": str(folder / "t.csv"), "file": "slide"} | options.pop("table", {})
        files = (
            {role: str(folder / one) for role, one in files.items()}
            if isinstance(files, dict)
            else str(folder / files)
        )
        dm = H5DataModule(
            files, fields, split=split, table=table, batch_size=7, index_dir=str(folder / "index"), **options
        )
        made.append(dm)
        if setup:
            dm.prepare_data()
            dm.setup()
        return dm

    yield make
    for dm in made:
        dm.teardown()


def batches(dm, stage="train"):
    """All samples of a stage, sorted by ``x``."""
    loader = getattr(dm, f"{stage}_dataloader")()
    found = list(loader)
    whole = {key: torch.cat([batch[key] for batch in found]) for key in found[0]}
    order = whole["x"].reshape(len(whole["x"]), -1)[:, 0].argsort()
    return {key: value[order] for key, value in whole.items()}


def test_each_sample_gets_the_values_of_its_file(module):
    both = Field(["table:label", "table:age"])
    fields = {
        "y": "table:label",
        "x": "x",
        "age": "table:age",
        "both": both,
        "b": Field("table:label", dtype="bool"),
    }
    dm = module(fields, Split(val=None, test=None), dtype="float64")
    spec = dm.sample_spec
    assert list(spec) == ["y", "x", "age", "both", "b"]
    assert [spec[key].dtype for key in ("y", "age", "both", "b")] == ["int64", "float64", "float64", "bool"]
    assert (spec["both"].shape, spec["both"].columns) == ((2,), ("label", "age"))
    got = batches(dm)
    number = got["x"] // 100
    assert torch.equal(got["y"], number % 2)
    assert torch.equal(got["age"], number + 0.5)
    assert torch.equal(got["both"], torch.stack([number % 2, number + 0.5], 1).double())
    assert torch.equal(got["b"], number % 2 == 1)
    assert len(number) == 60


def test_a_column_says_the_split(module):
    dm = module({"x": "x"}, Split(given="table:split"))
    found = {
        stage: sorted({int(v) // 100 for v in batches(dm, stage)["x"]}) for stage in ("train", "val", "test")
    }
    assert found == {"train": [0, 3], "val": [1, 4], "test": [2]}
    assert "In no split: 10 rows" in str(dm.summary())


def test_a_column_keeps_files_together(module):
    dm = module({"x": "x"}, Split(val=1 / 3, test=1 / 3, keep_together="table:case"))
    found = [{int(v) // 200 for v in batches(dm, stage)["x"]} for stage in ("train", "val", "test")]
    assert sorted(sorted(one) for one in found) == [[0], [1], [2]]
    assert "Groups: train 1, val 1, test 1" in str(dm.summary())


def test_a_group_in_two_given_splits_is_an_error(module):
    with pytest.raises(
        SplitError, match=r"s0.h5 of train and s1.h5 of val share the value 'c0'.*split in the table"
    ):
        module({"x": "x"}, Split(given="table:split", keep_together="table:case"))


def test_a_column_gives_weights_and_classes_to_balance(module):
    one = Split(val=None, test=None)
    drawn = batches(module({"x": "x", "w": "table:label"}, one, shuffle={"weights": "w"}))
    assert set((drawn["x"] // 100 % 2).tolist()) == {1}
    balanced = batches(module({"x": "x", "w": "table:label"}, one, shuffle={"balance": "w"}))
    assert len(balanced["x"]) == 60


def test_files_without_a_line_are_left_out_if_asked(module, folder):
    write(folder, "slide,label", "s0,7", "s2,8", "other,9")
    with pytest.raises(
        TableError, match=r"4 files have no line: s1.h5, s3.h5, s4.h5 and 1 more; 1 line speaks of no"
    ):
        module({"x": "x", "y": "table:label"})
    dm = module({"x": "x", "y": "table:label"}, Split(val=None, test=None), table={"on_missing": "skip"})
    got = batches(dm)
    assert got["y"].tolist() == [7] * ROWS + [8] * ROWS
    assert [one.name for one in dm.summary().skipped] == ["s1.h5", "s3.h5", "s4.h5", "s5.h5"]
    assert "1 line of 3 in" in str(dm.summary())


def test_files_to_predict_need_no_line(module, folder):
    write(folder, "slide,label", *(f"s{n},{n}" for n in range(4)))
    files = {"train": "s[0-3].h5", "predict": "s[45].h5"}
    dm = module({"x": "x", "y": "table:label"}, files=files)
    assert set(batches(dm, "predict")) == {"x"}
    assert torch.equal(batches(dm)["y"], batches(dm)["x"] // 100)
    write(folder, "slide,label", *(f"s{n},{n}" for n in range(5)))
    with pytest.raises(TableError, match=r"1 file has no line: s5.h5"):
        module({"x": "x", "y": "table:label"}, files=files)


@pytest.mark.parametrize(
    ("cell", "field", "message"),
    [
        pytest.param(
            "benign",
            Field("table:label"),
            r"'benign' in line 3.*Field\('table:label', categories=True\)",
            id="text",
        ),
        pytest.param("", Field("table:label"), "is empty in line 3", id="empty"),
        pytest.param(
            "300", Field("table:label", dtype="uint8"), "is 300 in line 3.*uint8 cannot hold", id="large"
        ),
        pytest.param("1e60", Field("table:label"), "is 1e[+]60 in line 3.*float32 cannot hold", id="float"),
    ],
)
def test_a_cell_that_is_no_such_number_is_an_error(module, folder, cell, field, message):
    write(folder, "slide,label", "s0,1", f"s1,{cell}", *(f"s{n},1" for n in range(2, 6)), "other,text")
    with pytest.raises(FieldError, match=message):
        module({"x": "x", "y": field})


def test_options_that_do_not_go_together(module, folder):
    for field in ({"constant": True}, {"member": "a"}, {"axis": 1}, {"index": "i"}, {"decode": "cf"}):
        with pytest.raises(OptionError, match="is a column of the table"):
            Field("table:label", **field)
    with pytest.raises(OptionError, match="a list holds datasets, or columns of the table"):
        Field(["x", "table:label"])
    with pytest.raises(OptionError, match="field 'y' names the column 'label' of a table, found none"):
        H5Dataset(str(folder / "*.h5"), {"x": "x", "y": "table:label"})
    with pytest.raises(TableError, match="no column 'lable', which field 'y' names; did you mean 'label'"):
        module({"x": "x", "y": "table:lable"})
    write(folder, "slide,split", *(f"s{n},{'train' if n else 'trian'}" for n in range(6)))
    with pytest.raises(
        SplitError, match=r"line 2 of .* has 'trian', which is no split; did you mean 'train'"
    ):
        module({"x": "x"}, Split(given="table:split"))


def write_series(path, names, rows=6):
    with h5py.File(path, "w") as file:
        for number, name in enumerate(names):
            file[f"data/{name}/x"] = np.arange(rows) + 100 * number


def test_lines_of_series_by_name(tmp_path):
    write_series(tmp_path / "a.h5", ["demo_2", "demo_10", "demo_7"])
    write_series(tmp_path / "b.h5", ["demo_2"])
    write(tmp_path, "f,s,y", "b,demo_2,5", "a,demo_10,3", "a,7,4", "a,demo_1,9")
    table = Table(str(tmp_path / "t.csv"), file="f", series="s")
    fields, options = {"x": "data/demo_*/x", "y": "table:y"}, {"index_dir": str(tmp_path / "index")}
    with pytest.raises(
        TableError, match=r"1 series has no line: series 'demo_2' of a.h5; 1 line speaks of no series"
    ):
        H5Dataset(str(tmp_path / "*.h5"), fields, table=table, **options)
    skip = {"path": table.path, "file": "f", "series": "s", "on_missing": "skip"}
    dm = H5DataModule(str(tmp_path / "*.h5"), fields, table=skip, split=Split(val=None, test=None), **options)
    dm.setup()
    got = {dm.locate([one])[0][:2]: dm.train_dataset[n]["y"].item() for n, one in enumerate(range(18))}
    assert got == {
        (str(tmp_path / "a.h5"), "demo_7"): 4,
        (str(tmp_path / "a.h5"), "demo_10"): 3,
        (str(tmp_path / "b.h5"), "demo_2"): 5,
    }
    assert "Left out without a line" in str(dm.summary())
    dm.teardown()


def test_values_of_a_series_keep_their_place_when_others_are_left_out(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"] = np.arange(4 * 5).reshape(4, 5)
        file["of_series"] = np.arange(4) * 10
    write(tmp_path, "s,y", "3,33", "1,11")
    dataset = H5Dataset(
        str(tmp_path / "a.h5"),
        {"u": "u", "each": Field("of_series", constant=True, series_axis=0), "y": "table:y"},
        Windows(5, axis=1),
        series=Series(axis=0),
        table={"path": str(tmp_path / "t.csv"), "series": "s", "on_missing": "skip"},
        index_dir=str(tmp_path / "index"),
    )
    found = [(one["u"].tolist(), one["each"].item(), one["y"].item()) for one in dataset]
    dataset.close()
    assert found == [([5, 6, 7, 8, 9], 10, 11), ([15, 16, 17, 18, 19], 30, 33)]


PARTS = ("s1,2,4,3", "s0,5,9,2", "s0,0,3,1")


@pytest.fixture
def stretches(module, folder):
    """Makes a DataModule whose series are lines of a table."""

    def make(*lines, samples=None, split=None, **options):
        write(folder, "slide,a,b,stage,subject", *lines)
        table = {"start": "a", "stop": "b"} | options.pop("table", {})
        split = split or Split(val=None, test=None)
        fields = {"x": "x", "y": "table:stage"}
        return module(fields, split, files="s[01].h5", samples=samples, table=table, **options)

    return make


def test_lines_are_series_that_no_window_leaves(stretches):
    dm = stretches(*(f"{line},p" for line in PARTS), samples=Windows(2), provenance=True)
    got = batches(dm)
    assert got["x"].tolist() == [[0, 1], [1, 2], [5, 6], [6, 7], [7, 8], [102, 103]]
    assert got["y"].tolist() == [1, 1, 2, 2, 2, 3]
    places = dm.locate(got["sample_id"])
    # The number of the line among those of its file, and the row in it.
    assert [(place.series, place.row) for place in places] == [
        ("1", 0),
        ("1", 1),
        ("0", 0),
        ("0", 1),
        ("0", 2),
        ("0", 0),
    ]
    assert "In no series: 11 rows" in str(dm.summary())


def test_lines_are_whole_samples_and_groups(stretches):
    lines = [
        f"s{n},{start},{start + 2},{start + 10 * n},p{start % 4 // 2}"
        for n in (0, 1)
        for start in range(0, 10, 2)
    ]
    dm = stretches(*lines, samples=Whole(), split=Split(val=0.4, test=None, keep_together="table:subject"))
    train, val = batches(dm), batches(dm, "val")
    for got in (train, val):
        assert torch.equal(got["x"], (got["y"] // 10 * 100 + got["y"] % 10)[:, None] + torch.arange(2))
        assert len(set((got["y"] % 10 % 4 // 2).tolist())) == 1
    assert (len(train["y"]), len(val["y"])) == (6, 4)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("s0,3,3,1", r"line 5 of .* has a=3 and b=3, expected 0 ≤ start < stop", id="empty"),
        pytest.param("s0,-1,3,1", r"has a=-1 and b=3", id="negative"),
        pytest.param(
            "s1,8,11,1", r"line 5 of .* ends at row 11, beyond the 10 rows of .*s1.h5", id="outside"
        ),
        pytest.param("s0,8,10,1", r"lines 3 and 5 of .* overlap: both have row 8 of s0.h5", id="overlap"),
        pytest.param("s0,x,10,1", r"line 5 of .*: the column 'a' \(table.start\) is 'x'", id="no number"),
    ],
)
def test_lines_that_are_no_series(stretches, line, message):
    with pytest.raises(TableError, match=message):
        stretches(*(f"{one},p" for one in (*PARTS, line)))


def test_a_file_without_lines(stretches):
    with pytest.raises(TableError, match=r"1 file has no line: s1.h5"):
        stretches("s0,1,3,1,p", "other,1,x,1,p")  # lines of other files do not count
    assert batches(stretches("s0,1,3,1,p", table={"on_missing": "skip"}))["x"].tolist() == [1, 2]


def test_lines_are_parts_of_named_series(tmp_path):
    write_series(tmp_path / "a.h5", ["p", "q"])
    write(tmp_path, "s,a,b,y", "q,1,3,5", "p,2,6,6", "q,4,5,7")
    dm = H5DataModule(
        str(tmp_path / "a.h5"),
        {"x": "data/*/x", "y": "table:y"},
        table={"path": str(tmp_path / "t.csv"), "series": "s", "start": "a", "stop": "b"},
        split=Split(val=None, test=None),
        index_dir=str(tmp_path / "index"),
        provenance=True,
    )
    dm.setup()
    got = batches(dm)
    assert got["x"].tolist() == [2, 3, 4, 5, 101, 102, 104]
    assert got["y"].tolist() == [6, 6, 6, 6, 5, 5, 7]
    assert dm.locate(got["sample_id"])[-1][1:] == ("q/1", 0)
    dm.teardown()


def test_a_series_without_lines(tmp_path):
    write_series(tmp_path / "a.h5", ["p", "q"])
    write(tmp_path, "s,a,b", "q,1,3", "r,2,6")
    table = {"path": str(tmp_path / "t.csv"), "series": "s", "start": "a", "stop": "b"}
    options = {"index_dir": str(tmp_path / "index")}
    with pytest.raises(
        TableError, match=r"1 series has no line: series 'p' of a.h5; 1 line speaks of no series: .*'r'"
    ):
        H5Dataset(str(tmp_path / "a.h5"), {"x": "data/*/x"}, table=table, **options)
    table["on_missing"] = "skip"
    dataset = H5Dataset(str(tmp_path / "a.h5"), {"x": "data/*/x"}, table=table, **options)
    assert [one["x"].item() for one in dataset] == [101, 102]
    dataset.close()


def test_moved_lines_change_what_a_checkpoint_resumes(stretches):
    states = []
    for line in ("s0,1,3,1,p", "s0,2,4,1,p"):
        dm = stretches(line, "s1,1,3,1,p")
        states.append(dm.state_dict())
    with pytest.raises(ResumeError, match="lines of the table say other rows"):
        dm.load_state_dict(states[0])
    dm.load_state_dict(states[1])


def test_columns_have_categories(module, folder):
    kinds = ("b", "10", "9", "b", "", "é")
    write(
        folder,
        "slide,kind,other,n",
        *(f"s{n},{kinds[n]},{kinds[n - 1]},{n}" for n in range(6)),
        "zz,never,x,1",
    )
    fields = {
        "x": "x",
        "k": Field("table:kind", categories=True, unknown=-1),
        "listed": Field("table:kind", categories=["é", "b"], unknown=7, dtype="uint8"),
        "n": Field("table:n", categories=[5, 4, 3, 2, 1, 0]),
        "both": Field(["table:kind", "table:other"], categories=True, unknown=-1),
    }
    dm = module(fields, Split(val=None, test=None))
    spec = dm.sample_spec
    assert (
        spec["k"].classes == spec["both"].classes == ("10", "9", "b", "é")
    )  # by code points; "never" never occurs
    assert (spec["both"].shape, spec["listed"].dtype, dm.num_classes("n")) == ((2,), "uint8", 6)
    got = batches(dm)
    number = got["x"] // 100
    assert torch.equal(got["k"], torch.tensor([2, 0, 1, 2, -1, 3])[number])
    assert torch.equal(got["listed"], torch.tensor([1, 7, 7, 1, 7, 0], dtype=torch.uint8)[number])
    assert torch.equal(got["n"], 5 - number)
    assert torch.equal(got["both"][:, 1], torch.tensor([3, 2, 0, 1, 2, -1])[number])


def test_a_cell_without_a_category_is_an_error(module, folder):
    write(folder, "slide,kind", *(f"s{n},{'benin' if n == 4 else 'benign'}" for n in range(6)))
    with pytest.raises(FieldError, match=r"holds 'benin' in line 6 of .*nearest known category is 'benign'"):
        module({"x": "x", "k": Field("table:kind", categories=["benign", "malignant"])})
    write(folder, "slide,kind", *(f"s{n},{'' if n == 4 else 'benign'}" for n in range(6)))
    with pytest.raises(MissingDataError, match=r"\('table:kind'\) has no value in line 6"):
        module({"x": "x", "k": Field("table:kind", categories=True)})


def test_files_to_predict_may_have_empty_cells(module, folder):
    write(folder, "slide,kind,age", *(f"s{n},{'ab'[n % 2] if n < 4 else ''},{n}" for n in range(6)))
    files = {"train": "s[0-3].h5", "predict": "s[45].h5"}
    fields = {"x": "x", "k": Field("table:kind", categories=True), "age": "table:age"}
    assert set(batches(module(fields, files=files), "predict")) == {"x", "age"}
    write(folder, "slide,kind,age", *(f"s{n},{'ab'[n % 2] if n < 4 else 'c'},{n}" for n in range(6)))
    dm = module(fields, files=files)
    assert dm.sample_spec["k"].classes == ("a", "b")
    with pytest.raises(FieldError, match=r"holds 'c' in s4.h5, which is no category"):
        batches(dm, "predict")
    write(folder, "slide,kind,age", *(f"s{n},a,{n if n < 5 else ''}" for n in range(6)))
    with pytest.raises(FieldError, match="column 'age' is empty in line 7"):
        module(fields, files=files)


def test_classes_and_statistics_of_a_training_count_for_prediction(module, folder):
    write(folder, "slide,kind,age", *(f"s{n},{'ab'[n % 2]},{10 * n}" for n in range(6)))
    fields = {"x": "x", "k": Field("table:kind", categories=True), "age": Field("table:age", dtype="float32")}
    options = {"normalize": {"age": "standard"}}
    train = module(fields, Split(val=None, test=None), files="s[0-3].h5", **options)
    assert train.statistics["age"].mean.item() == 15
    assert train.class_weights("k").tolist() == [1, 1]
    state = train.state_dict()
    write(folder, "slide,kind,age", "s4,b,15", "s5,b,15")
    other = module(fields, files={"predict": "s[45].h5"}, setup=False, **options)
    other.load_state_dict(state)
    with pytest.warns(UserWarning, match="another split"):
        other.setup("predict")
    assert other.sample_spec["k"].classes == ("a", "b")
    got = batches(other, "predict")
    assert (set(got["k"].tolist()), set(got["age"].tolist())) == ({1}, {0.0})
