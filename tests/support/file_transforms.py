"""Transforms that look into the files of their samples; here, so that spawned workers can import them."""

from __future__ import annotations

from typing import Any

import torch

from h5lightning.loading.transforms import SampleInfo


def with_more(sample: dict[str, Any], info: SampleInfo) -> dict[str, Any]:
    """Adds a value that no field has."""
    file = info.file()
    assert file is info.file()
    sample["z"] = torch.tensor(file["more"]["z"][info.row])
    sample["number"] = torch.tensor(int(file.attrs["number"]))
    return sample
