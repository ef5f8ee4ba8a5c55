"""The program and the command that write files again, so that they are fast to read."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any

import numpy as np

from h5lightning.core.formatting import bytes_text
from h5lightning.tools.doctor.finding import Fix
from h5lightning.tools.doctor.rewriting.output_files import Taken
from h5lightning.tools.doctor.rewriting.storage import COMPRESSORS, Storage
from h5lightning.tools.overview.stored_fields import FAST_FILTERS, Case, StoredField

__all__ = ["FileList", "merging", "rewriting"]

_KIB = 1024
_CHUNK_BYTES = 256 * _KIB
_SMALLEST_GOOD_BYTES = 16 * _KIB
_LARGEST_GOOD_BYTES = 1024 * _KIB
_WELL_MIXED_CHUNKS = 64
_WORTHWHILE_SHARE = 0.9
_SMALL_SHARE = 1 / 8  # of the main field: stored without chunks, it can be read by row beside any chunks
_REPACKABLE = (FAST_FILTERS & {"deflate", "shuffle", "fletcher32"}) | {"szip", "nbit"}


@dataclass(frozen=True, slots=True)
class FileList:
    """The files to write again, as a program and a shell name them.

    Args:
        patterns: what the user gave.
        root: the directory that the names are relative to.
        names: the files.
        glob: one that, below ``root``, matches these files and nothing else, for a shell; empty if there is none.
        total_bytes: what they take.
        is_repackable: whether h5repack keeps what they hold: it writes chunks that were never written, and a virtual
            dataset would not find its sources from another folder.
    """

    patterns: tuple[str, ...]
    root: str
    names: tuple[str, ...]
    glob: str
    total_bytes: int
    is_repackable: bool

    def folder(self, name: str) -> str:
        """A folder for new files, outside of what the patterns match: in this directory, else beside the files."""
        here = os.getcwd()
        taken = Taken(self.patterns, here)
        for folder in (
            name,
            f"{self.root.rstrip('/')}-{name}",
            os.path.join(os.path.dirname(self.root), name),
        ):
            outputs = (os.path.join(here, folder, file) for file in ("00000000.h5", *self.names))
            if not any(map(taken.takes, outputs)):
                return folder
        return f".{name}"  # no wildcard looks into hidden folders

    @property
    def python(self) -> str:
        """An expression for the patterns."""
        return _literal(self.patterns[0] if len(self.patterns) == 1 else list(self.patterns))

    @property
    def shell(self) -> str:
        """Words for a loop, below a directory ``$r``."""
        words = [self.glob] if self.glob else map(_shell_quoted, self.names)
        return " ".join(f'"$r"/{word}' for word in words)


# ── how a field should be stored ─────────────────────────────────────────────────────────────────────


def _best_storage(field: StoredField, case: Case, chunk_rows: int, dtype: str) -> Storage:
    """Chunks only where compression is worth it, and then as high as those of the main field."""
    is_small = field.row_bytes <= case.main.row_bytes * _SMALL_SHARE
    if case.mode == "full" or is_small or not _is_worth_it(case.main) or not _is_worth_it(field):
        return Storage(None, "", dtype)
    known = [name for name in field.filters if name in COMPRESSORS]
    return Storage(chunk_rows, known[0] if known else "deflate", dtype)


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
    stored: dict[str, Storage] = {}
    columns: dict[str, dict[str, Storage]] = {}
    for field in fields:
        storage = _best_storage(field, case, chunk_rows, _dtype(field, is_narrowed=field.path in narrow))
        for path in field.paths:
            if field.member is None:
                stored[path] = storage
            else:
                columns.setdefault(path, {})[field.member] = storage
    into = files.folder("rewritten")
    needed = files.total_bytes + sum(field.total_bytes for field in fields)
    program = _python(stored, columns, files, into, needed)
    return Fix(program, "" if columns else _h5repack(stored, fields, files, into))


def _dtype(field: StoredField, *, is_narrowed: bool) -> str:
    """Another type, where only that mends it."""
    if is_narrowed:
        return "float32"
    is_odd = field.schema.is_converted or "bit fields" in field.reason or "must convert" in field.reason
    return field.schema.dtype if is_odd and field.member is None else ""


def _python(
    stored: Mapping[str, Storage],
    columns: Mapping[str, Mapping[str, Storage]],
    files: FileList,
    into: str,
    needed: int,
) -> str:
    comments = [
        "Whole new files, with all that the originals hold; these stay as they are.",
        f"Up to {bytes_text(needed)} of disk are needed.",
    ]
    if any(storage.dtype not in ("", "float32") for storage in stored.values()):
        comments.append("A dtype that is named is what HDF5 makes of these values: they stay equal.")
    if columns:
        comments.append("Columns of tables are written beside them, into groups TABLE_columns.")
    arguments = {"into": _literal(into)}
    if stored:
        arguments["stored"] = _block({path: _options(one) for path, one in stored.items()})
    if columns:
        tables = {
            table: _block({column: _options(one) for column, one in kinds.items()})
            for table, kinds in columns.items()
        }
        arguments["columns"] = _block(tables)
    return _call("rewrite_files", comments, files, arguments)


def _call(function: str, comments: Sequence[str], files: FileList, arguments: Mapping[str, str]) -> str:
    """A program that calls one function."""
    given = [files.python, *(f"{name}={value}" for name, value in arguments.items())]
    lines = [f"from h5lightning.tools.doctor import {function}", "", *(f"# {text}" for text in comments)]
    return "\n".join([*lines, f"{function}(", *(indent(f"{one},", "    ") for one in given), ")"])


def _block(items: Mapping[str, str]) -> str:
    return "\n".join(
        ["{", *(indent(f"{_literal(key)}: {value},", "    ") for key, value in items.items()), "}"]
    )


def _literal(value: Any) -> str:
    """Python's own: it escapes whatever is not printable, and lone halves of surrogate pairs."""
    return repr(value)


