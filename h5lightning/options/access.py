"""How files are opened and trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from h5lightning.errors import OptionError
from h5lightning.options.checks import (
    check_bool,
    check_choice,
    check_fraction,
    check_int,
    check_text,
    make_plain,
)

__all__ = ["Access"]

_MOST_PADDED_BYTES = 1024**3


@dataclasses.dataclass(frozen=True)
class Access:
    """How files are opened and trusted.

    Args:
        max_open_files: open files in one process; None for as many as the limit of the system allows. If more are asked
            for, the limit of the process is raised as far as it may be. Mapped files need not stay open.
        cache_bytes: decoded data that one process may keep between batches; on Linux, the worker processes of a loader
            keep and share so much together. Block order decodes each chunk once if the window of the shuffle takes at
            most three quarters of it; the default window is lowered to fit.
        locking: take HDF5's file lock, which many network file systems do not support.
        on_bad_file: ``raise``, or ``skip`` to leave out and report files that the scan finds to be bad. During
            training, a bad file is always an error.
        max_bad_fraction: fraction of all files that may be left out; more are an error.
        on_missing: ``raise``, or ``fill`` to accept HDF5's fill value for data that were never written.
        on_nonfinite: ``ignore``, or ``raise`` for NaN and infinity.
        allow_external: directory that may hold other files with values: targets of external links, external storage,
            sources of virtual datasets. None to read values from the given files only.
        memory_map: True to read unfiltered values from memory maps, the fastest way; False to read them with system
            calls, which cannot crash the process (SIGBUS) if a file is truncated. None for maps, except on network
            file systems. Chunks with filters are never mapped.
        verify: compare the bytes with the checksums that ``h5lightning index --checksum`` made; an error if there
            are none.
        same: paths of datasets, such as names of columns, whose values must be equal in all files; the scan compares
            them.
        max_padded_bytes: bytes of one padded tensor (``ragged="pad"``), at most; a larger one is an error that names
            the longest sample. None for 1 GiB.
    """

    max_open_files: int | None = None
    cache_bytes: int = 384 * 1024 * 1024
    locking: bool = False
    on_bad_file: str = "raise"
    max_bad_fraction: float = 0.01
    on_missing: str = "raise"
    on_nonfinite: str = "ignore"
    allow_external: str | None = None
    memory_map: bool | None = None
    verify: bool = False
    same: str | Sequence[str] = ()
    max_padded_bytes: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_bool("access.locking", self.locking)
        if self.max_open_files is not None:
            check_int("access.max_open_files", self.max_open_files, at_least=1)
        check_int("access.cache_bytes", self.cache_bytes, at_least=0)
        if self.max_padded_bytes is not None:
            check_int("access.max_padded_bytes", self.max_padded_bytes, at_least=1)
        check_choice("access.on_bad_file", self.on_bad_file, ("raise", "skip"))
        check_fraction("access.max_bad_fraction", self.max_bad_fraction, is_optional=False)
        check_choice("access.on_missing", self.on_missing, ("raise", "fill"))
        check_choice("access.on_nonfinite", self.on_nonfinite, ("ignore", "raise"))
        check_text("access.allow_external", self.allow_external)
        if self.memory_map is not None:
            check_bool("access.memory_map", self.memory_map)
        check_bool("access.verify", self.verify)
        self._check_same()
        if self.verify and self.allow_external is not None:
            raise OptionError(
                "access.verify checks the bytes of the given files, but access.allow_external="
                f"{self.allow_external!r} reads values from other files: remove one of them"
            )

    @property
    def most_padded_bytes(self) -> int:
        """Bytes of one padded tensor, at most."""
        return _MOST_PADDED_BYTES if self.max_padded_bytes is None else self.max_padded_bytes

    def _check_same(self) -> None:
        same = [self.same] if isinstance(self.same, str) else self.same
        if not isinstance(same, list) or not all(isinstance(path, str) and path.strip("/") for path in same):
            raise OptionError(
                f"access.same must list paths of datasets, such as ['var/_index'], found {self.same!r}"
            )
        paths = ("/".join(part for part in path.split("/") if part) for path in same)
        object.__setattr__(self, "same", tuple(dict.fromkeys(paths)))
