"""What a batch delivers of a field's own files, held against what the field's own reader finds in them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from h5lightning import Field, H5Dataset
from h5lightning.errors import H5LightningError

# What a message may advise, and where the option belongs.
_REMEDIES = {
    # Categories deliver other numbers than a program reads; their tests lie with those of the program.
    "field": re.compile(r"Field\((?![^()]*categories=)[^()]*\b(decode|member|dtype)=['\"](\w+)['\"]"),
    "dataset": re.compile(r"\b(series)=['\"](file)['\"]"),
    "access": re.compile(r"\b(on_missing)=['\"](fill)['\"]"),
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of some files.

    Args:
        files: a pattern.
        fields: sample key → `Field`.
        options: of `H5Dataset`.
    """

    files: str
    fields: Mapping[str, Field]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, files: Any, *paths: str, samples: Any = None, **options: Any) -> Request:
        """Some datasets, by their paths; ``options`` that are a field's go to each of them."""
        names = {item.name for item in dataclasses.fields(Field)}
        of_field = {key: value for key, value in options.items() if key in names}
        others = {key: value for key, value in options.items() if key not in names}
        if samples is not None:
            others["samples"] = samples
        return cls(str(files), {path: Field(path, **of_field) for path in paths}, others)

    def with_remedy(self, kind: str, name: str, value: Any) -> Request:
        """The same request with what a message advises."""
        if kind == "field":
            fields = {key: dataclasses.replace(field, **{name: value}) for key, field in self.fields.items()}
            return dataclasses.replace(self, fields=fields)
        options = dict(self.options)
        if kind == "access":
            options["access"] = {**options.get("access", {}), name: value}
        else:
            options[name] = value
        return dataclasses.replace(self, options=options)

    def read(self, **options: Any) -> dict[str, np.ndarray]:
        """All samples, in their order."""
        given = {"index_dir": self._index_dir(), **self.options, **options}
        with closing(H5Dataset(self.files, self.fields, **given)) as dataset:
            batch = dataset.read_batch(range(len(dataset)))
        return {
            key: value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
            for key, value in batch.items()
        }

    def _index_dir(self) -> str:
        """One index for all that is asked of some files, so that what comes from an index is tested, too."""
        folder = Path(self.files).parent
        return str(folder.with_name(f"index-{folder.name}"))

    def attempt(self) -> dict[str, np.ndarray] | H5LightningError:
        """What `read` returns or raises."""
        try:
            return self.read()
        except H5LightningError as error:
            return error

    def refused(self, *mentioned: str) -> H5LightningError:
        """The error of setting up or reading, which must name the file, the datasets and what is ``mentioned``."""
        error = self.attempt()
        assert isinstance(error, H5LightningError), f"delivered without a word: {[*error]}, not {mentioned}"
        for word in (*mentioned, Path(self.files).suffix):
            assert word in str(error), f"the message does not say {word!r}: {error}"
        assert any(f"/{field.path}" in str(error) for field in self.fields.values()), str(error)
        return error


def remedies(message: str | Exception) -> Iterator[tuple[str, str, str]]:
    """The options that a message advises, each once: ``("field", "decode", "cf")``."""
    for kind, pattern in _REMEDIES.items():
        yield from ((kind, name, value) for name, value in dict.fromkeys(pattern.findall(str(message))))


def follow(request: Request, error: H5LightningError, most: int = 3) -> dict[str, dict[str, np.ndarray]]:
    """Remedy → what is delivered once it is followed; a remedy may lead to the next message.

    Returns:
        ``decode=cf`` and the like → sample key → values; several that were needed are joined by a comma.
    """
    delivered: dict[str, dict[str, np.ndarray]] = {}
    advised = list(remedies(error))
    assert advised, f"the message advises nothing: {error}"
    for kind, name, value in advised:
        changed = request.with_remedy(kind, name, value)
        assert changed != request, f"the advice {name}={value} was followed already: {error}"
        found = changed.attempt()
        if not isinstance(found, H5LightningError):
            delivered[f"{name}={value}"] = found
            continue
        assert most, f"one message leads to the next: {found}"
        for further, values in follow(changed, found, most - 1).items():
            delivered[f"{name}={value}, {further}"] = values
    return delivered


def as_stored(pattern: Path | str, path: str, member: str | None = None) -> np.ndarray:
    """The stored numbers of all files as h5py reads them, in native byte order."""
    parts = []
    for name in sorted(Path(pattern).parent.glob(Path(pattern).name)):
        with h5py.File(name) as file:
            values = file[path][()]
        parts.append(values if member is None else values[member])
    joined = np.concatenate(parts)
    return joined.astype(joined.dtype.newbyteorder("="))


def assert_rounded(got: np.ndarray, expected: np.ndarray, dtype: str = "float32") -> None:
    """Hold values against a reader's, rounded once to the type of the batch.

    Where the reader computed in float32, both of its operations were rounded: two units in the last place of the
    largest value, since what is added may cancel.
    """
    assert got.dtype == np.dtype(dtype)
    assert got.shape == expected.shape
    if expected.dtype == np.float32:
        rounding = float(2.0**-22 * np.nanmax(np.abs(expected)))
        np.testing.assert_allclose(got, expected.astype(dtype), rtol=0, atol=rounding, equal_nan=True)
    else:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(got, expected.astype(dtype))


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal in type and value; NaN is equal to NaN."""
    assert got.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(got, expected)
