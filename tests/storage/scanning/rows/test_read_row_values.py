"""The values of rows as a scan reads them: what h5py reads and the file means, or why they are not read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t
from hypothesis import given
from hypothesis import strategies as st

from h5lightning.errors import BadFileError
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.storage.scanning import ScanRequest
from h5lightning.storage.scanning.metadata_values import NeedsProcessError, ValueReader
from h5lightning.storage.scanning.parallel_scan import scan_file
from h5lightning.storage.scanning.rows import distinct_values, value_blocks
from h5lightning.storage.scanning.rows.read_row_values import RowValueReader
from h5lightning.storage.scanning.rows.value_source import ValueFile

pytestmark = pytest.mark.timeout(120)
TEXT = h5py.string_dtype()
SIDE = h5py.enum_dtype({"left": 5, "right": -3}, basetype=">i2")
VALUES = ValueReader(reads_text=True)

TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3), max_size=9
)
NUMBERS: dict[str, st.SearchStrategy[Any]] = {
    "|b1": st.booleans(),
    "|i1": st.integers(-128, 127),
    ">u2": st.integers(0, 2**16 - 1),
    "<i4": st.integers(-(2**31), 2**31 - 1),
    ">i8": st.integers(-(2**63), 2**63 - 1),
    "<u8": st.integers(0, 2**64 - 1),
    "<f4": st.floats(width=32),
    ">f8": st.floats(),
}


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File("values.h5", "w", driver="core", backing_store=False) as opened:
        yield opened


def read(file: h5py.File, name: str = "x", texts: list[str] | None = None, **options: Any) -> RowValues:
    return RowValueReader(ValueFile(file.id, file.filename, VALUES)).of(name, texts, **options)


def values_of(found: RowValues, unit: int = 0) -> list[Any]:
    """The value of each row, None for a missing one."""
    assert found.problem(unit) == ""
    rows, values = found.rows_of(unit), list(found.values(unit))
    assert rows is not None
    assert values == sorted(set(values))
    each = [[None if code < 0 else values[code] for code in row] for row in rows.tolist()]
    return [row[0] for row in each] if rows.shape[1] == 1 else each


def problem_of(file: h5py.File, name: str = "x") -> str:
    found = read(file, name)
    assert found.is_usable.tolist() == [not found.problem(0)]
    return found.problem(0)


@given(TEXTS, st.sampled_from(["variable", "fixed", "member", "fixed member", "members"]), st.booleans())
def test_texts_are_read_from_wherever_they_lie(texts: list[str], way: str, is_packed: bool) -> None:
    encoded = [text.encode() for text in texts]
    width = max([1, *map(len, encoded)])
    options = {"chunks": (min(4, len(texts)),), "compression": "gzip"} if is_packed and texts else {}
    with h5py.File("m.h5", "w", driver="core", backing_store=False) as file:
        if way == "variable":
            file.create_dataset("x", data=texts, dtype=TEXT, **options)
        elif way == "fixed":
            file.create_dataset("x", data=np.asarray(encoded, f"S{width}"), **options)
        else:
            text: Any = {"member": (TEXT,), "fixed member": (f"S{width}",), "members": (f"S{width}", (1,))}[
                way
            ]
            table = np.zeros(len(texts), [("n", "i4"), ("name", *text), ("y", "f8")])
            table["name"] = (
                texts if way == "member" else np.asarray(encoded, f"S{width}").reshape(table["name"].shape)
            )
            file.create_dataset("x", data=table, **options)
        found = read(file, "x" if way in ("variable", "fixed") else "x[name]")
    assert values_of(found) == texts
    assert found.unit_rows.tolist() == [len(texts)]


@given(st.data())
def test_numbers_are_read_in_any_type(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(NUMBERS)))
    stored = np.asarray(data.draw(st.lists(NUMBERS[kind], max_size=9)), kind)
    is_member = data.draw(st.booleans())
    with h5py.File("m.h5", "w", driver="core", backing_store=False) as file:
        file["x"] = np.rec.fromarrays([stored, stored], names="a,b") if is_member else stored
        found = values_of(read(file, "x[b]" if is_member else "x"))
    assert found == [None if value != value else value for value in stored.tolist()]  # noqa: PLR0124 - NaN


@given(st.lists(st.sampled_from(["a", "bb", "ä", "c" * 40]), max_size=200), st.integers(1, 3))
def test_many_blocks_are_one_list(texts: list[str], size: int) -> None:
    texts = texts[: len(texts) // size * size]
    stored = np.asarray(texts, object).reshape(-1, size)
    numbers = np.asarray([len(text) for text in texts], "i8").reshape(-1, size)
    told: list[float] = []
    with (
        h5py.File("m.h5", "w", driver="core", backing_store=False) as file,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(value_blocks, "_BLOCK_BYTES", 64)
        patch.setattr(value_blocks, "_FIRST_TEXTS", 3)
        patch.setattr(value_blocks, "_MOST_TEXTS", 7)
        patch.setattr(distinct_values, "_STEP", 5)
        file.create_dataset("x", data=stored, dtype=TEXT)
        file.create_dataset("fixed", data=np.char.encode(stored.astype("U40")))
        file["n"] = numbers
        reader = RowValueReader(ValueFile(file.id, "m.h5", VALUES), told.append, 0.5)
        for name, expected in (("x", stored), ("fixed", stored), ("n", numbers)):
            found = reader.of(name)
            rows = found.rows_of(0)
            assert rows is not None
            assert rows.shape == expected.shape
            values = np.asarray([*found.values(0), None], object)
            assert values[rows].tolist() == expected.tolist()
    assert len(told) >= len(texts) // 64
    assert sum(told) == pytest.approx(1.5 if texts else 0)


def test_names_stand_for_codes(file: h5py.File) -> None:
    file["obs/cell/codes"] = np.asarray([1, 0, -1, 1, 5], "i1")
    file["obs/cell/categories"] = ["z", "a"]
    file["obs/cell"].attrs["encoding-type"] = "categorical"
    file["obs/size/codes"] = np.asarray([1, 0, 1], "u2")
    file["obs/size/categories"] = [7.0, 3.5]
    file["obs/size"].attrs["encoding-type"] = "categorical"
    file["obs/__categories/kind"] = ["T", "B", "unused"]
    file["obs/kind"] = np.asarray([0, 1, 0], "i1")
    file["obs/kind"].attrs["categories"] = file["obs/__categories/kind"].ref
    file["uns/batch_categories"] = np.asarray([b"b1", b"b0"])
    file["obs/batch"] = np.asarray([0, 1, 0], "i1")
    file.create_dataset("side", data=np.asarray([5, -3, 5, 7]), dtype=SIDE)
    table = np.zeros(2, [("x", "f4"), ("side", SIDE), ("pair", SIDE, (2,))])
    table["side"], table["pair"] = [5, -3], [[5, 5], [-3, 5]]
    file["table"] = table
    file["sea"] = np.asarray([2, 0, 1], "i1")
    file["sea"].attrs.update({"flag_values": np.asarray([0, 2], "i1"), "flag_meanings": "land open_sea"})
    assert values_of(read(file, "obs/cell")) == ["a", "z", None, "a", None]
    assert values_of(read(file, "obs/cell/codes")) == ["a", "z", None, "a", None]
    assert values_of(read(file, "obs/size")) == [3.5, 7, 3.5]
    assert values_of(read(file, "obs/kind")) == ["T", "B", "T"]
    assert list(read(file, "obs/kind").values(0)) == ["B", "T"]  # a name that never occurs is no value
    assert values_of(read(file, "obs/batch")) == ["b1", "b0", "b1"]
    assert values_of(read(file, "side")) == ["left", "right", "left", None]
    assert values_of(read(file, "table[side]")) == ["left", "right"]
    assert values_of(read(file, "table[pair]")) == [["left", "left"], ["right", "left"]]
    assert values_of(read(file, "sea")) == ["open_sea", "land", None]


def test_names_may_be_more_than_a_schema_keeps(file: h5py.File) -> None:
    names = [f"c{number:06}" for number in range(20_000)]
    file["obs/cell/codes"] = np.arange(20_000, dtype="i4")[::-1]
    file["obs/cell/categories"] = names
    assert values_of(read(file, "obs/cell")) == names[::-1]


@pytest.mark.parametrize("stored", [np.asarray([4, 7, 9]), np.asarray(["a", "b", "c"], object)])
def test_masked_rows_are_missing(file: h5py.File, stored: Any) -> None:
    file["obs/n/values"], file["obs/n/mask"] = stored, [False, True, False]
    file["obs/n"].attrs["encoding-type"] = (
        "nullable-integer" if stored.dtype.kind == "i" else "nullable-string-array"
    )
    expected = [stored[0], None, stored[2]]
    assert values_of(read(file, "obs/n")) == values_of(read(file, "obs/n/values")) == expected


def test_packed_numbers_and_fills_are_what_they_mean(file: h5py.File) -> None:
    file["x"] = np.asarray([10, -99, 20], "i2")
    file["x"].attrs.update({"scale_factor": 0.5, "add_offset": 1.0, "_FillValue": np.int16(-99)})
    file["y"] = np.asarray([3, -1, 3], "i4")
    file["y"].attrs["_FillValue"] = np.int32(-1)
    assert values_of(read(file)) == [6, None, 11]
    assert values_of(read(file, "y")) == [3, None, 3]


def test_the_letters_of_netcdf_are_words(file: h5py.File) -> None:
    letters = np.asarray([[b"a", b"b", b""], [b"c", b" ", b" "]])
    file["netcdf"], file["bases"] = letters, letters[:1]
    file["netcdf"].attrs["_Netcdf4Dimid"] = 0
    assert values_of(read(file, "netcdf")) == ["ab", "c"]
    assert values_of(read(file, "bases")) == [["a", "b", ""]]


def test_the_ends_of_fixed_text_follow_its_type(file: h5py.File) -> None:
    raw = np.asarray([b"ab\0x", b"c   ", b"d"], "S4")
    for name, pad in (("null", h5t.STR_NULLTERM), ("space", h5t.STR_SPACEPAD), ("zero", h5t.STR_NULLPAD)):
        tid = h5t.C_S1.copy()
        tid.set_size(4)
        tid.set_strpad(pad)
        h5d.create(file.id, name.encode(), tid, h5s.create_simple((3,))).write(h5s.ALL, h5s.ALL, raw, tid)
    assert values_of(read(file, "null")) == ["ab", "c   ", "d"]
    assert values_of(read(file, "space")) == ["ab\0x", "c", "d"]
    assert values_of(read(file, "zero")) == ["ab\0x", "c   ", "d"]


def write_cells(file: h5py.File, name: str, cells: list[Any], **attributes: Any) -> None:
    for number, cell in enumerate(cells):
        file[f"#refs#/{name}{number}"] = cell
        kind = b"char" if np.asarray(cell).dtype == np.uint16 else b"double"
        file[f"#refs#/{name}{number}"].attrs.update({"MATLAB_class": np.bytes_(kind)} | attributes)
    references = [file[f"#refs#/{name}{number}"].ref for number in range(len(cells))]
    file.create_dataset(name, data=np.asarray([references], h5py.ref_dtype))
    file[name].attrs["MATLAB_class"] = np.bytes_(b"cell")


def test_cells_of_matlab_are_text(file: h5py.File) -> None:
    words = [np.frombuffer(word.encode("utf-16-le"), "<u2")[:, None] for word in ("left", "größe", "left")]
    write_cells(file, "side", words)
    write_cells(file, "empty", [np.asarray([0, 0], "u8")], MATLAB_empty=np.uint8(1))
    write_cells(file, "number", [words[0], np.zeros((1, 1))])
    write_cells(file, "long", [np.full((5000, 1), 65, "u2")])
    file.create_dataset("nowhere", data=np.asarray([[h5py.Reference()]], h5py.ref_dtype))
    file["nowhere"].attrs["MATLAB_class"] = np.bytes_(b"cell")
    found = read(file, "side")
    assert (values_of(found), found.unit_rows.tolist()) == (["left", "größe", "left"], [3])
    assert values_of(read(file, "side", kept="texts")) == ["left", "größe", "left"]
    assert values_of(read(file, "empty")) == [""]
    assert (
        problem_of(file, "number")
        == "'/number' has a cell [1] that holds double values, expected one line of text"
    )
    assert problem_of(file, "long") == "'/long' has a cell [0] with over 4,096 letters"
    assert problem_of(file, "nowhere") == "'/nowhere' has a cell [0] that refers to nothing"


def test_bytes_that_are_no_text_are_escaped(file: h5py.File) -> None:
    # The halves of a letter are no letter, although they would make one together.
    file["x"] = np.asarray([b"b\xc3", b"\xa4b", b"a"])
    assert values_of(read(file)) == ["b\\xc3", "\\xa4b", "a"]


def test_numbers_of_images_keep_only_what_occurs(file: h5py.File) -> None:
    file.create_dataset("x", data=np.arange(12).reshape(3, 4) // 5)
    file.create_dataset("wide", data=np.zeros((2, 2**16 + 1), "u1"), compression="gzip")
    file["single"], file["texts"] = np.asarray([3, 4, 3]), np.asarray([[b"a", b"b"]])
    assert values_of(read(file)) == [[0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 2, 2]]
    for name, values, size, kept in (("x", [0, 1, 2], 4, "lists"), ("wide", [0], 2**16 + 1, "rows")):
        found = read(file, name, kept=kept)
        assert (list(found.values(0)), found.has_rows.tolist(), found.rows_of(0)) == (values, [False], None)
        assert found.unit_row_sizes.tolist() == [size]
    assert values_of(read(file, "single", kept="lists")) == [3, 4, 3]
    assert values_of(read(file, "texts", kept="lists")) == [["a", "b"]]


def test_numbers_are_left_out_where_only_texts_are_requested(file: h5py.File) -> None:
    file["x"] = np.arange(3)
    file.create_dataset("side", data=np.asarray([5, -3]), dtype=SIDE)
    file["t"] = ["a", "b"]
    file["obs/cell/codes"], file["obs/cell/categories"] = np.asarray([0, 1], "i1"), ["z", "a"]
    for name in ("x", "side"):
        found = read(file, name, kept="texts")
        assert (found.problem(0), len(found.values(0)), found.rows_of(0)) == ("", 0, None)
    assert values_of(read(file, "t", kept="texts")) == ["a", "b"]
    assert values_of(read(file, "obs/cell", kept="texts")) == ["z", "a"]


def test_units_have_their_own_values_or_share_those_of_the_file(file: h5py.File) -> None:
    for unit in "ab":
        file[f"data/{unit}/label"] = unit
    file["kinds"] = ["x", "y"]
    texts = ["a", "b", "c"]
    found = read(file, "data/*/label", texts)
    assert [values_of(found, unit) for unit in range(2)] == [["a"], ["b"]]
    assert found.problem(2) == "holds no dataset '/data/c/label'"
    shared = read(file, "kinds", texts)
    assert [values_of(shared, unit) for unit in range(3)] == [["x", "y"]] * 3
    assert shared.codes.size == 2
    assert read(file, "kinds", []).column_of.size == read(file, "data/*/label", []).column_of.size == 0


def test_text_of_variable_length_is_left_to_a_scanning_process(file: h5py.File) -> None:
    file["fixed"], file["x"] = np.asarray([b"a"]), ["a"]
    table = np.zeros(1, [("t", TEXT), ("n", "i4")])
    table["t"] = "a"
    file["table"] = table
    file["obs/cell/codes"], file["obs/cell/categories"] = np.zeros(1, "i1"), ["z"]
    reader = RowValueReader(ValueFile(file.id, file.filename, ValueReader(reads_text=False)))
    assert values_of(reader.of("fixed")) == ["a"]
    assert values_of(reader.of("table[n]")) == [0]
    for name in ("x", "table[t]", "obs/cell"):
        with pytest.raises(NeedsProcessError):
            reader.of(name)


def write_problems(file: h5py.File) -> None:
    file["text"] = ["a", "b" * 5000]
    file["group/x"] = 0
    file["table"] = np.zeros(2, [("a", "i4"), ("c", "c8")])
    file.create_dataset("holes", (40,), "i4", chunks=(10,))
    file.create_dataset("list", (1,), h5py.vlen_dtype("i4"))[0] = [1, 2]
    file["empty"] = h5py.Empty("f4")
    file["complex"] = np.zeros(2, "c8")
    file["soft"] = h5py.SoftLink("/text")
    file["flags"] = np.zeros(2, "u1")
    file["flags"].attrs.update({"flag_masks": np.asarray([1, 2], "u1"), "flag_meanings": "a b"})
    file["scaled"] = np.zeros(2, "i2")
    file["scaled"].attrs["scale_factor"] = [1.0, 2.0]
    layout = h5py.VirtualLayout((2,), "i4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    file.create_virtual_dataset("virtual", layout)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("text", "'/text' holds a text of 5,000 bytes (row 1), over 4,096"),
        ("group", "'/group' is a group; it holds: 'group/x'"),
        ("table", "'/table' is a table: name one of its columns, 'a', 'c'"),
        ("table[b]", "'/table' has no column 'b'; it has 'a', 'c'"),
        ("table[c]", "'/table' holds <c8, expected text or numbers"),
        ("text[a]", "'/text' has no column 'a'"),
        ("holes", "'/holes' has values that were never written"),
        ("list", "'/list' holds sequences of different length"),
        ("empty", "'/empty' is empty: it has a type, but no values"),
        ("complex", "'/complex' holds <c8, expected text or numbers"),
        ("soft", "'/soft' is reached through the soft link"),
        ("flags", "'/flags' has flag_masks: each of its numbers may stand for several flags"),
        ("scaled", "'/scaled' has an attribute 'scale_factor' that "),
        ("virtual", "'/virtual' "),
        ("nothing", "holds no dataset '/nothing'"),
        ("nothing[a]", "holds no dataset '/nothing'"),
    ],
)
def test_what_is_not_read_says_why(file: h5py.File, name: str, problem: str) -> None:
    write_problems(file)
    assert problem_of(file, name).startswith(problem)


def test_too_many_values_are_no_categories(file: h5py.File, monkeypatch: pytest.MonkeyPatch) -> None:
    file["x"], file["text"] = np.arange(9.0), [f"{number:03}" for number in range(9)]
    monkeypatch.setattr(distinct_values, "MOST_VALUES", 8)
    assert problem_of(file) == "'/x' has over 8 different values, too many for categories or keys"
    monkeypatch.setattr(distinct_values, "MOST_VALUES", 9)
    assert problem_of(file) == ""
    monkeypatch.setattr(distinct_values, "_MOST_BYTES", 26)
    assert "different values of up to 3 bytes" in problem_of(file, "text")


@pytest.mark.parametrize("number", [32015, 32001])
def test_compressed_columns_are_read(tmp_path: Path, number: int) -> None:
    plugin = pytest.importorskip("hdf5plugin")
    options = plugin.Zstd() if number == 32015 else plugin.Blosc()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(5), chunks=(2,), **options)
        file.create_dataset("t", data=np.asarray([b"a", b"b"]), chunks=(2,), **options)
    with h5py.File(tmp_path / "a.h5") as file:
        assert values_of(read(file)) == [*range(5)]
        assert values_of(read(file, "t")) == ["a", "b"]


def test_values_of_other_files_are_read_where_they_may_lie(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["codes"], file["categories"] = np.asarray([1, 0], "i1"), ["z", "a"]
        file["codes"].attrs["categories"] = file["categories"].ref
        file["n"] = [4, 9]
    layout = h5py.VirtualLayout((2,), "i8")
    layout[:] = h5py.VirtualSource("source.h5", "n", (2,))
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file["link"] = h5py.ExternalLink("source.h5", "codes")
    request = ScanRequest((), row_values=("virtual", "link"))
    for found in scan_file(path, request).row_values.values():
        assert "access.allow_external" in found.problem(0)
    schema = scan_file(path, dataclasses.replace(request, allow_external=str(tmp_path)))
    assert values_of(schema.row_values["virtual"]) == [4, 9]
    assert values_of(schema.row_values["link"]) == ["a", "z"]
    assert [source for source, _ in schema.sources] == [str(tmp_path / "source.h5")]


def test_damage_is_said_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(100), chunks=(50,), compression="gzip")
        start = file["x"].id.get_chunk_info(1).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[start + 8 : start + 24] = bytes(16)
    path.write_bytes(damaged)
    with pytest.raises(BadFileError, match=r"a\.h5' is damaged.*'/x' cannot be described"):
        scan_file(str(path), ScanRequest((), row_values=("x",)))
