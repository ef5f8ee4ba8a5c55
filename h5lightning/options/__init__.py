"""The options that users and configuration touch: frozen dataclasses of plain types that check themselves.

Wherever one of them is accepted, a mapping with the same keys is too (see `coercion`), so that Python, Hydra and
LightningCLI share one definition. They are not slotted: LightningCLI reads the ``__dict__`` of defaults.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from h5lightning.errors import OptionError
from h5lightning.options.checks import check_bool, check_choice, check_int, check_share, check_text
from h5lightning.options.plain import make_plain

__all__ = ["Access", "Field", "Rows", "Samples", "Shuffle", "Split", "Whole", "Windows"]

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
_INTEGER_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
DTYPES = (*FLOAT_DTYPES, "bool", *_INTEGER_DTYPES, "complex64", "complex128")
SERIES = ("file",)
MIB = 1024 * 1024


# ── how samples lie in a series ──────────────────────────────────────────────────────────────────────


@dataclasses.dataclass(frozen=True)
class Rows:
    """Each row of a series is one sample."""

    kind: ClassVar[str] = "rows"


@dataclasses.dataclass(frozen=True)
class Windows:
    """A sample is a window of rows; windows never cross the border of a series.

    Args:
        length: rows in a window.
        stride: rows from the start of one window to the start of the next.
        dilation: rows from one row of a window to its next.
    """

    length: int
    stride: int = 1
    dilation: int = 1
    kind: ClassVar[str] = "windows"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("length", "stride", "dilation"):
            check_int(f"samples.{name}", getattr(self, name), at_least=1)
        check_int(
            "the rows that a window spans, (samples.length - 1) * samples.dilation + 1,",
            self.span_rows,
            at_least=1,
        )

    @property
    def span_rows(self) -> int:
        """Rows from the first to the last row of a window, both included."""
        return (self.length - 1) * self.dilation + 1


@dataclasses.dataclass(frozen=True)
class Whole:
    """A sample is a whole series."""

    kind: ClassVar[str] = "whole"


Samples: TypeAlias = Rows | Windows | Whole


# ── what a sample is made of ─────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass(frozen=True)
class Field:
    """One entry of a sample.

    Args:
        path: path of the dataset in the file; with ``attr``, of the object that carries the attribute.
        attr: name of an attribute, the same value for each sample of the file.
        steps: ``(start, stop)`` of the window's rows, so that two fields can share one dataset.
        constant: the dataset has no sample axis (a grid, a mask): each sample gets all of it.
        member: the column of a compound dataset.
        dtype: the type that is delivered, such as ``"float32"``.
        ragged: what to do with samples of different length; ``"error"`` names the file that differs.
        decode: ``"cf"``: deliver what the stored numbers stand for, as the attributes of each file say
            (``scale_factor``, ``add_offset``, ``_FillValue``, ``missing_value``, ``valid_range``, ``_Unsigned``; of NWB
            ``conversion`` and ``offset``): computed in float64, rounded once to ``dtype`` (float32 unless said), with
            NaN for missing values. ``"stored"``: deliver the stored numbers, whatever the file says that they stand
            for. None: an error where they stand for others.
    """

    path: str = ""
    attr: str | None = None
    steps: tuple[int, int] | None = None
    constant: bool = False
    member: str | None = None
    dtype: str | None = None
    ragged: str = "error"
    decode: str | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("path", "attr", "member"):
            check_text(f"field.{name}", getattr(self, name))
        check_bool("field.constant", self.constant)
        parts = (self.path or "").split("/")
        object.__setattr__(self, "path", "/".join(part for part in parts if part))
        if not (self.path if self.attr is None else self.attr):
            raise OptionError(
                f"a field needs a path, or attr= for an attribute; found path={self.path!r}, attr={self.attr!r}"
            )
        if self.dtype is not None:
            check_choice("field.dtype", self.dtype, DTYPES)
        check_choice("field.ragged", self.ragged, ("error",))
        if self.decode is not None:
            check_choice("field.decode", self.decode, ("stored", "cf"))
        self._check_steps()
        self._check_combination()

    def text(self, **changes: Any) -> str:
        """How it is written in Python, with some options changed: for what a user may copy.

        Example:
            >>> Field("x", constant=True).text(decode="cf")
            "Field('x', constant=True, decode='cf')"
        """
        options = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)} | changes
        defaults = {item.name: item.default for item in dataclasses.fields(self)}
        path = [repr(options["path"])] if options["path"] else []
        said = (f"{name}={value!r}" for name, value in options.items() if value != defaults[name])
        return f"Field({', '.join([*path, *(one for one in said if not one.startswith('path='))])})"

    def _check_steps(self) -> None:
        steps: Any = self.steps
        if steps is None:
            return
        is_pair = isinstance(steps, list) and [type(step) for step in steps] == [int, int]
        if not is_pair or not 0 <= steps[0] < steps[1]:
            raise OptionError(f"field.steps must be (start, stop) with 0 <= start < stop, found {steps!r}")
        object.__setattr__(self, "steps", tuple(steps))

    def _check_combination(self) -> None:
        if self.attr is not None and (self.constant or self.steps or self.member or self.decode):
            raise OptionError(
                f"the field of attribute {self.attr!r} is the same for each sample of a file: "
                "leave out constant, steps, member and decode"
            )
        if self.constant and self.steps:
            raise OptionError(f"the constant field {self.path!r} has no sample axis: leave out steps")


# ── train, val, test ─────────────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass(frozen=True)
class Split:
    """How data become train, val and test.

    Args:
        val: share of all rows for validation; None or 0 for no such split.
        test: share of all rows for testing; None or 0 for no such split.
        train: share of all rows for training; None for what val and test leave.
        by: what is never divided: ``file``, ``series``, ``block`` (each series' rows cut in order),
            ``sample`` (random rows) or ``auto``: file if there are enough, else series, else block.
        order: ``random``, or ``path``: in path order train, val, test.
        keep_together: ``path:REGEX`` (first capture group) or ``attr:NAME``; files that share the value
            are never in two splits.
        gap: rows that are left out between two parts of a series, with ``by="block"``.
        folds: cut what the test part leaves into this many parts.
        fold: the part, counted from 0, that is val.
        seed: None for the seed of the DataModule.
        manifest: path of a saved split to read.
        on_new: what happens to files that the manifest does not know: ``error``, ``train`` or ``split``.
    """

    val: float | None = 0.1
    test: float | None = 0.1
    train: float | None = None
    by: str = "auto"
    order: str = "random"
    keep_together: str | None = None
    gap: int = 0
    folds: int | None = None
    fold: int | None = None
    seed: int | None = None
    manifest: str | None = None
    on_new: str = "error"

    def __post_init__(self) -> None:
        make_plain(self)
        for name in ("val", "test", "train"):
            check_share(f"split.{name}", getattr(self, name))
        for name in ("keep_together", "manifest"):
            check_text(f"split.{name}", getattr(self, name))
        check_choice("split.by", self.by, ("auto", "file", "series", "block", "sample"))
        check_choice("split.order", self.order, ("random", "path"))
        check_choice("split.on_new", self.on_new, ("error", "train", "split"))
        check_int("split.gap", self.gap, at_least=0)
        if self.seed is not None:
            check_int("split.seed", self.seed, at_least=0)
        self._check_sum()
        self._check_folds()
        self._check_keep_together()

    def _check_sum(self) -> None:
        val = 0.0 if self.folds else (self.val or 0.0)
        shares = {"train": self.train or 0.0, "val": val, "test": self.test or 0.0}
        total = math.fsum(shares.values())
        if total > 1 + 1e-9:
            listed = " + ".join(f"{name} {share:g}" for name, share in shares.items())
            raise OptionError(
                f"split: the shares must sum to at most 1, found {listed} = {total:g}. In Hydra a mapping is "
                "merged with the defaults (val 0.1, test 0.1): data.split.test=null takes one out"
            )

    def _check_folds(self) -> None:
        if self.folds is None and self.fold is None:
            return
        if self.folds is None or self.fold is None:
            raise OptionError(
                f"split: folds and fold go together, found folds={self.folds}, fold={self.fold}"
            )
        check_int("split.folds", self.folds, at_least=2)
        check_int("split.fold", self.fold, at_least=0)
        if self.fold >= self.folds:
            raise OptionError(
                f"split.fold must be below split.folds, found fold={self.fold}, folds={self.folds}"
            )

    def _check_keep_together(self) -> None:
        if self.keep_together is None:
            return
        kind, _, rest = self.keep_together.partition(":")
        if kind not in ("path", "attr") or not rest:
            raise OptionError(
                f"split.keep_together must be 'path:REGEX' or 'attr:NAME', found {self.keep_together!r}"
                + (" ('field:PATH' is not available yet)" if kind == "field" else "")
            )


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """The order of training samples.

    Args:
        mode: ``full``, a permutation of all samples; ``block``, whole chunks in random order, mixed inside
            a window; ``none``, the order of the files; ``auto``, full where a row can be read alone, block
            where a chunk must be decoded whole.
        window_bytes: decoded bytes that are mixed with each other in block order, for the whole job.
        weights: the field whose value is a sample's weight: samples are drawn with replacement, as many in an
            epoch as there are; None for each sample once.
        balance: the field whose value is a sample's class: likewise, with all classes equally likely.
    """

    mode: str = "auto"
    window_bytes: int = 256 * MIB
    weights: str | None = None
    balance: str | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_choice("shuffle.mode", self.mode, ("auto", "full", "block", "none"))
        check_int("shuffle.window_bytes", self.window_bytes, at_least=1)
        for name in ("weights", "balance"):
            check_text(f"shuffle.{name}", getattr(self, name))
        self._check_drawing()

    @property
    def drawn_by(self) -> str | None:
        """The field that says how likely a sample is to be drawn; None where each sample comes once."""
        return self.weights if self.balance is None else self.balance

    def _check_drawing(self) -> None:
        if self.weights is not None and self.balance is not None:
            raise OptionError(
                f"shuffle.weights={self.weights!r} and shuffle.balance={self.balance!r}: give one of them. For both, "
                "write the product of the weights to a field of its own"
            )
        if self.drawn_by is not None and self.mode == "none":
            name = "weights" if self.balance is None else "balance"
            raise OptionError(
                f"shuffle.{name} draws samples at random, shuffle.mode='none' keeps the order of the files: leave one "
                "out"
            )


@dataclasses.dataclass(frozen=True)
class Access:
    """How files are opened and trusted.

    Args:
        max_open_files: open files in one process; None for what the system's limit allows.
        cache_bytes: decoded data that one process may keep between batches. Block order decodes each chunk once if
            the shuffle's window fits, with a quarter to spare.
        locking: take HDF5's file lock; many network file systems have none.
        on_bad_file: ``raise``, or ``skip``: leave bad files out when they are scanned, and report them. While samples
            are read, a bad file is always an error.
        max_bad_fraction: the share of all files that may be left out; more are an error.
        on_missing: ``raise``, or ``fill``: accept HDF5's fill value for data that were never written.
        on_nonfinite: ``ignore``, or ``raise`` for NaN and infinity.
        allow_external: directory that files with values of other files may lie in: the targets of external links,
            external storage, and the sources of virtual datasets. None to follow nothing out of a file.
        memory_map: read values that are stored as they are from memory maps of their files, which is fastest, or by
            calls of the system, which no file that is cut off can make a signal of. None: maps, but on network file
            systems. Chunks with filters are never mapped.
        verify: compare what is read with the checksums that ``h5lightning index --checksum`` made; an error where
            there are none.
        same: paths of datasets, such as names of columns, whose values must be the same in all files: compared when
            files are scanned.
    """

    max_open_files: int | None = None
    cache_bytes: int = 384 * MIB
    locking: bool = False
    on_bad_file: str = "raise"
    max_bad_fraction: float = 0.01
    on_missing: str = "raise"
    on_nonfinite: str = "ignore"
    allow_external: str | None = None
    memory_map: bool | None = None
    verify: bool = False
    same: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        make_plain(self)
        check_bool("access.locking", self.locking)
        if self.max_open_files is not None:
            check_int("access.max_open_files", self.max_open_files, at_least=1)
        check_int("access.cache_bytes", self.cache_bytes, at_least=0)
        check_choice("access.on_bad_file", self.on_bad_file, ("raise", "skip"))
        check_share("access.max_bad_fraction", self.max_bad_fraction, is_optional=False)
        check_choice("access.on_missing", self.on_missing, ("raise", "fill"))
        check_choice("access.on_nonfinite", self.on_nonfinite, ("ignore", "raise"))
        check_text("access.allow_external", self.allow_external)
        if self.memory_map is not None:
            check_bool("access.memory_map", self.memory_map)
        check_bool("access.verify", self.verify)
        self._check_same()
        if self.verify and self.allow_external is not None:
            raise OptionError(
                f"access.verify compares files with checksums of their own bytes, access.allow_external="
                f"{self.allow_external!r} lets values lie in others: leave one out"
            )

    def _check_same(self) -> None:
        same = [self.same] if isinstance(self.same, str) else self.same
        if not isinstance(same, list) or not all(isinstance(path, str) and path.strip("/") for path in same):
            raise OptionError(
                f"access.same must list paths of datasets, such as ['var/_index'], found {self.same!r}"
            )
        paths = ("/".join(part for part in path.split("/") if part) for path in same)
        object.__setattr__(self, "same", tuple(dict.fromkeys(paths)))
