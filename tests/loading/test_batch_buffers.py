"""Batch memory is recycled, and only after all tensors over it are gone."""

from __future__ import annotations

import gc
import pickle

import numpy as np
import pytest
import torch

from h5lightning.loading.batch_buffers import BufferPool

SHAPE = (256, 1024)
FLOAT = np.dtype("float32")


def test_memory_returns_when_the_last_tensor_is_gone() -> None:
    memory = BufferPool()
    tensor = memory.tensor(SHAPE, FLOAT)
    place = tensor.data_ptr()
    part = tensor[3:5].T
    del tensor
    gc.collect()
    assert memory.tensor(SHAPE, FLOAT).data_ptr() != place
    del part
    gc.collect()
    assert memory.tensor(SHAPE, FLOAT).data_ptr() == place


@pytest.mark.parametrize(
    "hold",
    [
        lambda tensor: tensor.numpy()[2:],
        lambda tensor: tensor.view(-1)[1:],
        lambda tensor: np.from_dlpack(tensor)[::2],
        lambda tensor: {"a": [tensor.permute(1, 0)]},
    ],
    ids=["numpy", "view", "dlpack", "nested"],
)
def test_whatever_holds_the_memory_keeps_it(hold) -> None:
    memory = BufferPool()
    held = [hold(memory.tensor(SHAPE, FLOAT).fill_(number)) for number in range(20)]
    gc.collect()
    for number, one in enumerate(held):
        values = one["a"][0] if isinstance(one, dict) else one
        assert (np.asarray(values) == number).all()


def test_parts_of_an_array_keep_all_of_it() -> None:
    memory = BufferPool()
    array = memory.array((8, 64, 1024), FLOAT)
    place = array.ctypes.data
    parts = [torch.from_numpy(array[number : number + 1]) for number in range(8)]
    assert all(part.untyped_storage().nbytes() == part.nbytes for part in parts)
    last = parts[5].numpy()[0, 3:]
    del array, parts
    gc.collect()
    assert memory.array((8, 64, 1024), FLOAT).ctypes.data != place
    del last
    gc.collect()
    assert memory.array((8, 64, 1024), FLOAT).ctypes.data == place


@pytest.mark.parametrize("dtype", ["bool", "uint16", "int64", "float16", "complex64"])
@pytest.mark.parametrize("shape", [(0, 3), (5,), (300, 400), ()], ids=str)
def test_types_and_shapes(dtype, shape) -> None:
    tensor = BufferPool().tensor(shape, np.dtype(dtype))
    assert tuple(tensor.shape) == shape
    assert tensor.numpy().dtype == np.dtype(dtype)
    assert tensor.is_contiguous()


def test_only_so_much_is_kept() -> None:
    memory = BufferPool()
    for size in range(100):
        held = [memory.tensor((64 * 1024 + size,), np.dtype("uint8")) for _ in range(20)]
        del held
    kept = [len(free) for free in memory._free.values()]
    assert len(kept) <= 32
    assert max(kept) <= 8


def test_it_travels_empty() -> None:
    memory = BufferPool()
    memory.tensor(SHAPE, FLOAT)
    assert not pickle.loads(pickle.dumps(memory))._free


class InWorkers(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, position: int) -> torch.Tensor:
        tensor = BufferPool().tensor((3, 50_000), FLOAT).fill_(position)
        assert tensor.is_shared()
        return tensor


@pytest.mark.timeout(60)
def test_in_a_worker_it_is_shared() -> None:
    loader = torch.utils.data.DataLoader(InWorkers(), batch_size=None, num_workers=1)
    assert [float(tensor.mean()) for tensor in loader] == [0, 1, 2, 3]


def test_what_cannot_be_page_locked_is_ordinary_memory(monkeypatch) -> None:
    def refuse(*args, **options):
        raise RuntimeError("CUDA error: out of memory\nmore")

    memory = BufferPool()
    memory.pin_memory(enabled=True)
    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.warns(UserWarning, match="it cannot be page-locked: CUDA error: out of memory$"):
        tensor = memory.tensor(SHAPE, FLOAT)
    place = tensor.fill_(1).data_ptr()
    del tensor
    gc.collect()
    assert memory.tensor(SHAPE, FLOAT).data_ptr() == place


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine can page-lock memory")
def test_without_an_accelerator_nothing_is_pinned() -> None:
    memory = BufferPool()
    memory.pin_memory(enabled=True)
    with pytest.warns(UserWarning, match="it cannot be page-locked: "):
        assert not memory.tensor(SHAPE, FLOAT).is_pinned()
    assert memory.tensor(SHAPE, FLOAT).shape == SHAPE


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_page_locked_memory_comes_from_torch() -> None:
    memory = BufferPool()
    memory.pin_memory(enabled=True)
    tensor = memory.tensor(SHAPE, FLOAT)
    assert tensor.is_pinned()
    assert tensor.pin_memory().data_ptr() == tensor.data_ptr()
    memory.pin_memory(enabled=False)
    assert not memory.tensor(SHAPE, FLOAT).is_pinned()
