"""All errors of h5lightning, as one tree.

Each error derives from `H5LightningError` and from the built-in exception that a caller would catch. Each is built from
one message string, so that torch can raise it again in the main process as ``exc_type(message)`` after a worker failed.

::

    H5LightningError
    ├── OptionError (ValueError)              an option does not exist or has a wrong value
    ├── DiscoveryError (ValueError)           the file patterns cannot be used
    │   └── NoMatchError (FileNotFoundError)  a file pattern matches no file
    ├── BadFileError (OSError)                a file is not a readable HDF5 file
    │   ├── FileChangedError                  a file has changed since it was scanned
    │   └── ChecksumError                     bytes of a file do not match its checksums, or it has none
    ├── ResourceError (OSError)               memory, threads or file descriptors ran out
    ├── FieldError (ValueError)               a field cannot be part of a sample
    │   ├── MissingFieldError (KeyError)      the dataset or attribute of a field is not in the file
    │   └── UnsupportedFieldError (TypeError) the dataset of a field exists, but fits no tensor
    ├── SchemaError (ValueError)              files, or fields of one file, do not match each other
    ├── TableError (ValueError)               the table beside the files cannot be read, or does not match the files
    ├── MissingDataError (ValueError)         values were never written, or are marked as missing
    ├── NonFiniteError (ValueError)           a field holds NaN or infinity, which was forbidden
    ├── SplitError (ValueError)               the requested split is not possible
    │   ├── ManifestError                     a saved split cannot be read, or does not match the files
    │   └── SplitMismatchError (ResumeError)  a run would resume with another split
    ├── ResumeError (ValueError)              a run would resume with samples in another order
    ├── ShardingError (ValueError)            the samples cannot be divided among the ranks
    ├── RanksDifferError (RuntimeError)       the ranks see different files or options
    ├── WorkerError (RuntimeError)            a worker process was killed, hangs or ended early
    ├── NotSetUpError (RuntimeError)          the DataModule needs `setup` first
    ├── ClosedFileError (ValueError)          a file that `info.file()` opened is used after the call
    └── MissingExtraError (ImportError)       an optional package is not installed
"""

from __future__ import annotations

import re

from h5lightning.core.visible import visible, visible_lines

__all__ = [
    "BadFileError",
    "ChecksumError",
    "ClosedFileError",
    "DiscoveryError",
    "FieldError",
    "FileChangedError",
    "H5LightningError",
    "ManifestError",
    "MissingDataError",
    "MissingExtraError",
    "MissingFieldError",
    "NoMatchError",
    "NonFiniteError",
    "NotSetUpError",
    "OptionError",
    "RanksDifferError",
    "ResourceError",
    "ResumeError",
    "SchemaError",
    "ShardingError",
    "SplitError",
    "SplitMismatchError",
    "TableError",
    "UnsupportedFieldError",
    "WorkerError",
]

# The text in which torch passes on the error of a worker: a traceback of several lines, with visible messages.
_PASSED_ON = re.compile(r"Caught \w+ [^\n]*\.\nOriginal Traceback \(most recent call last\):\n")


class H5LightningError(Exception):
    """Base of all errors that h5lightning raises on purpose.

    A message is one line. Characters that are not printable, as in names from files, are escaped.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(_shown(arg) if isinstance(arg, str) else arg for arg in args))

    def __str__(self) -> str:
        # KeyError would print the repr of its message, and OSError may expect an errno.
        return str(self.args[0]) if self.args else type(self).__name__


def _shown(message: str) -> str:
    return visible_lines(message) if _PASSED_ON.match(message) else visible(message)


class OptionError(H5LightningError, ValueError):
    """An option does not exist, or has a value that it does not accept."""


class DiscoveryError(H5LightningError, ValueError):
    """The file patterns cannot be turned into a list of files: a URL, or a file in two splits."""


class NoMatchError(DiscoveryError, FileNotFoundError):
    """A file pattern matches no HDF5 file."""


class BadFileError(H5LightningError, OSError):
    """A file cannot be read as HDF5: it is empty, truncated, damaged, not regular, or of another format."""


class FileChangedError(BadFileError):
    """A file has changed since it was scanned."""


class ChecksumError(BadFileError):
    """With ``Access(verify=True)``: the bytes of a file do not match its checksums, or it has no checksums."""


class ResourceError(H5LightningError, OSError):
    """Memory, threads or file descriptors ran out; no file is at fault."""


class FieldError(H5LightningError, ValueError):
    """A field cannot be part of a sample."""


class MissingFieldError(FieldError, KeyError):
    """A file lacks the dataset, compound member or attribute of a field."""


class UnsupportedFieldError(FieldError, TypeError):
    """The dataset of a field exists, but its type or layout fits no tensor."""


class SchemaError(H5LightningError, ValueError):
    """Files, or fields of one file, differ where they must agree."""


class TableError(H5LightningError, ValueError):
    """The table beside the files cannot be read, or its lines do not match files, series or rows."""


class MissingDataError(H5LightningError, ValueError):
    """Values were never written, or the file marks them as missing."""


class NonFiniteError(H5LightningError, ValueError):
    """With ``Access(on_nonfinite="raise")``: a field holds NaN or infinity."""


class SplitError(H5LightningError, ValueError):
    """The requested split is not possible with these files."""


class ManifestError(SplitError):
    """A saved split cannot be read, or does not match the files."""


class ResumeError(H5LightningError, ValueError):
    """A run would resume with samples in another order than before."""


class SplitMismatchError(SplitError, ResumeError):
    """A run would resume with another split than before."""


class ShardingError(H5LightningError, ValueError):
    """The samples cannot be divided among the ranks."""


class RanksDifferError(H5LightningError, RuntimeError):
    """The ranks of one job see different files, or have different options."""


class WorkerError(H5LightningError, RuntimeError):
    """A worker process was killed, hangs, or delivered too few batches."""


class NotSetUpError(H5LightningError, RuntimeError):
    """The DataModule needs `setup` before it can answer."""


class ClosedFileError(H5LightningError, ValueError):
    """A file that ``info.file()`` opened for a transform is used when that call has ended."""


class MissingExtraError(H5LightningError, ImportError):
    """A package of an optional extra is needed, but not installed."""
