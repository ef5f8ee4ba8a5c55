import struct

import numpy as np
import pytest
from stored_chunks import OPTIONS, decoded, stored_chunk

from h5lightning.storage.codecs import CodecError

VALUES = (np.arange(5000) // 7 % 50).astype("<f4")


@pytest.mark.parametrize("options", ["blosc", "blosc-blosclz", "blosc-zlib"])
@pytest.mark.parametrize(
    ("place", "value"),
    [(4, 19_996), (4, 20_004), (4, 2**31), (8, 0), (8, 2**31), (12, 16), (12, 2**31)],
    ids=["shorter", "longer", "huge", "no-block", "huge-block", "stored-less", "stored-more"],
)
def test_lies_about_sizes(place, value, options):
    pipeline, stored, _ = stored_chunk(VALUES, OPTIONS[options])
    damaged = stored.copy()
    struct.pack_into("<I", damaged.data, place, value)
    with pytest.raises(CodecError, match="blosc: "):
        decoded(pipeline, damaged, VALUES.nbytes)
