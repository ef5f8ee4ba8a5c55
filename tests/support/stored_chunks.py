"""Chunks as HDF5 and its plug-ins store them, and their decoders."""

import h5py
import hdf5plugin
import numpy as np

from h5lightning.storage.codecs import FilterPipeline

OPTIONS = {
    "deflate": {"compression": "gzip"},
    "shuffle-deflate": {"compression": "gzip", "shuffle": True},
    "deflate-fletcher32": {"compression": "gzip", "fletcher32": True},
    "shuffle": {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "blosc": hdf5plugin.Blosc(),
    "blosc-blosclz": hdf5plugin.Blosc(cname="blosclz", shuffle=hdf5plugin.Blosc.NOSHUFFLE),
    "blosc-zlib": hdf5plugin.Blosc(cname="zlib"),
    "blosc2": hdf5plugin.Blosc2(),
    "blosc2-zstd-bits": hdf5plugin.Blosc2(cname="zstd", filters=hdf5plugin.Blosc2.BITSHUFFLE),
    "blosc2-delta": hdf5plugin.Blosc2(cname="lz4", filters=hdf5plugin.Blosc2.DELTA),
    "lz4": hdf5plugin.LZ4(),
    "lz4-blocks": hdf5plugin.LZ4(nbytes=1000),
    "zstd": hdf5plugin.Zstd(),
    "bitshuffle": hdf5plugin.Bitshuffle(cname="none"),
    "bitshuffle-lz4": hdf5plugin.Bitshuffle(cname="lz4"),
    "bitshuffle-blocks": hdf5plugin.Bitshuffle(nelems=64, cname="lz4"),
    "bitshuffle-zstd": hdf5plugin.Bitshuffle(cname="zstd"),
}


def stored_chunks(values, options, chunks=None):
    """The pipeline of a dataset, and the stored bytes and the filter mask of each chunk by its place."""
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        did = file.create_dataset("x", data=values, chunks=chunks or values.shape, **options).id
        plist = did.get_create_plist()
        filters = [plist.get_filter(i)[::2] for i in range(plist.get_nfilters())]
        file.flush()
        chunk_bytes = int(np.prod(plist.get_chunk())) * values.itemsize
        places = [did.get_chunk_info(i).chunk_offset for i in range(did.get_num_chunks())]
        found = {place: did.read_direct_chunk(place) for place in places}
    stored = {place: (np.frombuffer(data, np.uint8), mask) for place, (mask, data) in found.items()}
    return FilterPipeline(filters, chunk_bytes), stored


def stored_chunk(values, options):
    """The pipeline of a dataset of one chunk, its stored bytes and its filter mask."""
    pipeline, stored = stored_chunks(values, options)
    return pipeline, *stored[(0,) * values.ndim]


def decoded(pipeline, stored, size, mask=0):
    """The decoded bytes, and that nothing was written beside them."""
    guarded = np.full(size + 64, 0xA5, np.uint8)
    pipeline.decode(stored, guarded[32 : 32 + size], mask)
    assert (guarded[:32] == 0xA5).all()
    assert (guarded[-32:] == 0xA5).all()
    return guarded[32:-32]
