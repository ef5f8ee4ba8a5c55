"""The program and the command that write files again, so that they are fast to read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from h5lightning.diagnosing.finding import Fix
from h5lightning.diagnosing.stored_fields import COMPRESSORS, FAST_FILTERS, Case, StoredField

__all__ = ["FileList", "merging", "rewriting"]

_KIB = 1024
_CHUNK_BYTES = 256 * _KIB
_SMALLEST_GOOD_BYTES = 16 * _KIB
_LARGEST_GOOD_BYTES = 1024 * _KIB
_WELL_MIXED_CHUNKS = 64
_WORTHWHILE_SHARE = 0.9
_SMALL_SHARE = 1 / 8  # of the main field: stored without chunks, it can be read by row beside any chunks
_COPIED_BYTES = 64 * _KIB * _KIB
_MERGED_FILES = 500


@dataclass(frozen=True, slots=True)
class FileList:
    """The files to write again, as a program and a shell name them.

    Args:
        pattern: a glob that matches them and nothing else; empty if there is none.
        paths: the files.
    """

    pattern: str
    paths: tuple[str, ...]

    @property
    def python(self) -> str:
        """An expression for their paths."""
        if self.pattern:
            return f"sorted(glob.glob({_quoted(self.pattern)}, recursive=True))"
        return _quoted(list(self.paths))

    @property
    def shell(self) -> str:
        """Words for a loop; a glob stays open to the shell, which knows no ``**``."""
        if not self.pattern or "**" in self.pattern:
            return " ".join(map(shlex.quote, self.paths))
        return "".join(sign if sign in "*?[]" else shlex.quote(sign) for sign in self.pattern)


@dataclass(frozen=True, slots=True)
class _Storage:
    """How a dataset should be stored.

    Args:
        chunk_rows: rows of a chunk; None for contiguous.
        filter: the compressor; empty for none.
        dtype: another type; empty for the same.
    """

    chunk_rows: int | None
    filter: str
    dtype: str = ""


# ── how a field should be stored ─────────────────────────────────────────────────────────────────────


def _best_storage(field: StoredField, case: Case, chunk_rows: int, dtype: str) -> _Storage:
    """Chunks only where compression is worth it, and then as high as those of the main field."""
    is_small = field.row_bytes <= case.main.row_bytes * _SMALL_SHARE
    if case.mode == "full" or is_small or not _is_worth_it(case.main) or not _is_worth_it(field):
        return _Storage(None, "", dtype)
    known = [name for name in field.filters if name in COMPRESSORS]
    return _Storage(chunk_rows, known[0] if known else "deflate", dtype)


def _is_worth_it(field: StoredField) -> bool:
    return field.is_compressed and field.stored_bytes < _WORTHWHILE_SHARE * field.total_bytes


def _chunk_rows(main: StoredField, case: Case) -> int:
    """Those that there are, if they are good; else rows of about 256 KiB, a whole number of chunks for most files."""
    most = max(1, min(case.window_rows // _WELL_MIXED_CHUNKS, case.loading.cache_bytes // main.row_bytes))
    is_good = main.chunks_across == 1 and _SMALLEST_GOOD_BYTES <= main.slab_bytes <= _LARGEST_GOOD_BYTES
    if is_good and main.slab_rows <= min(most, main.longest):
        return main.slab_rows
    rows = max(1, min(_CHUNK_BYTES // main.row_bytes, most, main.longest))
    typical = max(rows, int(np.median(main.rows)))
    return -(-typical // -(-typical // rows))


# ── the program ──────────────────────────────────────────────────────────────────────────────────────


def rewriting(fields: Sequence[StoredField], case: Case, files: FileList, *, narrow: Collection[str]) -> Fix:
    """Write datasets again.

    Args:
        fields: the fields whose datasets should be stored in another way.
        case: all fields.
        files: the files.
        narrow: paths of those that should become float32.
    """
    main = case.main
    is_main_written = any(field.path == main.path for field in fields)
    chunk_rows = _chunk_rows(main, case) if is_main_written else main.slab_rows
    storages = {
        path: _best_storage(field, case, chunk_rows, "float32" if field.path in narrow else "")
        for field in fields
        if field.member is None
        for path in field.paths
    }
    tables: dict[str, dict[str, str]] = {}
    for field in fields:
        if field.member is not None:
            kind = "float32" if field.path in narrow else str(field.schema.element(field.member))
            tables.setdefault(field.path, {})[field.member] = kind
    step = max(_step_rows(field) for field in fields)
    program = _python(storages, tables, files, step)
    return Fix(program, "" if tables else _h5repack(storages, fields, files))


def _step_rows(field: StoredField) -> int:
    """Rows that are copied together: whole chunks, so that each is decoded once."""
    height = (field.schema.chunks or (1,))[0]
    return max(1, _COPIED_BYTES // (field.row_bytes * height)) * height


def _python(
    storages: Mapping[str, _Storage], tables: Mapping[str, Mapping[str, str]], files: FileList, step: int
) -> str:
    stored = [f"    {_quoted(path)}: {{{_options(storage)}}}," for path, storage in storages.items()]
    uses_plugin = any("hdf5plugin" in line for line in stored)
    lines = [
        *(["import glob"] if files.pattern else []),
        "import os",
        "",
        "import h5py",
        *(["import hdf5plugin"] if uses_plugin else []),
        "",
        *(["stored = {", *stored, "}"] if stored else []),
        *([f"tables = {_quoted(tables)}"] if tables else []),
        f"for path in {files.python}:",
        '    with h5py.File(path) as old, h5py.File(path + ".new", "w") as new:',
        "        new.attrs.update(old.attrs)",
        f"        for name in old.keys(){' - stored.keys()' * bool(stored)}{' - tables.keys()' * bool(tables)}:",
        "            old.copy(name, new)",
        *(_COPY_DATASETS.format(step=step).splitlines() if stored else []),
        *(_COPY_COLUMNS.splitlines() if tables else []),
        '    os.replace(path + ".new", path)',
    ]
    return "\n".join(lines)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _options(storage: _Storage) -> str:
    options = [f'"rows": {storage.chunk_rows}'] if storage.chunk_rows else []
    options += [COMPRESSORS[storage.filter]] if storage.filter else []
    options += [f'"dtype": {_quoted(storage.dtype)}'] if storage.dtype else []
    return ", ".join(options)


_COPY_DATASETS = """\
        for name, options in stored.items():
            data, options = old[name], {{"dtype": old[name].dtype, **options}}
            if name in new:
                del new[name]
            rows = min(options.pop("rows", 0), len(data))
            chunks = (rows, *data.shape[1:]) if rows else None
            made = new.create_dataset(name, data.shape, chunks=chunks, **options)
            made.attrs.update(data.attrs)
            for start in range(0, len(data), {step}):
                made[start : start + {step}] = data[start : start + {step}]"""

# Each column becomes a dataset in a group with the name of the table.
_COPY_COLUMNS = """\
        for name, columns in tables.items():
            if name in new:
                del new[name]
            for column, dtype in columns.items():
                new[f"{name}/{column}"] = old[name][column].astype(dtype)"""


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


def _h5repack(storages: Mapping[str, _Storage], fields: Sequence[StoredField], files: FileList) -> str:
    """A loop over h5repack; empty where it cannot do it: it changes no types and knows no filters but its own."""
    if any(not _can_repack(field, storages) for field in fields):
        return ""
    words = []
    for field in fields:
        for path in field.paths:
            rows = storages[path].chunk_rows
            shape = "x".join(map(str, (rows, *field.schema.row_shape)))
            filters = (
                ["-f", f"{path}:NONE", "-f", f"{path}:SHUF", "-f", f"{path}:GZIP=4"]
                if rows
                else ["-f", f"{path}:NONE"]
            )
            words += ["-l", f"{path}:CHUNK={shape}" if rows else f"{path}:CONTI", *filters]
    options = " ".join(map(shlex.quote, words))
    return f'for f in {files.shell}; do h5repack {options} "$f" "$f.new" && mv "$f.new" "$f"; done'


def _can_repack(field: StoredField, storages: Mapping[str, _Storage]) -> bool:
    storage = storages[field.paths[0]]
    is_refused = bool(field.schema.refusal or field.schema.is_converted)
    is_known = set(field.filters) <= FAST_FILTERS & {"deflate", "shuffle", "fletcher32"} | {"szip", "nbit"}
    # A chunk must not be longer than the data.
    is_short = storage.chunk_rows is not None and storage.chunk_rows > int(field.rows.min())
    return not (is_refused or storage.dtype or is_short) and is_known and storage.filter in ("", "deflate")


# ── many files ───────────────────────────────────────────────────────────────────────────────────────


def merging(case: Case, files: FileList) -> Fix:
    """Write the files into fewer ones, in a directory ``merged``.

    Args:
        case: the fields.
        files: the files.
    """
    names = list(dict.fromkeys(path for field in case.fields for path in field.paths))
    join = "stack" if case.loading.is_whole else "concatenate"
    lines = [
        *(["import glob"] if files.pattern else []),
        "import os",
        "",
        "import h5py",
        "import numpy as np",
        "",
        "",
        "def read(path, name):",
        "    with h5py.File(path) as file:",
        "        return file[name][...]",
        "",
        "",
        f"paths = {files.python}",
        'os.makedirs("merged", exist_ok=True)',
        f"for start in range(0, len(paths), {_MERGED_FILES}):",
        '    with h5py.File(f"merged/{start:08}.h5", "w") as new:',
        f"        for name in {_quoted(names)}:",
        f"            new[name] = np.{join}([read(path, name) for path in paths[start : start + {_MERGED_FILES}]])",
    ]
    return Fix("\n".join(lines))
