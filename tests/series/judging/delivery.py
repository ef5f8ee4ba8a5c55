"""The tensors of a batch as one array for each sample, in each form in which a field may be delivered."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from judging.contract import Contract
from judging.disagreement import DisagreementError, expect
from judging.places import Array
from judging.transforms import FITTED

__all__ = ["finished", "told", "unpack"]


def finished(contract: Contract, key: str, value: Any) -> Any:
    """A value after the transform of the case, in native byte order."""
    if isinstance(value, list):
        return [finished(contract, key, one) for one in value]
    if contract.case.transform == "fit" and key.startswith("fit"):
        value = value[:FITTED]
        missing = FITTED - len(value)
        value = np.concatenate([value, np.zeros((missing, *value.shape[1:]), value.dtype)])
    native: Array = value.astype(value.dtype.newbyteorder("="))
    return native


def told(contract: Contract, key: str, of: list[Array]) -> list[Array]:
    """The lengths or the padding of the samples of a ragged field."""
    axis = contract.told_axes[contract.fields[key].derived_from or ""]
    lengths = [one.shape[axis] for one in of]
    if contract.fields[key].length_of is not None:
        return [np.asarray(length, np.int64) for length in lengths]
    return [np.arange(max(lengths)) >= length for length in lengths]


def unpack(contract: Contract, key: str, found: Any, expected: list[Any], where: str) -> list[Any]:
    """The value of each sample in what a batch holds for a key.

    Args:
        contract: what the case means.
        key: of the field.
        found: what the batch holds.
        expected: values with the shapes and types that are right.
        where: for messages.

    Raises:
        DisagreementError: the form, a shape or a type differs, or a filling is not 0.
    """
    form, what = contract.fields[key].ragged, f"{key!r} in {where}"
    if contract.fields[key].derived_from is not None or form in ("error", "stack"):
        return list(_array(found, np.stack(expected).shape, expected[0].dtype, what))
    if form == "list":
        return _listed(found, expected, what)
    if form == "concat":
        sizes = [len(one) for one in expected]
        whole = _array(found, (sum(sizes), *expected[0].shape[1:]), expected[0].dtype, what)
        return np.split(whole, np.cumsum(sizes)[:-1])
    longest = tuple(max(sizes) for sizes in zip(*(one.shape for one in expected), strict=True))
    whole = _array(found, (len(expected), *longest), expected[0].dtype, what)
    return [_unpadded(one, right.shape, what) for one, right in zip(whole, expected, strict=True)]


def _unpadded(found: Array, shape: tuple[int, ...], what: str) -> Array:
    inside = tuple(map(slice, shape))
    outside = np.ones(found.shape, bool)
    outside[inside] = False
    if found[outside].any():
        raise DisagreementError(f"filling of {what}", found.tolist(), "zeros")
    return found[inside]


def _listed(found: Any, expected: list[Any], what: str) -> list[Any]:
    expect(f"form of {what}", type(found).__name__, "list")
    expect(f"entries of {what}", len(found), len(expected))
    return [
        _listed(one, right, what) if isinstance(right, list) else _array(one, right.shape, right.dtype, what)
        for one, right in zip(found, expected, strict=True)
    ]


def _array(found: Any, shape: tuple[int, ...], dtype: Any, what: str) -> Array:
    if not isinstance(found, torch.Tensor):
        raise DisagreementError(f"form of {what}", type(found).__name__, "a tensor")
    values: Array = found.numpy()
    expect(f"type of {what}", str(values.dtype), str(dtype))
    expect(f"shape of {what}", values.shape, shape)
    return values
