"""Frames by pandas and tables by PyTables, and what both read from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tables
from saving import joined, write_cases

ROWS = 12
SENSORS = ("north", "east", "south")


def frame(number: int, columns: tuple[str, ...] = SENSORS) -> pd.DataFrame:
    values = np.random.default_rng(number).normal(size=(ROWS, len(columns))) * 10
    times = pd.date_range("2024-01-01", periods=ROWS, freq="5min")
    return pd.DataFrame(values, index=times, columns=list(columns))


def write(folder: Path, form: str, number: int, found: pd.DataFrame, **options: Any) -> None:
    found.to_hdf(folder / f"{number}.h5", key="df", format=form, **options)


def read(folder: Path, names: list[str]) -> np.ndarray:
    return joined([pd.read_hdf(path, "df")[names].to_numpy() for path in sorted(folder.glob("*.h5"))])


def fixed(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write(folder, "fixed", number, frame(number))
    return {"df/block0_values": read(folder, list(SENSORS))}


def fixed_with_holes(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        found = frame(number)
        found.iloc[5, 1] = np.nan
        write(folder, "fixed", number, found)
    return {"df/block0_values": read(folder, list(SENSORS))}


def fixed_in_another_order(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write(folder, "fixed", number, frame(number, SENSORS[:: -1 if number else 1]))
    return {"df/block0_values": read(folder, list(SENSORS))}


def table(folder: Path) -> Mapping[str, Any]:
    """Floats are one column of arrays; numbers of cars, booleans and texts are other columns."""
    for number in range(2):
        found = frame(number).assign(
            cars=np.arange(ROWS),
            site=["a" if row % 2 else "bb" for row in range(ROWS)],
            open=np.arange(ROWS) % 2 == 0,
        )
        write(folder, "table", number, found)
    return {
        "df/table:values_block_0": read(folder, list(SENSORS)),
        "df/table:values_block_1": read(folder, ["cars"]),
        "df/table:values_block_2": read(folder, ["site"]).astype("S"),
        "df/table:values_block_3": read(folder, ["open"]),
    }


def table_with_data_columns(folder: Path) -> Mapping[str, Any]:
    """Each column is stored separately, compressed with blosc."""
    for number in range(2):
        write(folder, "table", number, frame(number), data_columns=True, complevel=5, complib="blosc:zstd")
    return {f"df/table:{name}": read(folder, [name])[:, 0] for name in SENSORS}


def table_in_another_order(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write(folder, "table", number, frame(number, SENSORS[:: -1 if number else 1]))
    return {"df/table:values_block_0": read(folder, list(SENSORS))}


def table_with_categories(folder: Path) -> Mapping[str, Any]:
    """A column of categories is stored as codes; one of them is missing in the second file."""
    for number in range(2):
        kinds = pd.Categorical(["a", "b", None if number else "a", "b"] * 3, categories=["a", "b"])
        write(folder, "table", number, frame(number).assign(kind=kinds), data_columns=["kind"])
    codes = [pd.read_hdf(path, "df")["kind"].cat.codes for path in sorted(folder.glob("*.h5"))]
    return {"df/table:kind": joined(codes), "df/table:values_block_0": read(folder, sorted(SENSORS))}


CELLS = np.arange(6).reshape(2, 3)


class Jet(tables.IsDescription):
    """One line of a table: numbers, arrays, booleans, an enumeration, a text and a nested part."""

    energy = tables.Float32Col(pos=0)
    cells = tables.Float64Col(shape=(2, 3), pos=1)
    is_good = tables.BoolCol(pos=2)
    bits = tables.BoolCol(shape=(4,), pos=3)
    kind = tables.EnumCol(tables.Enum(["light", "charm", "bottom"]), "light", base="int8", pos=4)
    name = tables.StringCol(8, pos=5)
    count = tables.UInt16Col(pos=6)

    class Vertex(tables.IsDescription):
        """A nested part."""

        x = tables.Float32Col(pos=0)
        n = tables.Int32Col(pos=1)


def pytables(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        with tables.open_file(folder / f"{number}.h5", "w") as file:
            made = file.create_table("/", "jets", Jet)
            line = made.row
            for row in range(ROWS):
                line["energy"], line["is_good"], line["cells"] = row / 3 + number, row % 2, CELLS + row
                line["bits"], line["kind"], line["name"] = np.arange(4) == row % 4, row % 3, f"jet{row}"
                line["count"], line["Vertex/x"], line["Vertex/n"] = row, row / 2, row
                line.append()
            made.flush()
            made.cols.energy.create_csindex()
            file.create_earray("/", "images", tables.UInt8Atom(), (0, 4, 4)).append(
                np.arange(ROWS * 16, dtype="u1").reshape(ROWS, 4, 4)
            )
            file.create_carray(
                "/", "targets", obj=np.arange(ROWS) / 7, filters=tables.Filters(5, "blosc2:lz4")
            )
            file.create_array("/", "labels", np.arange(ROWS) % 3)
            texts = file.create_vlarray("/", "notes", tables.VLUnicodeAtom())
            for row in range(ROWS):
                texts.append(f"note {row}")
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.h5")):
        with tables.open_file(path) as file:
            for name in ("energy", "cells", "is_good", "bits", "kind", "count"):
                found.setdefault(f"jets:{name}", []).append(file.root.jets.col(name))
            for name in ("images", "targets", "labels"):
                found.setdefault(name, []).append(file.root[name][:])
    return {name: joined(parts) for name, parts in found.items()}


if __name__ == "__main__":
    write_cases(
        [
            fixed, fixed_with_holes, fixed_in_another_order, table, table_with_data_columns, table_in_another_order,
            table_with_categories, pytables,
        ]
    )  # fmt: skip
