"""Programs and commands that rewrite files so that they are fast to read."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from textwrap import indent
from typing import Any

import numpy as np

from h5lightning.core.formatting import bytes_text
from h5lightning.core.visible import shell_word
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.storage.discovery.patterns import Pattern
from h5lightning.tools.doctor.chunk_findings import WELL_MIXED_CHUNKS
from h5lightning.tools.doctor.finding import Fix
from h5lightning.tools.doctor.rewriting.output_files import InputPatterns
from h5lightning.tools.doctor.rewriting.storage_options import COMPRESSORS, StorageOptions
from h5lightning.tools.overview.workload import FieldStorage, Workload

__all__ = ["FileList", "merge_fix", "rewrite_fix"]

_CHUNK_BYTES = 256 * 1024
_SMALLEST_GOOD_BYTES = 16 * 1024
_LARGEST_GOOD_BYTES = 1024 * 1024
_WORTHWHILE_SHARE = 0.9
# Of the main field: without chunks, such rows are fast to read beside chunks of any size.
_SMALL_SHARE = 1 / 8
_REPACKABLE = frozenset(["deflate", "shuffle", "fletcher32", "szip", "nbit"])


@dataclass(frozen=True, slots=True)
class FileList:
    """The files to rewrite, as a program and a shell name them.

    Args:
        patterns: the patterns of the user.
        root: the directory that the names are relative to.
        names: the files.
        glob: a shell pattern relative to ``root`` that matches exactly these files; empty if there is none.
        total_bytes: bytes of the files.
        is_repackable: whether h5repack keeps the content: it would write chunks that were never written, and virtual
            datasets would not find their sources from another folder.
    """

    patterns: tuple[str, ...]
    root: str
    names: tuple[str, ...]
    glob: str
    total_bytes: int
    is_repackable: bool

    @classmethod
    def of(cls, patterns: Sequence[str], catalog: Catalog) -> FileList:
        """The files of a catalog that these patterns match."""
        schemas = chain(*catalog.layouts)
        has_sources = any(schema.storage in ("virtual", "external") for schema in schemas)
        return cls(
            patterns=tuple(patterns),
            root=catalog.root,
            names=tuple(catalog.names),
            glob=_shell_glob(patterns, catalog),
            total_bytes=int(catalog.stamps[:, 0].sum()),
            is_repackable=not catalog.facts[:, 2].any() and not has_sources,
        )

    def folder(self, name: str) -> str:
        """A folder for new files that the patterns do not match: in this directory, or else beside the files."""
        directory = os.getcwd()
        inputs = InputPatterns(self.patterns, directory)
        beside = f"{self.root.rstrip('/')}-{name}"
        for folder in (name, beside, os.path.join(os.path.dirname(self.root), name)):
            outputs = (os.path.join(directory, folder, file) for file in ("00000000.h5", *self.names))
            if not any(map(inputs.match, outputs)):
                return folder
        return f".{name}"  # no wildcard matches hidden folders


def _shell_glob(patterns: Sequence[str], catalog: Catalog) -> str:
    """A pattern relative to the root that matches the same files in a shell; empty if there is none."""
    if len(patterns) != 1:
        return ""
    (first, *alternatives) = Pattern.of(patterns[0], os.getcwd()).globs
    text = "/".join(first.parts)
    is_plain = "**" not in text and bool(re.fullmatch(r"[\w./*?-]+", text, re.ASCII))
    if alternatives or not is_plain or first.base != catalog.root:
        return ""
    return text if sorted(glob.glob(text, root_dir=catalog.root)) == sorted(catalog.names) else ""


def _best_storage(field: FieldStorage, workload: Workload, chunk_rows: int, dtype: str) -> StorageOptions:
    """Chunks only if compression is worth it; then as many rows in a chunk as the main field has."""
    is_small = field.row_bytes <= workload.main.row_bytes * _SMALL_SHARE
    if workload.mode == "full" or is_small or not _is_worth_it(workload.main) or not _is_worth_it(field):
        return StorageOptions(None, "", dtype)
    compressors = [name for name in field.filters if name in COMPRESSORS]
    return StorageOptions(chunk_rows, compressors[0] if compressors else "deflate", dtype)


def _is_worth_it(field: FieldStorage) -> bool:
    return field.is_compressed and field.stored_bytes < _WORTHWHILE_SHARE * field.total_bytes


def _chunk_rows(main: FieldStorage, workload: Workload) -> int:
    """Rows of a chunk: as now if that is good; else about 256 KiB, so that most files have whole chunks only."""
    in_window = workload.window_rows // WELL_MIXED_CHUNKS
    limit = max(1, min(in_window, workload.cache_bytes // main.row_bytes))
    is_good = main.chunks_per_row == 1 and _SMALLEST_GOOD_BYTES <= main.chunk_row_bytes <= _LARGEST_GOOD_BYTES
    if is_good and main.rows_per_chunk <= min(limit, main.max_rows):
        return main.rows_per_chunk
    rows = max(1, min(_CHUNK_BYTES // main.row_bytes, limit, main.max_rows))
    typical = max(rows, int(np.median(main.rows)))
    return -(-typical // -(-typical // rows))


def _new_dtype(field: FieldStorage, *, is_narrowed: bool) -> str:
    """The type to store, if a new one is needed; else empty."""
    if is_narrowed:
        return "float32"
    is_odd = field.schema.is_converted or "bit fields" in field.reason or "must convert" in field.reason
    return field.schema.dtype if is_odd and field.member is None else ""


def rewrite_fix(
    fields: Sequence[FieldStorage], workload: Workload, files: FileList, *, narrow: Collection[str]
) -> Fix:
    """Code that writes new files with other storage.

    Args:
        fields: the fields whose datasets should be stored in another way.
        workload: all fields.
        files: the files.
        narrow: paths of the datasets that should become float32.
    """
    main = workload.main
    is_main_rewritten = any(field.path == main.path for field in fields)
    chunk_rows = _chunk_rows(main, workload) if is_main_rewritten else main.rows_per_chunk
    stored: dict[str, StorageOptions] = {}
    columns: dict[str, dict[str, StorageOptions]] = {}
    for field in fields:
        dtype = _new_dtype(field, is_narrowed=field.path in narrow)
        storage = _best_storage(field, workload, chunk_rows, dtype)
        for path in (field.path,) if field.is_family else field.paths:
            if field.member is None:
                stored[path] = storage
            else:
                columns.setdefault(path, {})[field.member] = storage
    into = files.folder("rewritten")
    needed_bytes = files.total_bytes + sum(field.total_bytes for field in fields)
    program = _rewrite_program(stored, columns, files, into, needed_bytes)
    return Fix(program, "" if columns else _h5repack(stored, fields, files, into))


def merge_fix(workload: Workload, files: FileList) -> Fix:
    """Code that merges the files into fewer ones."""
    datasets = list(dict.fromkeys(path for field in workload.fields for path in field.paths))
    comments = [
        "This writes fewer, new files with these datasets and their attributes; the original files stay as they are.",
        "'source_file' says which file a row comes from, for split.keep_together.",
    ]
    arguments: dict[str, Any] = {"into": files.folder("merged"), "datasets": datasets}
    if workload.is_whole:
        arguments["is_stacked"] = True
    return Fix(_program("merge_files", comments, files, arguments))


def _rewrite_program(
    stored: Mapping[str, StorageOptions],
    columns: Mapping[str, Mapping[str, StorageOptions]],
    files: FileList,
    into: str,
    needed_bytes: int,
) -> str:
    comments = [
        "This writes new files with the same content; the original files stay as they are.",
        f"It needs up to {bytes_text(needed_bytes)} of disk space.",
    ]
    if any(storage.dtype not in ("", "float32") for storage in stored.values()):
        comments.append("'dtype' is the type that HDF5 converts these values to: they stay equal.")
    if columns:
        comments.append("The columns of tables are also written as datasets, in groups named TABLE_columns.")
    arguments: dict[str, Any] = {"into": into}
    if stored:
        arguments["stored"] = stored
    if columns:
        arguments["columns"] = columns
    return _program("rewrite_files", comments, files, arguments)


def _program(function: str, comments: Sequence[str], files: FileList, arguments: Mapping[str, Any]) -> str:
    """A program that calls one function."""
    patterns = files.patterns[0] if len(files.patterns) == 1 else list(files.patterns)
    given = [repr(patterns), *(f"{name}={_literal(value)}" for name, value in arguments.items())]
    lines = [f"from h5lightning.tools.doctor import {function}", "", *(f"# {text}" for text in comments)]
    return "\n".join([*lines, f"{function}(", *(indent(f"{text},", "    ") for text in given), ")"])


def _literal(value: Any) -> str:
    """A Python literal; repr escapes characters that are not printable, and single surrogates."""
    if isinstance(value, StorageOptions):
        return repr({name: option for name, option in asdict(value).items() if option})
    if isinstance(value, Mapping):
        items = [indent(f"{key!r}: {_literal(item)},", "    ") for key, item in value.items()]
        return "\n".join(["{", *items, "}"])
    return repr(value)


def _h5repack(
    stored: Mapping[str, StorageOptions], fields: Sequence[FieldStorage], files: FileList, into: str
) -> str:
    """A shell loop over h5repack; empty if h5repack cannot do it: it keeps all types and knows few filters."""
    # h5repack knows no '*'.
    if not files.is_repackable or any(field.is_family or not _can_repack(field, stored) for field in fields):
        return ""
    words = [
        word for field in fields for path in field.paths for word in _repack_words(field, path, stored[path])
    ]
    names = " ".join(
        f'"$r"/{name}' for name in ([files.glob] if files.glob else map(shell_word, files.names))
    )
    return (
        f"r={shell_word(_short_path(files.root))}; o={shell_word(into)}; for f in {names}; do "
        'n="$o/${f#"$r"/}"; [ -e "$n" ] || { mkdir -p "$(dirname "$n")" && '
        f'h5repack {" ".join(map(shell_word, words))} "$f" "$n" || rm -f "$n"; }}; done'
    )


def _repack_words(field: FieldStorage, path: str, storage: StorageOptions) -> list[str]:
    checksums = ["-f", f"{path}:FLET"] if "fletcher32" in field.filters else []
    filters = ["-f", f"{path}:SHUF", "-f", f"{path}:GZIP=4", *checksums] if storage.filter else []
    rows = storage.chunk_rows
    if rows is None and field.schema.chunks:
        # A dataset with chunks may grow; without chunks it could not.
        rows = max(1, min(_CHUNK_BYTES // field.row_bytes, int(field.rows.min())))
    shape = "x".join(map(str, (rows, *field.schema.row_shape)))
    layout = f"{path}:CHUNK={shape}" if rows else f"{path}:CONTI"
    return ["-l", layout, "-f", f"{path}:NONE", *filters]


def _short_path(root: str) -> str:
    """A directory relative to the current one, if it lies in it."""
    current = os.getcwd()
    return os.path.relpath(root, current) if os.path.commonpath([root, current]) == current else root


def _can_repack(field: FieldStorage, stored: Mapping[str, StorageOptions]) -> bool:
    storage = stored[field.paths[0]]
    is_refused = bool(field.schema.refusal or field.schema.is_converted)
    # h5repack makes no chunk longer than the data, and a comma or colon ends a name.
    is_short = storage.chunk_rows is not None and storage.chunk_rows > int(field.rows.min())
    has_plain_names = not any(sign in path for path in field.paths for sign in ",:")
    has_known_filters = set(field.filters) <= _REPACKABLE and storage.filter in ("", "deflate")
    return has_known_filters and has_plain_names and not (is_refused or storage.dtype or is_short)
