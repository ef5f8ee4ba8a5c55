"""Annotated matrices by anndata, in its present format and those of 0.7 and 0.6, and what anndata reads from them.

The older forms are written by hand, dataset for dataset as those versions wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
from saving import joined, write_cases

CELLS = 9
GENES = ("g1", "g2", "g3", "g4")
KINDS = ("a", "b", "c")
TEXT = h5py.string_dtype()


def matrix(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(CELLS, len(GENES))).astype("f4")


def kinds(number: int, *, missing: bool = False, names: Sequence[str] = KINDS) -> pd.Categorical:
    values = [names[(row + number) % len(names)] for row in range(CELLS)]
    if missing:
        values[4] = None
    return pd.Categorical(values, categories=list(names))


def frame(number: int, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns, index=[f"cell{number}-{row}" for row in range(CELLS)])


def annotated(
    number: int, obs: pd.DataFrame | None = None, genes: Sequence[str] = GENES, **parts: Any
) -> anndata.AnnData:
    obs = frame(number, kind=kinds(number)) if obs is None else obs
    var = pd.DataFrame({"length": np.arange(len(genes))}, index=list(genes))
    return anndata.AnnData(parts.pop("X", matrix(number)), obs=obs, var=var, **parts)


def read(folder: Path) -> list[anndata.AnnData]:
    return [anndata.read_h5ad(path) for path in sorted(folder.glob("*.h5ad"))]


def plain(folder: Path) -> Mapping[str, Any]:
    """Dense layers, embeddings, columns of all kinds without a missing value."""
    for number in range(2):
        obs = frame(
            number,
            kind=kinds(number),
            n=np.arange(CELLS),
            score=np.linspace(0, 1, CELLS),
            good=np.arange(CELLS) % 2 == 0,
            whole=pd.array(np.arange(CELLS), dtype="Int64"),
            sure=pd.array(np.arange(CELLS) % 3 == 0, dtype="boolean"),
        )
        counts = np.arange(CELLS * 4).reshape(CELLS, 4)
        parts = {"layers": {"counts": counts}, "obsm": {"X_pca": matrix(number + 5)[:, :2]}}
        annotated(number, obs, **parts).write_h5ad(folder / f"{number}.h5ad")
    found = read(folder)
    return {
        "X": joined([one.X for one in found]),
        "layers/counts": joined([one.layers["counts"] for one in found]),
        "obsm/X_pca": joined([one.obsm["X_pca"] for one in found]),
        "obs/kind/codes": joined([one.obs["kind"].cat.codes for one in found]),
        "obs/n": joined([one.obs["n"] for one in found]),
        "obs/score": joined([one.obs["score"] for one in found]),
        "obs/good": joined([one.obs["good"] for one in found]),
        "obs/whole/values": joined([one.obs["whole"].to_numpy("i8") for one in found]),
        "obs/sure/values": joined([one.obs["sure"].to_numpy("bool") for one in found]),
    }


def missing(folder: Path) -> Mapping[str, Any]:
    """One cell of the second file has missing values in all columns."""
    for number in range(2):
        whole, sure = (
            pd.array(np.arange(CELLS), dtype="Int64"),
            pd.array(np.arange(CELLS) % 3 == 0, dtype="boolean"),
        )
        if number:
            whole[4], sure[4] = pd.NA, pd.NA
        obs = frame(number, kind=kinds(number, missing=bool(number)), whole=whole, sure=sure)
        annotated(number, obs).write_h5ad(folder / f"{number}.h5ad")
    found = read(folder)
    return {
        "obs/kind/codes": joined([one.obs["kind"].isna() for one in found]),
        "obs/whole/values": joined([one.obs["whole"].isna() for one in found]),
        "obs/sure/values": joined([one.obs["sure"].isna() for one in found]),
    }


def other_order_of_genes(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        annotated(number, genes=GENES[:: -1 if number else 1]).write_h5ad(folder / f"{number}.h5ad")
    found = read(folder)
    return {"X": joined([one[:, list(GENES)].X for one in found])}


def other_genes(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        genes = (*GENES[:-1], "g9" if number else "g4")
        annotated(number, genes=genes, layers={"counts": matrix(7)}).write_h5ad(folder / f"{number}.h5ad")
    return {"X": joined([one.X for one in read(folder)])}


def other_order_of_kinds(folder: Path) -> Mapping[str, Any]:
    """The same categories have other codes in the second file."""
    for number in range(2):
        obs = frame(number, kind=kinds(number, names=KINDS[:: -1 if number else 1]))
        annotated(number, obs).write_h5ad(folder / f"{number}.h5ad")
    return {"obs/kind/codes": joined([one.obs["kind"].cat.codes for one in read(folder)])}


def sparse(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        dense = np.where(matrix(number) > 0.5, matrix(number), 0)
        layers = {"csc": scipy.sparse.csc_matrix(dense)}
        annotated(number, X=scipy.sparse.csr_matrix(dense), layers=layers).write_h5ad(
            folder / f"{number}.h5ad"
        )
    return {"X": joined([one.X.toarray() for one in read(folder)])}


# ── 0.7: categories are referred to ──────────────────────────────────────────────────────────────────


def write_07(path: Path, number: int, *, missing: bool = False, names: Sequence[str] = KINDS) -> None:
    with h5py.File(path, "w") as file:
        file["X"] = matrix(number)
        for name, index in (("obs", [f"cell{number}-{row}" for row in range(CELLS)]), ("var", list(GENES))):
            group = file.create_group(name)
            group["_index"] = np.array(index, dtype=TEXT)
            columns = ["kind", "n"] if name == "obs" else []
            group.attrs.update(
                {"_index": "_index", "encoding-type": "dataframe", "encoding-version": "0.1.0"}
            )
            group.attrs["column-order"] = np.array(columns, dtype=TEXT)
        file["obs/n"] = np.arange(CELLS)
        found = kinds(number, missing=missing, names=names)
        file["obs/kind"] = found.codes
        file["obs/__categories/kind"] = np.array(found.categories, dtype=TEXT)
        file["obs/__categories/kind"].attrs["ordered"] = False
        file["obs/kind"].attrs["categories"] = file["obs/__categories/kind"].ref
        for name in ("layers", "obsm", "varm", "uns"):
            file.create_group(name)


def form_of_07(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write_07(folder / f"{number}.h5ad", number)
    found = read(folder)
    codes = joined([one.obs["kind"].cat.codes for one in found])
    return {
        "X": joined([one.X for one in found]),
        "obs/kind": codes,
        "obs/n": joined([one.obs["n"] for one in found]),
    }


def form_of_07_with_missing(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write_07(folder / f"{number}.h5ad", number, missing=bool(number))
    return {"obs/kind": joined([one.obs["kind"].isna() for one in read(folder)])}


def form_of_07_in_another_order(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write_07(folder / f"{number}.h5ad", number, names=KINDS[:: -1 if number else 1])
    return {"obs/kind": joined([one.obs["kind"].cat.codes for one in read(folder)])}


# ── 0.6: a frame is one compound, its categories lie in `uns` ────────────────────────────────────────


def write_06(
    path: Path,
    number: int,
    *,
    missing: bool = False,
    names: Sequence[str] = KINDS,
    genes: Sequence[str] = GENES,
) -> None:
    found = kinds(number, missing=missing, names=names)
    obs = np.zeros(CELLS, [("index", TEXT), ("kind", "i1"), ("n", "i8")])
    obs["index"] = [f"cell{number}-{row}" for row in range(CELLS)]
    obs["kind"], obs["n"] = found.codes, np.arange(CELLS)
    var = np.zeros(len(genes), [("index", TEXT), ("length", "f8")])
    var["index"] = list(genes)
    with h5py.File(path, "w") as file:
        file["X"], file["obs"], file["var"] = matrix(number), obs, var
        file["uns/kind_categories"] = np.array(found.categories, dtype=TEXT)
        file["uns/kind_colors"] = np.array(["#1f77b4", "#ff7f0e", "#2ca02c"], dtype=TEXT)
        file.create_group("obsm")
        file.create_group("layers")


def form_of_06(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write_06(folder / f"{number}.h5ad", number)
    found = read(folder)
    return {
        "X": joined([one.X for one in found]),
        "obs:kind": joined([one.obs["kind"].cat.codes for one in found]),
        "obs:n": joined([one.obs["n"] for one in found]),
    }


def form_of_06_with_missing(folder: Path) -> Mapping[str, Any]:
    for number in range(2):
        write_06(folder / f"{number}.h5ad", number, missing=bool(number))
    return {"obs:kind": joined([one.obs["kind"].isna() for one in read(folder)])}


def form_of_06_in_another_order(folder: Path) -> Mapping[str, Any]:
    """The codes of categories and the order of genes differ between the files."""
    for number in range(2):
        step = -1 if number else 1
        write_06(folder / f"{number}.h5ad", number, names=KINDS[::step], genes=GENES[::step])
    found = read(folder)
    return {
        "obs:kind": joined([one.obs["kind"].cat.codes for one in found]),
        "X": joined([one.X for one in found]),
    }


if __name__ == "__main__":
    write_cases(
        [
            plain, missing, other_order_of_genes, other_genes, other_order_of_kinds, sparse, form_of_07,
            form_of_07_with_missing, form_of_07_in_another_order, form_of_06, form_of_06_with_missing,
            form_of_06_in_another_order,
        ]
    )  # fmt: skip
