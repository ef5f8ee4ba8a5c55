"""Decode payloads that nobody wrote: ``python hostile_chunks.py COUNT SEED`` in a process that may crash.

Each payload is decoded into two buffers with different content. What comes out must be an error both times, or the
same bytes: else a part of the buffer was left as it was. Prints what came of each payload, so that runs with
different content of fresh memory (MALLOC_PERTURB_) can be compared.
"""

import hashlib
import json
import resource
import struct
import sys
from pathlib import Path

import numpy as np
from stored_chunks import OPTIONS, stored_chunk

from h5lightning.storage.codecs import CodecError

MORE_MEMORY = 512 << 20
NUMBERS = (0, 1, 3, 7, 255, 4096, 8191, 8193, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
FORMS = ("B", "<I", ">I", "<Q", ">Q")


def noise(stored, rng):
    return rng.bytes(int(rng.integers(1, 2 * len(stored))))


def shorter(stored, rng):
    return stored[: rng.integers(1, len(stored))].tobytes()


def longer(stored, rng):
    return stored.tobytes() + rng.bytes(int(rng.integers(1, 500)))


def flips(stored, rng):
    damaged = stored.copy()
    for _ in range(rng.integers(1, 5)):
        damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
    return damaged.tobytes()


def lies(stored, rng):
    """A number in the first bytes, where the headers are, says something else."""
    damaged = np.concatenate([stored, np.zeros(8, np.uint8)])
    for _ in range(rng.integers(1, 3)):
        form, number = FORMS[rng.integers(len(FORMS))], NUMBERS[rng.integers(len(NUMBERS))]
        place = int(rng.integers(0, min(220, len(stored))))
        struct.pack_into(form, damaged.data, place, number % 256 if form == "B" else number)
    return damaged[:-8].tobytes()


def spliced(stored, rng):
    place = int(rng.integers(0, len(stored)))
    return stored[:place].tobytes() + stored[rng.integers(0, len(stored)) :].tobytes()


def outcome(pipeline, payload, size):
    """A hash of what a payload decodes to, or the error."""
    found = []
    for content in (0xA5, 0x5A):
        out = np.full(size + 64, content, np.uint8)
        try:
            pipeline.decode(np.frombuffer(payload, np.uint8), out[32:-32])
            found.append(hashlib.sha1(out[32:-32]).hexdigest())
        except CodecError:
            found.append("error")
        if not (out[:32] == content).all() or not (out[-32:] == content).all():
            return "written past the end"
    return found[0] if found[0] == found[1] else "left as it was"


def outcomes(option, count, seed):
    values = (np.arange(64 * 48) // 7 % 50).astype("<f4").reshape(64, 48)
    pipeline, stored, _ = stored_chunk(values, OPTIONS[option])
    kinds = (noise, shorter, longer, flips, lies, spliced)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        yield outcome(pipeline, kinds[number % len(kinds)](stored, rng), values.nbytes)


def limit_memory():
    """Nothing that is decoded needs much more than this process has by now."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MORE_MEMORY,) * 2)


def main(count, seed):
    for option in OPTIONS:
        list(outcomes(option, 1, seed))  # what is loaded once takes memory of its own
    limit_memory()
    for option in OPTIONS:
        sys.stdout.write(f"{option}\n")
        sys.stdout.flush()  # a crash shows where it was
        sys.stdout.write(json.dumps(list(outcomes(option, count, seed))) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
