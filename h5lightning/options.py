"""The options that users and configuration touch: frozen dataclasses of plain types that check themselves.

Wherever one of them is accepted, a mapping with the same keys is too (`coerce`, `coerce_samples`,
`coerce_fields`), so that Python, Hydra and LightningCLI share one definition. They are not slotted:
LightningCLI reads the ``__dict__`` of defaults.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

from h5lightning.errors import OptionError

__all__ = [
    "Access",
    "Field",
    "Rows",
    "Samples",
    "Shuffle",
    "Split",
    "Whole",
    "Windows",
    "check_choice",
    "check_int",
    "coerce",
    "coerce_fields",
    "coerce_samples",
    "nearest",
    "split_for",
    "to_plain",
]

T = TypeVar("T")

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
_INTEGER_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
DTYPES = (*FLOAT_DTYPES, "bool", *_INTEGER_DTYPES, "complex64", "complex128")
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
        _make_plain(self)
        for name in ("length", "stride", "dilation"):
            check_int(f"samples.{name}", getattr(self, name), at_least=1)

    @property
    def span_rows(self) -> int:
        """Rows from the first to the last row of a window, both included."""
        return (self.length - 1) * self.dilation + 1


@dataclasses.dataclass(frozen=True)
class Whole:
    """A sample is a whole series."""

    kind: ClassVar[str] = "whole"


Samples: TypeAlias = Rows | Windows | Whole
_SAMPLE_KINDS: dict[str, type[Samples]] = {kind.kind: kind for kind in (Rows, Windows, Whole)}


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
    """

    path: str = ""
    attr: str | None = None
    steps: tuple[int, int] | None = None
    constant: bool = False
    member: str | None = None
    dtype: str | None = None
    ragged: str = "error"

    def __post_init__(self) -> None:
        _make_plain(self)
        for name in ("path", "attr", "member"):
            _check_text(f"field.{name}", getattr(self, name))
        _check_bool("field.constant", self.constant)
        parts = (self.path or "").split("/")
        object.__setattr__(self, "path", "/".join(part for part in parts if part))
        if not (self.path if self.attr is None else self.attr):
            raise OptionError(
                f"a field needs a path, or attr= for an attribute; found path={self.path!r}, attr={self.attr!r}"
            )
        if self.dtype is not None:
            check_choice("field.dtype", self.dtype, DTYPES)
        check_choice("field.ragged", self.ragged, ("error",))
        self._check_steps()
        self._check_combination()

    def _check_steps(self) -> None:
        steps: Any = self.steps
        if steps is None:
            return
        is_pair = isinstance(steps, list) and [type(step) for step in steps] == [int, int]
        if not is_pair or not 0 <= steps[0] < steps[1]:
            raise OptionError(f"field.steps must be (start, stop) with 0 <= start < stop, found {steps!r}")
        object.__setattr__(self, "steps", tuple(steps))

    def _check_combination(self) -> None:
        if self.attr is not None and (self.constant or self.steps or self.member):
            raise OptionError(
                f"the field of attribute {self.attr!r} is the same for each sample of a file: "
                "leave out constant, steps and member"
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
        _make_plain(self)
        for name in ("val", "test", "train"):
            _check_share(f"split.{name}", getattr(self, name))
        for name in ("keep_together", "manifest"):
            _check_text(f"split.{name}", getattr(self, name))
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
    """

    mode: str = "auto"
    window_bytes: int = 256 * MIB

    def __post_init__(self) -> None:
        _make_plain(self)
        check_choice("shuffle.mode", self.mode, ("auto", "full", "block", "none"))
        check_int("shuffle.window_bytes", self.window_bytes, at_least=1)


@dataclasses.dataclass(frozen=True)
class Access:
    """How files are opened and trusted.

    Args:
        max_open_files: open files in one process; None for what the system's limit allows.
        cache_bytes: decoded data that one process may keep between batches.
        locking: take HDF5's file lock; many network file systems have none.
        on_bad_file: ``raise``, or ``skip``: leave bad files out when they are scanned, and report them.
        on_missing: ``raise``, or ``fill``: accept HDF5's fill value for data that were never written.
        on_nonfinite: ``ignore``, or ``raise`` for NaN and infinity.
    """

    max_open_files: int | None = None
    cache_bytes: int = 64 * MIB
    locking: bool = False
    on_bad_file: str = "raise"
    on_missing: str = "raise"
    on_nonfinite: str = "ignore"

    def __post_init__(self) -> None:
        _make_plain(self)
        _check_bool("access.locking", self.locking)
        if self.max_open_files is not None:
            check_int("access.max_open_files", self.max_open_files, at_least=1)
        check_int("access.cache_bytes", self.cache_bytes, at_least=0)
        check_choice("access.on_bad_file", self.on_bad_file, ("raise", "skip"))
        check_choice("access.on_missing", self.on_missing, ("raise", "fill"))
        check_choice("access.on_nonfinite", self.on_nonfinite, ("ignore", "raise"))


# ── mappings to options ──────────────────────────────────────────────────────────────────────────────


def coerce(kind: type[T], value: object, name: str) -> T:
    """The option itself, or the option that a mapping describes.

    Args:
        kind: the option class.
        value: an instance, a mapping with the same keys, or None for the defaults.
        name: how the user calls the argument, for the error.

    Raises:
        OptionError: an unknown key (the nearest known one is named), or a value that the option refuses.
    """
    if isinstance(value, kind):
        return value
    if value is None:
        return kind()
    if not isinstance(value, Mapping):
        raise OptionError(f"{name} must be {kind.__name__} or a mapping with its keys, found {value!r}")
    options = dataclasses.fields(cast("Any", kind))
    known = [option.name for option in options]
    for key in value:
        if key not in known:
            raise OptionError(f"{name} has no option {key!r}{nearest(key, known)}")
    for option in options:
        if option.default is dataclasses.MISSING and option.name not in value:
            raise OptionError(f"{name} needs {option.name!r}, found {dict(value)!r}")
    return kind(**dict(value))


def split_for(files: object, value: object) -> Split:
    """The split of what the user wrote, given the patterns that it applies to.

    With a mapping of files, sizes apply only if they are given, and only for splits that it does not name.

    Args:
        files: patterns, or a mapping of splits to patterns.
        value: a `Split`, a mapping with its keys, or None.
    """
    if not isinstance(files, Mapping):
        return coerce(Split, value, "split")
    if value is None or isinstance(value, Mapping):
        value = {"val": None, "test": None, **(value or {})}
    split = coerce(Split, value, "split")
    val, test = (None if name in files else getattr(split, name) for name in ("val", "test"))
    return dataclasses.replace(split, val=val, test=test)


def coerce_samples(value: object) -> Samples:
    """Rows, windows or whole series, from an option, a mapping with ``kind`` or None (rows)."""
    if value is None:
        return Rows()
    if isinstance(value, (Rows, Windows, Whole)):
        return value
    if not isinstance(value, Mapping):
        raise OptionError(f"samples must be Rows, Windows, Whole or a mapping with 'kind', found {value!r}")
    options = dict(value)
    kind = options.pop("kind", "windows" if "length" in options else None)
    check_choice("samples.kind", kind, tuple(_SAMPLE_KINDS))
    for reserved in ("axis", "pad"):
        if reserved in options:
            raise OptionError(f"samples.{reserved} is reserved and not available yet")
    return coerce(_SAMPLE_KINDS[cast("str", kind)], options, "samples")


def coerce_fields(value: object) -> dict[str, Field] | None:
    """Sample key → `Field`, from what a user may write; None stays None (all eligible datasets).

    Raises:
        OptionError: an entry that is no path, ``attr:NAME``, `Field` or mapping, or no entry at all.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = [value]
    entries = dict(value) if isinstance(value, Mapping) else _listed_fields(value)
    if not entries:
        raise OptionError("fields names nothing: give at least one, or leave it out to use all that fit")
    if "sample_id" in entries:
        raise OptionError("fields: the key 'sample_id' is reserved for provenance=True; choose another key")
    return {str(key): _field(str(key), entry) for key, entry in entries.items()}


def _listed_fields(value: object) -> dict[object, object]:
    if not isinstance(value, Iterable):
        raise OptionError(f"fields must map keys to paths or list paths, found {value!r}")
    paths = list(value)
    if not all(isinstance(path, str) for path in paths):
        raise OptionError(f"a list of fields holds paths, which become the keys; found {paths!r}")
    return {path.strip("/"): path for path in paths}


def _field(key: str, value: object) -> Field:
    if isinstance(value, str):
        return Field(attr=value.removeprefix("attr:")) if value.startswith("attr:") else Field(value)
    if not isinstance(value, (Field, Mapping)):
        raise OptionError(f"fields.{key} must be a path, 'attr:NAME', a Field or a mapping, found {value!r}")
    return coerce(Field, value, f"fields.{key}")


def to_plain(value: object) -> Any:
    """Options, mappings and sequences as dicts, lists and scalars, for hyperparameters and checkpoints."""
    if isinstance(value, (Rows, Windows, Whole)):
        return {"kind": value.kind, **dataclasses.asdict(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: to_plain(item) for key, item in dataclasses.asdict(value).items()}
    return _plain(value)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, str) or hasattr(value, "__fspath__"):
        return str(value)
    if getattr(value, "ndim", None) == 0:  # a NumPy scalar, or an array or tensor of one number
        return cast("Any", value).item()
    return [to_plain(item) for item in value] if isinstance(value, Iterable) else value


def _make_plain(option: object) -> None:
    """Turn the values of an option into plain types: a checkpoint may hold no others."""
    for field in dataclasses.fields(cast("Any", option)):
        object.__setattr__(option, field.name, _plain(getattr(option, field.name)))


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of an error message: the known name most like ``name``, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `OptionError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise OptionError(f"{name} must be one of {listed}; found {value!r}")


def check_int(name: str, value: object, *, at_least: int) -> None:
    """Raise `OptionError` unless ``value`` is an integer (and no bool) of at least ``at_least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise OptionError(f"{name} must be an integer of at least {at_least}, found {value!r}")


def _check_text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise OptionError(f"{name} must be text, found {value!r}")


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, found {value!r}")


def _check_share(name: str, value: object) -> None:
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= cast("float", value) <= 1:
        hint = "; for no such split on a command line, write 0" if value in ("None", "null") else ""
        raise OptionError(f"{name} must be a share of the rows in [0, 1] or None, found {value!r}{hint}")
