"""Decoders for the filters of HDF5: stored bytes to a chunk. Start with `FilterPipeline`."""

from __future__ import annotations

from h5lightning.storage.codecs.builtin import fletcher32
from h5lightning.storage.codecs.decoder import CodecError, NoCodecError
from h5lightning.storage.codecs.pipeline import FilterPipeline

__all__ = ["CodecError", "FilterPipeline", "NoCodecError", "fletcher32"]