def _options(storage: Storage) -> str:
    options = [f"'chunk_rows': {storage.chunk_rows}"] if storage.chunk_rows else []
    options += [f"'filter': {storage.filter!r}"] if storage.filter else []
    options += [f"'dtype': {storage.dtype!r}"] if storage.dtype else []
    return f"{{{', '.join(options)}}}"


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


def _h5repack(
    stored: Mapping[str, Storage], fields: Sequence[StoredField], files: FileList, into: str
) -> str:
    """A loop over h5repack; empty where it cannot do it: it changes no types and knows no filters but its own."""
    if not files.is_repackable or any(not _can_repack(field, stored) for field in fields):
        return ""
    words = []
    for field in fields:
        for path in field.paths:
            words += _repack_options(field, path, stored[path])
    options = " ".join(map(_shell_quoted, words))
    return (
        f"r={_shell_quoted(_relative(files.root))}; o={_shell_quoted(into)}; for f in {files.shell}; do "
        'n="$o/${f#"$r"/}"; [ -e "$n" ] || { mkdir -p "$(dirname "$n")" && '
        f'h5repack {options} "$f" "$n" || rm -f "$n"; }}; done'
    )


def _repack_options(field: StoredField, path: str, storage: Storage) -> list[str]:
    checksums = ["-f", f"{path}:FLET"] if "fletcher32" in field.filters else []
    filters = ["-f", f"{path}:SHUF", "-f", f"{path}:GZIP=4", *checksums] if storage.filter else []
    rows = storage.chunk_rows
    if rows is None and field.schema.chunks:
        # What has chunks may grow: without any, h5repack would put an end to that.
        rows = max(1, min(_CHUNK_BYTES // field.row_bytes, int(field.rows.min())))
    shape = "x".join(map(str, (rows, *field.schema.row_shape)))
    layout = f"{path}:CHUNK={shape}" if rows else f"{path}:CONTI"
    return ["-l", layout, "-f", f"{path}:NONE", *filters]


def _relative(root: str) -> str:
    """A directory, as it is named from here; one that lies elsewhere in full."""
    here = os.getcwd()
    return os.path.relpath(root, here) if os.path.commonpath([root, here]) == here else root


def _can_repack(field: StoredField, stored: Mapping[str, Storage]) -> bool:
    storage = stored[field.paths[0]]
    is_refused = bool(field.schema.refusal or field.schema.is_converted)
    # A chunk must not be longer than the data, and h5repack reads names up to these signs.
    is_short = storage.chunk_rows is not None and storage.chunk_rows > int(field.rows.min())
    is_named = not any(sign in path for path in field.paths for sign in ",:")
    is_known = set(field.filters) <= _REPACKABLE and storage.filter in ("", "deflate")
    return is_known and is_named and not (is_refused or storage.dtype or is_short)


def _shell_quoted(text: str) -> str:
    """A word for bash; with escapes for what is not printable."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = re.sub(r"[\\']", r"\\\g<0>", text)
    return "$'" + "".join(char if char.isprintable() else _shell_escape(char) for char in escaped) + "'"


def _shell_escape(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


# ── many files ───────────────────────────────────────────────────────────────────────────────────────


def merging(case: Case, files: FileList) -> Fix:
    """Write the files into fewer ones.

    Args:
        case: the fields.
        files: the files.
    """
    names = list(dict.fromkeys(path for field in case.fields for path in field.paths))
    comments = [
        "Fewer new files, with these datasets and their attributes; the originals stay as they are.",
        "'source_file' will say from which of them a row comes, for split.keep_together.",
    ]
    arguments = {"into": _literal(files.folder("merged")), "datasets": _literal(names)}
    if case.loading.is_whole:
        arguments["is_stacked"] = "True"
    return Fix(_call("merge_files", comments, files, arguments))
