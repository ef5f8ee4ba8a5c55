"""Everything that can go wrong, as one tree.

Each error derives from `H5LightningError` and from the built-in exception that a caller would catch.
Every class is built from one message string, so that an error raised in a loader worker reaches the
main process with its class (torch rebuilds it as ``exc_type(message)``).

::

    H5LightningError
    ├── OptionError (ValueError)              an option, or its value, is wrong
    ├── DiscoveryError (ValueError)           patterns that cannot be used: a URL, a file in two splits
    │   └── NoMatchError (FileNotFoundError)  a pattern that matches nothing
    ├── BadFileError (OSError)                not a readable HDF5 file
    │   ├── FileChangedError                  not the file that was scanned
    │   └── ChecksumError                     bytes that are not those of its checksums, or it has none
    ├── ResourceError (OSError)               no open file or memory left: no file is to blame
    ├── FieldError (ValueError)               a field that cannot be a part of a sample
    │   ├── MissingFieldError (KeyError)      the path or attribute is not in the file
    │   └── UnsupportedFieldError (TypeError) it is there, but no tensor can hold it
    ├── SchemaError (ValueError)              files, or fields of one file, that do not fit together
    ├── MissingDataError (ValueError)         values that were never written to the file
    ├── NonFiniteError (ValueError)           NaN or infinity where they were forbidden
    ├── SplitError (ValueError)               a split that cannot be made
    │   ├── ManifestError                     a saved split that cannot be read or does not fit
    │   └── SplitMismatchError (ResumeError)  a run resumed with another split
    ├── ResumeError (ValueError)              a run resumed with another order of samples
    ├── ShardingError (ValueError)            samples that cannot be shared among the ranks
    ├── RanksDifferError (RuntimeError)       ranks that would train on different data
    ├── WorkerError (RuntimeError)            a worker process that was killed, is stuck or ended early
    ├── NotSetUpError (RuntimeError)          the DataModule is asked for what `setup` makes
    └── MissingExtraError (ImportError)       a package that only some features need is not installed
"""

from __future__ import annotations

import re

from h5lightning.core.visible import visible, visible_lines

__all__ = [
    "BadFileError",
    "ChecksumError",
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
    "UnsupportedFieldError",
    "WorkerError",
]


# How torch passes on the error of a worker: its lines are those of a traceback, whose messages are visible already.
_PASSED_ON = re.compile(r"Caught \w+ [^\n]*\.\nOriginal Traceback \(most recent call last\):\n")


class H5LightningError(Exception):
    """Base of all errors that h5lightning raises on purpose.

    A message is one line. What is not printable in it, as in names from files, is shown by escapes.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(_shown(arg) if isinstance(arg, str) else arg for arg in args))

    def __str__(self) -> str:
        # KeyError would print the repr of its message, OSError may look for an errno.
        return str(self.args[0]) if self.args else type(self).__name__


def _shown(message: str) -> str:
    return visible_lines(message) if _PASSED_ON.match(message) else visible(message)


class OptionError(H5LightningError, ValueError):
    """An unknown option, or a value outside of what the option accepts."""


class DiscoveryError(H5LightningError, ValueError):
    """Patterns that cannot be turned into a list of files."""


class NoMatchError(DiscoveryError, FileNotFoundError):
    """A pattern that matches no HDF5 file."""


class BadFileError(H5LightningError, OSError):
    """A file that cannot be read as HDF5: not regular, empty, truncated, damaged or of another format."""


class FileChangedError(BadFileError):
    """A file that is no longer the one that was scanned."""


class ChecksumError(BadFileError):
    """With ``Access(verify=True)``: bytes that are not those of their checksum, or no checksum to compare with."""


class ResourceError(H5LightningError, OSError):
    """This process, or the system, has no open files or memory left: no file is to blame."""


class FieldError(H5LightningError, ValueError):
    """A field that cannot be a part of a sample."""


class MissingFieldError(FieldError, KeyError):
    """A dataset, compound member or attribute that the file does not hold."""


class UnsupportedFieldError(FieldError, TypeError):
    """A dataset that exists, but whose type or layout no batch tensor can hold."""


class SchemaError(H5LightningError, ValueError):
    """Files, or fields of one file, that disagree where they must agree."""


class MissingDataError(H5LightningError, ValueError):
    """Values that HDF5 would invent, because they were never written."""


class NonFiniteError(H5LightningError, ValueError):
    """NaN or infinity in a field, with ``Access(on_nonfinite="raise")``."""


class SplitError(H5LightningError, ValueError):
    """A split that cannot be made from these files."""


class ManifestError(SplitError):
    """A saved split that cannot be read, or does not fit the files."""


class ResumeError(H5LightningError, ValueError):
    """A run that would resume with samples in another order than it was trained with."""


class SplitMismatchError(SplitError, ResumeError):
    """A run that would resume with another split than it was trained with."""


class ShardingError(H5LightningError, ValueError):
    """Samples that cannot be shared among the ranks."""


class RanksDifferError(H5LightningError, RuntimeError):
    """Ranks of one job see other files, or were given other options."""


class WorkerError(H5LightningError, RuntimeError):
    """A worker process was killed, is stuck, or delivered fewer batches than there are."""


class NotSetUpError(H5LightningError, RuntimeError):
    """The DataModule was asked for something that only `setup` makes."""


class MissingExtraError(H5LightningError, ImportError):
    """A package of an optional extra is needed and not installed."""
