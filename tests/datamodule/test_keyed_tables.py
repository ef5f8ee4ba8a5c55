"""Tables whose lines speak of rows, by a key that each row has."""

import itertools

import h5py
import numpy as np
import pytest
import torch

from h5lightning import Field, H5DataModule, H5Dataset, Series, Split, Table, Whole, Windows
from h5lightning.errors import FieldError, OptionError, SplitError, TableError

ROWS = {"a": 6, "b": 4}


@pytest.fixture
def folder(tmp_path):
    """Two files; the values of their rows are their keys, which are not in order."""
    keys = np.random.default_rng(0).permutation(100)[:10]
    start = 0
    for name, rows in ROWS.items():
        own = keys[start : start + rows]
        start += rows
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = own
            file["id"] = own.astype(np.int32)
            file["name"] = [f"exam-{key}" for key in own]
    return tmp_path, keys


@pytest.fixture
def module(folder):
    made = []
    folder, _ = folder

    def make(fields, *lines, key=("id", "id"), split=None, header="id,label,group,split,kind", **options):
        (folder / "t.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        table = {"path": str(folder / "t.csv"), "key": dict([key])} | options.pop("table", {})
        dm = H5DataModule(
            options.pop("files", str(folder / "*.h5")),
            fields,
            split=split or Split(val=None, test=None),
            table=table,
            batch_size=3,
            index_dir=str(folder / "index"),
            **options,
        )
        made.append(dm)
        dm.prepare_data()
        dm.setup()
        return dm

    yield make
    for dm in made:
        dm.teardown()


SPLITS = ("train", "val", "test", "")


def lines_of(keys, text="{}"):
    return [
        f"{text.format(k)},{k + 0.5},g{k % 3},{SPLITS[k % 4]},{'odd' if k % 2 else 'even'}"
        for k in sorted(keys)
    ]


def batches(dm, stage="train"):
    found = list(getattr(dm, f"{stage}_dataloader")())
    return {key: torch.cat([batch[key] for batch in found]) for key in found[0]} if found else None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param(("id", "id"), "{}", id="numbers"),
        pytest.param(("id", "id"), "{:05}", id="numbers with zeros"),
        pytest.param(("id", "name"), "exam-{}", id="text"),
    ],
)
def test_each_row_gets_the_values_of_its_line(module, folder, key, text):
    _, keys = folder
    fields = {
        "x": "x",
        "y": "table:label",
        "k": Field("table:kind", categories=True),
        "two": Field(["table:label", "table:label"], dtype="float64"),
    }
    dm = module(fields, *lines_of([*keys, 1000], text), key=key)
    assert dm.sample_spec["k"].classes == ("even", "odd")
    assert dm.sample_spec["two"].columns == ("label", "label")
    got = batches(dm)
    assert sorted(got["x"].tolist()) == sorted(keys.tolist())
    assert torch.equal(got["y"], got["x"] + 0.5)
    assert torch.equal(got["k"], got["x"] % 2)
    assert torch.equal(got["two"], torch.stack([got["y"], got["y"]], 1).double())
    assert "1 line of 11 in" in str(dm.summary())
    balanced = batches(module(fields, *lines_of(keys, text), key=key, shuffle={"balance": "k"}))
    assert torch.equal(balanced["k"], balanced["x"] % 2)


@pytest.mark.parametrize(
    "samples", [Windows(2, pad="zero"), Windows(3), Whole()], ids=["pad", "windows", "whole"]
)
def test_windows_and_whole_files_have_a_value_for_each_row(module, folder, samples):
    ragged = {"ragged": "list"} if isinstance(samples, Whole) else {}
    fields = {"x": Field("x", **ragged), "y": Field("table:label", dtype="float64", **ragged)}
    dm = module(fields, *lines_of(folder[1]), samples=samples)
    for batch in dm.train_dataloader():
        for x, y in zip(batch["x"], batch["y"], strict=True):
            assert torch.equal(y, torch.where((x == 0) & (y == 0), 0.0, x + 0.5))


def test_keys_may_come_again_in_other_files(module, folder):
    root, keys = folder
    with h5py.File(root / "c.h5", "w") as file:
        file["x"] = file["id"] = keys[:3]
    lines = [
        f"{name},{k},{k + start}"
        for name, start, own in (("a", 0, keys[:6]), ("b", 0, keys[6:]), ("c", 100, keys[:3]))
        for k in own
    ]
    dm = module(
        {"x": "x", "y": "table:label"}, *lines, header="f,id,label", table={"file": "f"}, provenance=True
    )
    got = batches(dm)
    is_c = torch.tensor([place.file.endswith("c.h5") for place in dm.locate(got["sample_id"])])
    assert torch.equal(got["y"], got["x"] + 100 * is_c)


def test_a_column_divides_rows(module, folder):
    _, keys = folder
    dm = module({"x": "x"}, *lines_of(keys), split=Split(given="table:split"))
    for number, stage in enumerate(SPLITS[:3]):
        got = batches(dm, stage)
        expected = [k for k in keys.tolist() if k % 4 == number]
        assert sorted([] if got is None else got["x"].tolist()) == sorted(expected)
    with pytest.raises(SplitError, match="leave one of them out"):
        module({"x": "x"}, *lines_of(keys), split=Split(given="table:split", keep_together="table:group"))


