"""What decoding costs in a run: refuses a shuffle window that cannot be held, and says what is decoded repeatedly."""

from __future__ import annotations

from collections.abc import Iterator

from torch import distributed

from h5lightning.core.formatting import bytes_text
from h5lightning.datamodule.options import DataModuleOptions
from h5lightning.datamodule.setup import PreparedData
from h5lightning.errors import OptionError
from h5lightning.options import Shuffle
from h5lightning.planning.sampling.sharding import Share
from h5lightning.planning.sampling.window_cuts import WINDOW_STEPS
from h5lightning.planning.sampling.window_size import is_default_window
from h5lightning.storage.readers.decoded.decode_pool import workers_share_chunks

__all__ = ["check_window", "decoding_remarks"]

_LEAST_TIMES = 1.5  # decoded bytes for each byte of a sample that are worth a remark


def check_window(options: DataModuleOptions, data: PreparedData, share: Share | None) -> None:
    """Raise if the user gave a window that the caches of all ranks cannot hold; ``share`` None if it is not known yet.

    Raises:
        OptionError: most chunks would be decoded several times.
    """
    shuffle, cache_bytes = options.shuffle, options.access.cache_bytes
    if is_default_window(shuffle) or not data.keeps_blocks(shuffle):
        return
    ranks = _ranks(shuffle, share)
    held = data.held_window_bytes(cache_bytes * ranks)
    if held is not None and shuffle.window_bytes > held:
        needed = -(-data.survey.decoded_chunks().cache_bytes_for(shuffle.window_bytes) // ranks)
        fitting = 2 * held // 3
        smaller = f"set it to at most {fitting}, " if fitting else ""
        raise OptionError(
            f"shuffle.window_bytes={shuffle.window_bytes} mixes more than access.cache_bytes={cache_bytes} holds: "
            f"chunks for a window of {held} bytes. Most chunks would be decoded for nearly each sample. Leave "
            f"window_bytes out, {smaller}or set cache_bytes to at least {needed}, in the memory of each loading process"
        )


def _ranks(shuffle: Shuffle, share: Share | None) -> int:
    """How many ranks divide the chunks among them; those of bucketed samples do not."""
    if shuffle.bucket is not None:
        return 1
    if share is not None:
        return share.world_size
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def decoding_remarks(
    options: DataModuleOptions, data: PreparedData, shuffle: Shuffle, share: Share | None = None
) -> Iterator[str]:
    """Sentences about what training decodes more than once, or mixes less than asked for.

    Args:
        options: what the user asked for.
        data: what is trained on.
        shuffle: the order of this run, with its window.
        share: the part of the samples that a rank gets; None if it is not known yet.
    """
    if not data.survey.decoded_chunks().layouts:
        return
    if data.keeps_blocks(shuffle):
        yield from _about_window(options, data, shuffle.window_bytes, _ranks(shuffle, share))
        if shuffle.bucket is not None:
            yield from _about_buckets(
                options, data, shuffle.window_bytes, 1 if share is None else share.world_size
            )
    elif shuffle.mode != "none":
        yield from _about_full(options, data)
    if options.num_workers > 1 and not workers_share_chunks():
        yield (
            f"num_workers={options.num_workers}: rows of one chunk go to several worker processes, and each decodes "
            "the chunk for itself. Use num_workers=0, with which threads read and decode, unless Python transforms "
            "take most of the time"
        )


def _about_window(options: DataModuleOptions, data: PreparedData, window: int, ranks: int) -> Iterator[str]:
    cache_bytes, asked = options.access.cache_bytes, options.shuffle.window_bytes
    # The order depends on one cache, so that it is the same for any number of ranks, which share the work.
    lowered, held = data.held_window_bytes(cache_bytes), data.held_window_bytes(cache_bytes * ranks)
    if window < asked and lowered is not None:
        needed = data.survey.decoded_chunks().cache_bytes_for(asked)
        yield (
            f"The shuffle window has {bytes_text(window)} instead of {bytes_text(asked)}, since access.cache_bytes="
            f"{cache_bytes} holds no more decoded chunks: set it to at least {needed} for the larger window"
        )
    elif held is not None and 6 * window > 5 * held:
        yield (
            f"The shuffle window of {bytes_text(window)} needs more than access.cache_bytes={cache_bytes} in each "
            "process: chunks are decoded several times. Set access.cache_bytes to at least "
            f"{-(-data.survey.decoded_chunks().cache_bytes_for(window) // ranks)}"
        )


def _about_buckets(options: DataModuleOptions, data: PreparedData, window: int, ranks: int) -> Iterator[str]:
    cache_bytes, index = options.access.cache_bytes, data.survey.sections["train"].index
    samples = min(WINDOW_STEPS * options.batch_size * ranks, len(data.datasets["train"]))
    needed = window + samples * data.survey.row_layout().row_bytes * index.stride_rows
    held = data.held_window_bytes(cache_bytes)
    if held is not None and needed > held:
        yield (
            f"The samples of {WINDOW_STEPS} steps are bucketed: with the shuffle window, they need more than "
            f"access.cache_bytes={cache_bytes}, so that chunks are decoded several times in each process. Set it to at "
            f"least {data.survey.decoded_chunks().cache_bytes_for(needed)}"
        )


def _about_full(options: DataModuleOptions, data: PreparedData) -> Iterator[str]:
    times = data.survey.decoded_chunks().for_each_byte(options.access.cache_bytes, options.batch_size)
    if times >= _LEAST_TIMES:
        yield (
            f"Samples come in an order that ignores chunks, and about {times:,.1f} bytes are decoded for each byte of "
            f"a sample: access.cache_bytes={options.access.cache_bytes} does not hold all compressed chunks. "
            "shuffle='block' decodes each chunk once; any order is fast if rows are stored without compression"
        )
