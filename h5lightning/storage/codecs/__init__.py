"""Decoders for the filters of HDF5: they turn the stored bytes of a chunk into the chunk. Start with `Pipeline`."""

from __future__ import annotations

from h5lightning.storage.codecs.builtin import fletcher32
from h5lightning.storage.codecs.decoder import CodecError, NoCodecError
from h5lightning.storage.codecs.pipeline import Pipeline

__all__ = ["CodecError", "NoCodecError", "Pipeline", "fletcher32"]