def test_a_column_keeps_rows_together(module, folder, tmp_path):
    _, keys = folder
    split = {"val": 0.3, "test": 0.3, "keep_together": "table:group"}
    dm = module({"x": "x"}, *lines_of(keys), split=split)
    found = {stage: {int(k) for k in batches(dm, stage)["x"]} for stage in SPLITS[:3]}
    groups = [{k % 3 for k in own} for own in found.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 3
    dm.save_split(tmp_path / "split.json")
    again = module({"x": "x"}, *lines_of(keys), split={"manifest": str(tmp_path / "split.json")})
    assert {stage: {int(k) for k in batches(again, stage)["x"]} for stage in found} == found


def test_rows_and_lines_that_do_not_match(module, folder):
    _, keys = folder
    lines = lines_of(keys)
    with pytest.raises(
        TableError, match=r"1 row of 10 has no line: row \d of .*\(key \d+\); 1 line speaks of no row: line 2"
    ):
        module({"x": "x", "y": "table:label"}, "1000,1,a,,", *lines[1:])
    with pytest.raises(TableError, match=r"lines 2 and 12 of .* have the key \d+ of a row of"):
        module({"x": "x", "y": "table:label"}, *lines, lines[0])
    with pytest.raises(FieldError, match="column 'label' is empty in line 11"):
        module({"x": "x", "y": "table:label"}, *lines[:-1], f"{max(keys)},,,,")
    with pytest.raises(TableError, match="holds no dataset"):
        module({"x": "x", "y": "table:label"}, *lines, key=("id", "ids"))
    with pytest.raises(OptionError, match=r"table.key matches single rows"):
        module({"x": "x"}, *lines, table={"series": "group"})


def test_rows_without_a_line_are_left_out_if_asked(module, folder):
    _, keys = folder
    known = sorted(keys)[3:]
    fields = {"x": "x", "y": "table:label", "k": Field("table:kind", categories=True)}
    dm = module(fields, *lines_of(known), table={"on_missing": "skip"}, provenance=True)
    got = batches(dm)
    assert sorted(got["x"].tolist()) == known
    assert torch.equal(got["y"], got["x"] + 0.5)
    assert torch.equal(got["k"], got["x"] % 2)
    assert keys[got["sample_id"].numpy()].tolist() == got["x"].tolist()  # ids are those of all rows
    assert "Left out without a line in" in str(dm.summary())
    assert "3 of 10 rows" in str(dm.summary())
    dm = module(fields, *lines_of(known), table={"on_missing": "skip"}, samples=Windows(2))
    windows = [x for name, own in (("a", keys[:6]), ("b", keys[6:])) for x in itertools.pairwise(own)]
    expected = sorted([int(a), int(b)] for a, b in windows if a in known and b in known)
    assert sorted(batches(dm)["x"].tolist()) == expected
    split = {"val": 0.5, "test": None, "keep_together": "table:group"}
    dm = module(fields, *lines_of(known), table={"on_missing": "skip"}, split=split, where={"k": ["even"]})
    train, val = ({int(k) for k in batches(dm, stage)["x"]} for stage in ("train", "val"))
    assert train | val == {k for k in known if k % 2 == 0}
    assert not {k % 3 for k in train} & {k % 3 for k in val}


def test_files_to_predict_need_no_keys(module, folder):
    root, keys = folder
    files = {"train": str(root / "a.h5"), "predict": str(root / "b.h5")}
    dm = module({"x": "x", "y": "table:label"}, *lines_of(keys[:6]), files=files)
    assert set(batches(dm, "predict")) == {"x"}
    got = batches(dm)
    assert torch.equal(got["y"], got["x"] + 0.5)
    with pytest.raises(TableError, match="3 rows of 10 have no line"):
        module({"x": "x", "y": "table:label"}, *lines_of(keys[:7]), files=files)


@pytest.mark.parametrize("kind", ["names", "axis", "axis of rows", "ends"])
def test_keys_lie_in_any_series(tmp_path, kind):
    keys, index = np.arange(12, dtype=np.int16).reshape(3, 4)[::-1], str(tmp_path / "index")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, own in enumerate(keys):
            file[f"data/demo_{number}/x"] = file[f"data/demo_{number}/id"] = own
        file["x"] = file["id"] = keys
        file["flat"] = keys.ravel()
        file["channels"] = np.stack([keys.ravel()] * 2)
        file["ends"] = [4, 8, 12]
    (tmp_path / "t.csv").write_text(
        "k,y\n" + "".join(f"{key},{key + 0.5}\n" for key in range(12)), encoding="utf-8"
    )
    path, key, samples, series = {
        "names": ("data/*/x", "data/*/id", Windows(2), None),
        "axis": ("x", "id", Windows(2, axis=1), Series(axis=0)),
        "axis of rows": ("channels", "flat", Windows(2, axis=1), None),
        "ends": ("flat", "flat", Windows(2), Series(ends="ends")),
    }[kind]
    table = Table(str(tmp_path / "t.csv"), key={"k": key})
    dataset = H5Dataset(
        str(tmp_path / "a.h5"),
        {"x": path, "y": "table:y"},
        samples,
        series=series,
        table=table,
        index_dir=index,
    )
    assert len(dataset) == (11 if kind == "axis of rows" else 9)
    for sample in dataset:
        x = sample["x"][0] if kind == "axis of rows" else sample["x"]
        assert torch.equal(sample["y"], x + 0.5)
    dataset.close()
