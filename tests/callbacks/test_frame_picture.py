"""The demo's picture, drawn by a real test run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from lightning import Trainer

from h5lightning import H5DataModule
from h5lightning.app.demo.files import Recipe, ensure_demo_files
from h5lightning.callbacks.frame_picture import FramePicture
from h5lightning.models import FramePredictor

pytestmark = pytest.mark.timeout(60)
FIELDS = {"x": {"path": "frames", "steps": (0, 2)}, "y": {"path": "frames", "steps": (2, 3)}}


def drawn(directory: Path, **options: Any) -> FramePicture:
    """The callback after the test of an untrained model on 18 windows, 4 in a batch."""
    recipe = Recipe(runs=((0.03, 0.06, 20),), size=16, spots=1, warm_up_steps=20)
    pattern = ensure_demo_files(directory / "data", recipe=recipe).pattern
    dm = H5DataModule({"test": pattern}, FIELDS, {"kind": "windows", "length": 3}, batch_size=4)
    dm.prepare_data()
    dm.setup()
    picture = FramePicture(str(directory / "new" / "forecast.png"), **options)
    trainer = Trainer(
        accelerator="cpu", logger=False, callbacks=[picture], enable_progress_bar=False, max_epochs=1
    )
    trainer.test(FramePredictor(width=8, spec=dm.sample_spec), datamodule=dm, verbose=False)
    return picture


@pytest.mark.parametrize("samples", [1, 3, 9])
def test_samples_are_spread_over_the_batches(tmp_path, samples):
    picture = drawn(tmp_path, samples=samples)
    assert len(picture.drawn) == min(samples, 5)
    assert picture.path.read_bytes().startswith(b"\x89PNG")


def test_what_is_drawn_is_the_last_input_and_what_followed(tmp_path):
    picture = drawn(tmp_path, samples=5)
    (path,) = (tmp_path / "data").rglob("*.h5")
    with h5py.File(path) as file:
        v = file["frames"][:, 1]
    for start, (x, y, _) in zip(range(0, 18, 4), picture.drawn, strict=True):
        np.testing.assert_array_equal(x, v[start + 1])
        np.testing.assert_array_equal(y, v[start + 2])


@pytest.mark.parametrize("channel", [0, 1])
def test_the_channel_is_chosen(tmp_path, channel):
    """u is close to 1 where nothing reacts, v to 0."""
    (frames,) = drawn(tmp_path, samples=1, channel=channel).drawn
    assert np.median(frames[0]) == pytest.approx(1 - channel, abs=0.2)


def test_without_matplotlib_nothing_is_drawn_and_the_extra_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("h5lightning.callbacks.frame_picture.importlib.util.find_spec", lambda _: None)
    picture = drawn(tmp_path)
    assert "pip install 'h5lightning[plot]'" in caplog.text
    assert not picture.path.exists()
