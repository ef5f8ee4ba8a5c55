"""The shuffle window and the cache: what does not fit is lowered, refused or said, and no run changes its order."""

from __future__ import annotations

import logging
import re

import h5py
import numpy as np
import pytest
import torch

from h5lightning import H5DataModule
from h5lightning.errors import OptionError, ResumeError
from h5lightning.options import Shuffle
from h5lightning.planning.sampling.window_size import fit_window

pytestmark = pytest.mark.timeout(120)
ROWS, HEIGHT, ROW_BYTES = 3000, 8, 1024
ALL_BYTES = ROWS * ROW_BYTES
DEFAULT = 1 << 20  # instead of 256 MiB


@pytest.fixture(autouse=True)
def _small_default(monkeypatch) -> None:
    """A default that small files can exceed."""
    usual = Shuffle().window_bytes
    defaults = [DEFAULT if value == usual else value for value in Shuffle.__init__.__defaults__]
    monkeypatch.setattr(Shuffle.__init__, "__defaults__", tuple(defaults))


@pytest.fixture
def files(tmp_path) -> str:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        rows = np.repeat(np.arange(ROWS)[:, None], ROW_BYTES // 8, axis=1)
        file.create_dataset("x", data=rows, chunks=(HEIGHT, ROW_BYTES // 8), compression="gzip")
        file["plain"] = rows
    return str(tmp_path / "a.h5")


def module(ready, files, *, cache, fields=("x",), **options) -> H5DataModule:
    return ready(
        H5DataModule(
            files,
            fields=list(fields),
            split={"val": None, "test": None},
            access={"cache_bytes": cache},
            batch_size=50,
            seed=3,
            **options,
        )
    )


def delivered(dm) -> torch.Tensor:
    return torch.cat([batch["x"][:, 0] for batch in dm.train_dataloader()])


@pytest.mark.parametrize(
    ("window", "held", "expected"),
    [
        (DEFAULT, None, DEFAULT),
        (DEFAULT, DEFAULT * 6 // 5 + 1, DEFAULT),
        (DEFAULT, DEFAULT, DEFAULT * 2 // 3),
        (DEFAULT, 1, 1),
        (DEFAULT + 1, 300, DEFAULT + 1),
    ],
    ids=["all fits", "just fits", "too large", "tiny cache", "given"],
)
def test_only_a_default_that_does_not_fit_is_lowered(window, held, expected) -> None:
    assert fit_window(Shuffle(window_bytes=window), held).window_bytes == expected


def test_a_window_that_fits_keeps_its_order(ready, files) -> None:
    large = delivered(module(ready, files, cache=100 * ALL_BYTES))
    assert torch.equal(delivered(module(ready, files, cache=int(1.3 * DEFAULT))), large)
    assert not torch.equal(delivered(module(ready, files, cache=DEFAULT)), large)


def test_a_window_that_does_not_fit_is_lowered_and_said_once(ready, files, caplog) -> None:
    dm = module(ready, files, cache=DEFAULT)
    with caplog.at_level(logging.INFO):
        dm.train_dataloader()
        dm.train_dataloader()
    said = [record.getMessage() for record in caplog.records if "shuffle window" in record.getMessage()]
    assert len(said) == 1
    assert "The shuffle window has 683 KiB instead of 1 MiB" in said[0]
    assert said[0] in str(dm.summary())
    needed = int(said[0].split("at least ")[1].split()[0])
    assert "shuffle window" not in str(module(ready, files, cache=needed).summary())


def test_the_order_does_not_depend_on_processes(ready, files) -> None:
    one = module(ready, files, cache=DEFAULT)._lifecycle.training_order()
    other = module(ready, files, cache=DEFAULT, num_workers=3)._lifecycle.training_order()
    assert one.window_samples == other.window_samples == DEFAULT * 2 // 3 // ROW_BYTES


def test_data_that_fit_into_the_cache_keep_any_window(ready, files) -> None:
    order = module(ready, files, cache=2 * ALL_BYTES, shuffle={"window_bytes": 50 * ALL_BYTES})
    assert len(delivered(order)) == ROWS
    assert "shuffle window" not in str(order.summary())


def test_a_given_window_that_no_cache_holds_is_refused_with_both_numbers(ready, files) -> None:
    dm = module(ready, files, cache=500_000, shuffle={"window_bytes": 2_000_000})
    with pytest.raises(OptionError, match=r"window_bytes=2000000 .*cache_bytes=500000") as error:
        dm.train_dataloader()
    text = str(error.value)
    window = int(text.split("at most ")[1].split(",", maxsplit=1)[0])
    cache = int(text.split("cache_bytes to at least ")[1].split(",", maxsplit=1)[0])
    for options in ({"cache": 500_000, "shuffle": {"window_bytes": window}}, {"cache": cache}):
        fixed = module(ready, files, **({"shuffle": {"window_bytes": 2_000_000}} | options))
        fixed.train_dataloader()
        assert "shuffle window" not in str(fixed.summary())


def test_no_window_and_no_cache_is_recommended_that_is_refused_or_larger_than_the_data(ready, files) -> None:
    for window in (1, 200_000, 10**9):
        with pytest.raises(OptionError) as error:
            module(ready, files, cache=0, shuffle={"window_bytes": window}).train_dataloader()
        assert "at most" not in str(error.value)
        cache = int(str(error.value).split("cache_bytes to at least ")[1].split(",", maxsplit=1)[0])
        assert cache <= ALL_BYTES
        module(ready, files, cache=cache, shuffle={"window_bytes": window}).train_dataloader()


def test_without_a_cache_the_cache_that_is_needed_is_said(ready, files) -> None:
    assert len(delivered(module(ready, files, cache=0))) == ROWS
    with pytest.raises(OptionError, match="set cache_bytes to at least 240001"):
        module(ready, files, cache=0, shuffle={"window_bytes": 200_000}).train_dataloader()


def test_several_ranks_hold_a_larger_window_together(ready, files) -> None:
    dm = module(ready, files, cache=800_000, shuffle={"window_bytes": 2_000_000})
    with pytest.raises(OptionError, match="window_bytes"):
        dm.train_dataloader(rank=0, world_size=2)
    dm.train_dataloader(rank=0, world_size=4)


def test_nothing_is_said_of_a_window_that_the_ranks_hold_together(ready, files, caplog) -> None:
    dm = module(ready, files, cache=500_000, shuffle={"window_bytes": 1_200_000})
    with caplog.at_level(logging.INFO):
        dm.train_dataloader(rank=0, world_size=4)
    assert "shuffle window" not in caplog.text


def test_rows_that_are_read_alone_need_no_cache(ready, files) -> None:
    dm = module(
        ready, files, cache=1, fields=("plain",), shuffle={"mode": "block", "window_bytes": 2_000_000}
    )
    dm.train_dataloader()
    assert "decoded" not in str(dm.summary()).split("\n", 3)[3]


def test_a_full_shuffle_over_chunks_says_what_it_costs(ready, files, caplog) -> None:
    dm = module(ready, files, cache=ALL_BYTES // 4, shuffle="full")
    with caplog.at_level(logging.INFO):
        dm.train_dataloader()
        dm.train_dataloader()
    said = [record.getMessage() for record in caplog.records if "bytes are decoded" in record.getMessage()]
    # Three quarters of 50 rows of a batch lie in chunks of 8 rows that are not in the cache.
    assert len(said) == 1
    assert 5 < float(said[0].split("about ")[1].split()[0]) < 6.5
    assert said[0] in str(dm.summary())
    assert "bytes are decoded" not in str(module(ready, files, cache=2 * ALL_BYTES, shuffle="full").summary())
    assert "bytes are decoded" not in str(
        module(ready, files, cache=ALL_BYTES // 4, shuffle="none").summary()
    )


# ── resuming ─────────────────────────────────────────────────────────────────────────────────────────


def interrupted(dm) -> tuple[list[int], dict]:
    iterator = iter(dm.train_dataloader())
    first = torch.cat([next(iterator)["x"][:, 0] for _ in range(7)])
    return first.tolist(), dm.state_dict()


def test_a_resumed_run_keeps_its_window_with_another_cache(ready, files) -> None:
    small = module(ready, files, cache=DEFAULT)
    first, state = interrupted(small)
    expected = delivered(module(ready, files, cache=DEFAULT)).tolist()
    for cache in (DEFAULT // 3, 10 * DEFAULT):
        dm = module(ready, files, cache=cache)
        dm.load_state_dict(state)
        assert first + delivered(dm).tolist() == expected
        assert dm.state_dict()["shuffle"]["window_bytes"] == DEFAULT * 2 // 3


def test_an_old_checkpoint_goes_on_with_a_window_that_does_not_fit(ready, files, caplog) -> None:
    fits = module(ready, files, cache=100 * DEFAULT)
    expected = delivered(fits).tolist()
    first, state = interrupted(module(ready, files, cache=100 * DEFAULT))
    assert state["shuffle"]["window_bytes"] == DEFAULT
    dm = module(ready, files, cache=DEFAULT // 2)
    dm.load_state_dict(state)
    with caplog.at_level(logging.INFO):
        assert first + delivered(dm).tolist() == expected
    assert "chunks are decoded several times" in caplog.text


def test_a_given_window_that_differs_from_that_of_a_checkpoint_is_refused(ready, files) -> None:
    _, state = interrupted(module(ready, files, cache=DEFAULT))
    dm = module(ready, files, cache=100 * DEFAULT, shuffle={"window_bytes": 5000})
    with pytest.raises(ResumeError, match="shuffle was"):
        dm.load_state_dict(state)


# ── worker processes ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_shared", [False, True])
def test_worker_processes_that_share_no_chunks_are_advised_against(
    ready, files, monkeypatch, is_shared
) -> None:
    monkeypatch.setattr("h5lightning.datamodule.decoding_costs.workers_share_chunks", lambda: is_shared)
    text = str(module(ready, files, cache=2 * ALL_BYTES, num_workers=2).summary())
    assert ("Use num_workers=0" in text) != is_shared
    for options in ({"fields": ("plain",), "num_workers": 2}, {"num_workers": 0}, {"num_workers": 1}):
        assert "Use num_workers" not in str(module(ready, files, cache=2 * ALL_BYTES, **options).summary())


def test_the_samples_of_bucketed_steps_need_a_cache_too(ready, files) -> None:
    """Of 50 steps, beside the shuffle window; and the ranks do not divide the chunks, so that each needs it."""
    with h5py.File(files, "r+") as file:
        file["n"] = np.arange(ROWS) % 7
    fields, bucket = ("x", "n"), {"mode": "block", "bucket": "n"}
    text = str(module(ready, files, cache=DEFAULT, fields=fields, shuffle=bucket).summary())
    assert (
        "The samples of 50 steps are bucketed: with the shuffle window, they need more than access.cache_bytes"
        in text
    )
    needed = int(re.search(r"in each process\. Set it to at least (\d+)", text).group(1))
    assert needed > DEFAULT
    enough = module(ready, files, cache=needed, fields=fields, shuffle=bucket)
    assert "they need more than" not in str(enough.summary())
    plain = module(ready, files, cache=DEFAULT, fields=fields, shuffle="block")
    assert "they need more than" not in str(plain.summary())
