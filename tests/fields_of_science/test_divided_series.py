"""Tables that divide the rows of files into series: the windows that result, and what impossible tables get."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from h5lightning import H5DataModule, Series, Whole, Windows
from h5lightning.errors import OptionError, SchemaError

LENGTHS = ((5, 0, 7, 3), (4, 4), (1, 2, 9, 6))
WAYS = {
    "ends": Series(ends="meta/ends"),
    "offsets": Series(offsets="meta/offsets"),
    "starts, lengths": Series(starts="meta/starts", lengths="meta/lengths"),
    "starts, stops": Series(starts="meta/starts", stops="meta/ends"),
    "lengths": Series(lengths="meta/lengths"),
    "flags": Series(flags=["terminals", "timeouts"]),
    "runs": Series(runs="episode"),
    "runs of text": Series(runs="name"),
    "runs of fixed text": Series(runs="fixed"),
    "column": Series(ends="table/end"),
    "flag column": Series(flags="rows/last"),
}


def _write(path, lengths, number):
    rows, ends = sum(lengths), np.cumsum(lengths)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(2 * rows, dtype="f4").reshape(rows, 2) + 1000 * number
        file.create_dataset(
            "y", data=np.arange(rows, dtype="i4") + 1000 * number, chunks=(4,), compression="gzip"
        )
        file["meta/ends"] = ends
        file["meta/offsets"] = np.concatenate([[0], ends]).astype("u4")
        file["meta/starts"] = (ends - lengths).astype("i4")
        file.create_dataset("meta/lengths", data=np.asarray(lengths, "u8"), chunks=(2,), compression="gzip")
        last = np.zeros(rows, bool)
        last[ends[np.asarray(lengths) > 0] - 1] = True
        is_terminal = np.arange(rows) % 2 == 0
        file["terminals"], file["timeouts"] = last & is_terminal, (last & ~is_terminal).astype("f4")[:, None]
        file["episode"] = episode.astype("i2")
        file["name"] = np.asarray([f"ep {n}" for n in episode], object)
        file["fixed"] = np.asarray([f"ep {n}" for n in episode], "S8")
        file["table"] = np.asarray(list(zip(ends, ends, strict=True)), [("other", "f4"), ("end", "i4")])
        file["rows"] = np.asarray(list(zip(last, episode, strict=True)), [("last", "?"), ("value", "f8")])


@pytest.fixture
def folder(tmp_path):
    for number, lengths in enumerate(LENGTHS):
        _write(tmp_path / f"f{number}.h5", lengths, number)
    return tmp_path


def _windows(length, stride=1):
    """The first column of each window, by brute force."""
    windows = []
    for number, lengths in enumerate(LENGTHS):
        first = 0
        for rows in lengths:
            starts = range(first, first + rows - length + 1, stride)
            windows += [[2 * (start + step) + 1000 * number for step in range(length)] for start in starts]
            first += rows
    return sorted(windows)


def _module(folder, series, samples, **options):
    options = {"split": {"val": None, "test": None}, "batch_size": 4} | options
    fields = options.pop("fields", {"x": "x", "y": "y"})
    return H5DataModule(str(folder / "*.h5"), fields, samples, series=series, **options)


@pytest.mark.parametrize("reader", ["auto", "h5py"])
@pytest.mark.parametrize("way", WAYS)
def test_windows_stay_inside_of_the_series_that_a_table_says(folder, way, reader, ready):
    dm = ready(_module(folder, WAYS[way], Windows(3), reader=reader))
    batches = list(dm.train_dataloader())
    x = np.concatenate([batch["x"] for batch in batches])
    y = np.concatenate([batch["y"] for batch in batches])
    assert sorted(x[:, :, 0].tolist()) == _windows(3)
    assert (y % 1000 == x[:, :, 0] % 1000 // 2).all()


def test_a_series_without_rows_keeps_its_number(folder, ready):
    with_empty = ready(_module(folder, WAYS["ends"], Windows(3)))
    by_flags = ready(_module(folder, WAYS["flags"], Windows(3)))
    assert [place.series for place in with_empty.locate([0, 3, 8])] == ["0", "2", "3"]
    assert [place.series for place in by_flags.locate([0, 3, 8])] == ["0", "1", "2"]


def test_the_value_of_runs_is_the_name_of_the_series(folder, ready):
    dm = ready(_module(folder, WAYS["runs of text"], Windows(3)))
    assert [place.series for place in dm.locate([0, 3, 8])] == ["ep 0", "ep 2", "ep 3"]


def test_text_is_read_again_from_the_index(folder, ready):
    for _ in range(2):
        dm = ready(_module(folder, WAYS["runs of text"], Windows(3, stride=2)))
        x = np.concatenate([batch["x"] for batch in dm.train_dataloader()])
        assert sorted(x[:, :, 0].tolist()) == _windows(3, 2)


def test_another_table_is_another_index(folder, ready):
    ready(_module(folder, WAYS["ends"], Windows(3)))
    dm = ready(_module(folder, "file", Windows(3)))
    assert sum(len(batch["x"]) for batch in dm.train_dataloader()) == sum(sum(each) - 2 for each in LENGTHS)


def test_whole_series_need_one_length(tmp_path, ready):
    _write(tmp_path / "a.h5", (4, 4, 0, 4), 0)
    dm = ready(_module(tmp_path, WAYS["lengths"], Whole()))
    assert sorted(np.concatenate([batch["y"] for batch in dm.train_dataloader()]).tolist()) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    _write(tmp_path / "a.h5", (4, 5), 0)
    message = r"series 1 of .*a.h5 has 5 rows, expected 4 as in series 0 of .*a.h5; 1 of 2 series differ"
    with pytest.raises(SchemaError, match=message):
        _module(tmp_path, WAYS["lengths"], Whole()).setup()


def _with(folder, path, values):
    with h5py.File(folder / "f1.h5", "a") as file:
        if path in file:
            del file[path]
        if values is not None:
            file[path] = values


@pytest.mark.parametrize(
    ("way", "path", "values", "message"),
    [
        ("ends", "meta/ends", None, "holds no dataset '/meta/ends'"),
        (
            "ends",
            "meta/ends",
            [4, 7],
            r"the last entry of '/meta/ends', \[1\], is 7, expected 8, the number of rows of '/x'",
        ),
        ("ends", "meta/ends", [3, 7], "where they are the last row, write them plus 1"),
        ("ends", "meta/ends", [5, 4, 8], "'/meta/ends' does not ascend: entry 1 is 4, after 5"),
        ("ends", "meta/ends", [-1, 8], "entry 0 of '/meta/ends' is -1"),
        ("ends", "meta/ends", [4.0, 8.0], "'/meta/ends' holds <f8, expected integers"),
        ("ends", "meta/ends", [True, False], "expected integers"),
        ("ends", "meta/ends", ["4", "8"], "'/meta/ends' holds text, expected integers"),
        ("ends", "meta/ends", [[4, 8]], r"'/meta/ends' has shape \(1, 2\), expected one axis"),
        ("ends", "meta/ends", 8, r"'/meta/ends' has shape \(\), expected one axis"),
        (
            "ends",
            "meta/ends",
            np.asarray([4, 2**64 - 1], "u8"),
            "entry 1 of '/meta/ends' is 18446744073709551615",
        ),
        ("ends", "meta/ends", np.zeros(0, "i8"), r"is 0, expected 8"),
        ("offsets", "meta/offsets", [4, 8], "'/meta/offsets' begins with 4, expected 0"),
        ("offsets", "meta/offsets", [0, 4], r"the last entry of '/meta/offsets', \[1\], is 4, expected 8"),
        ("starts, lengths", "meta/starts", [0], "'/meta/starts' has 1 entries and '/meta/lengths' has 2"),
        ("starts, lengths", "meta/starts", [0, 3], "series 1 begins at row 3 .* the rows 0 to 3"),
        ("starts, lengths", "meta/lengths", [4, 5], "ends at row 9, beyond the 8 rows of '/x'"),
        ("starts, lengths", "meta/lengths", [4, -1], "entry 1 of '/meta/lengths' is -1"),
        ("starts, stops", "meta/starts", [0, 9], "entry 1 of '/meta/ends' is 8, before the start 9"),
        ("lengths", "meta/lengths", [4, 3], "the 2 lengths in '/meta/lengths' sum up to 7, expected 8"),
        ("flags", "terminals", [0] * 7, "'/terminals' has 7 entries and '/timeouts' has 8"),
        ("flags", "terminals", [0] * 7 + [2], "'/terminals' holds 2 in row 7, expected 0 or 1"),
        ("flags", "terminals", ["a"] * 8, "'/terminals' holds text, expected flags"),
        (
            "flag column",
            "rows",
            np.zeros(7, [("last", "?"), ("value", "f8")]),
            "'/rows/last' has 7 entries, expected one for each of the 8 rows of '/x'",
        ),
        (
            "flag column",
            "rows",
            np.zeros(8, [("first", "?"), ("value", "f8")]),
            "holds no dataset '/rows/last'",
        ),
        ("runs", "episode", [0.0] * 7 + [np.nan], "'/episode' holds NaN in row 7"),
        ("runs", "episode", [0] * 9, "'/episode' has 9 entries, expected one for each of the 8 rows"),
        (
            "runs",
            "episode",
            np.zeros(8, [("a", "?"), ("b", "f8")]),
            "is a table with the columns a, b: name one",
        ),
        ("runs", "episode/deep", [0], "holds no dataset '/episode'"),
    ],
)
def test_an_impossible_table_is_an_error_that_names_it(folder, way, path, values, message):
    if path == "episode/deep":
        _with(folder, "episode", None)
    _with(folder, path, values)
    if path == "episode/deep":
        message = "'/episode' is a group"
    with pytest.raises(SchemaError, match=message) as caught:
        _module(folder, WAYS[way], Windows(3)).setup()
    assert "f1.h5" in str(caught.value)
    assert WAYS[way].text() in str(caught.value)


def test_a_file_with_an_impossible_table_can_be_left_out(folder, ready):
    _with(folder, "meta/ends", [5, 4, 8])
    dm = ready(
        _module(folder, WAYS["ends"], Windows(3), access={"on_bad_file": "skip", "max_bad_fraction": 0.5})
    )
    x = np.concatenate([batch["x"] for batch in dm.train_dataloader()])
    assert sorted(x[:, :, 0].tolist()) == [window for window in _windows(3) if window[0] // 1000 != 1]


def test_gaps_are_rows_of_no_series(tmp_path, ready):
    _write(tmp_path / "f1.h5", (4, 4), 0)
    _with(tmp_path, "meta/starts", [1, 5])
    _with(tmp_path, "meta/ends", [3, 7])
    dm = ready(_module(tmp_path, WAYS["starts, stops"], Windows(2)))
    y = np.concatenate([batch["y"] for batch in dm.train_dataloader()])
    assert sorted(y.tolist()) == [[1, 2], [5, 6]]
    said = (
        "4 of 8 rows lie in no series of Series(starts='meta/starts', stops='meta/ends'): no sample has them"
    )
    assert said in str(dm.summary())


def test_series_without_rows_are_no_data(tmp_path):
    _write(tmp_path / "f1.h5", (4, 4), 0)
    _with(tmp_path, "meta/lengths", [0, 0])
    with pytest.raises(SchemaError, match="none of the 2 series has a row"):
        _module(tmp_path, WAYS["starts, lengths"], Windows(2)).setup()


def test_each_match_of_a_star_has_its_own_table(tmp_path, ready):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, lengths in enumerate(LENGTHS):
            rows = sum(lengths)
            file[f"env_{number}/x"] = np.arange(2 * rows, dtype="f4").reshape(rows, 2) + 1000 * number
            file[f"env_{number}/ends"] = np.cumsum(lengths)
            file[f"env_{number}/name"] = np.repeat(["a", "b", "c", "d"][: len(lengths)], lengths).astype(
                object
            )
    for series in ("ends", "runs"):
        option = Series(**{series: "env_*/ends" if series == "ends" else "env_*/name"})
        dm = ready(_module(tmp_path, option, Windows(3), fields={"x": "env_*/x"}))
        assert len(dm.locate(range(24))) == len(_windows(3))
        places = [place.series for place in dm.locate([0, 2, 3, 8])]
        expected = ["0", "0", "2", "3"] if series == "ends" else ["a", "a", "c", "d"]
        assert places == [f"env_0/{name}" for name in expected]
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["env_1/ends"][1] = 7
    message = r"Series\(ends='env_\*/ends'\): series 'env_1' of .*a.h5: the last entry of '/env_\*/ends', \[1\], is 7"
    with pytest.raises(SchemaError, match=message):
        _module(tmp_path, Series(ends="env_*/ends"), Windows(3), fields={"x": "env_*/x"}).setup()


def test_a_list_of_ways_is_refused():
    with pytest.raises(OptionError, match="different ways"):
        Series(ends="a", offsets="b")
    with pytest.raises(OptionError, match="starts needs lengths or stops"):
        Series(starts="a")
