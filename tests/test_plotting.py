"""Pictures: drawn without a display, of what they were given."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from h5lightning.errors import MissingExtraError, OptionError, SchemaError
from h5lightning.plotting import check_picture, plot_prediction, plot_rates, plot_samples, plot_split

PNG = b"\x89PNG\r\n\x1a\n"


def frames(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def images_of(figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def texts_of(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]


def test_a_prediction_shows_input_truth_prediction_and_error(tmp_path):
    x, y, prediction = frames(3, 6, 8)
    path = tmp_path / "picture.png"
    figure = plot_prediction(x, y, prediction, path, labels=("u",), title="a title", unit="m/s")
    shown = images_of(figure)
    for image, expected in zip(shown, (x, y, prediction, prediction - y), strict=True):
        np.testing.assert_allclose(image, expected)
    assert path.read_bytes().startswith(PNG)
    assert figure.get_suptitle() == "a title"
    assert [axes.get_ylabel() for axes in figure.axes].count("m/s") == 2
    assert figure.axes[0].get_ylabel() == "u"


def test_truth_and_prediction_share_a_scale_and_the_error_is_symmetric():
    figure = plot_prediction(frames(6, 8), frames(6, 8), frames(6, 8) * 3)
    scales = [image.get_clim() for axes in figure.axes for image in axes.images]
    assert scales[0] == scales[1] == scales[2] == (frames(6, 8).min(), frames(6, 8).max() * 3)
    assert scales[3][0] == -scales[3][1] < 0


def test_a_perfect_prediction_can_be_drawn():
    figure = plot_prediction(frames(6, 8), frames(6, 8), frames(6, 8))
    assert not images_of(figure)[3].any()
    assert "RMS 0 (no change: 0)" in [axes.get_xlabel() for axes in figure.axes]


def test_leading_axes_become_rows():
    batch = torch.rand(3, 2, 1, 4, 5, requires_grad=True)
    figure = plot_prediction(*batch)
    assert len(images_of(figure)) == 4 * 2


@pytest.mark.parametrize(("x", "y"), [((4, 5), (4, 6)), ((5,), (5,))], ids=["different shapes", "no images"])
def test_what_is_no_image_is_refused(x, y):
    with pytest.raises(SchemaError, match=r"images of one shape, \(\.\.\., H, W\), found"):
        plot_prediction(np.zeros(x), np.zeros(y), np.zeros(y))


@pytest.mark.parametrize(
    ("shape", "is_image"),
    [((6, 8, 9), True), ((6, 2, 8, 9), True), ((6, 50), False), ((6, 50, 2), False), ((6,), False)],
    ids=["images", "channels", "vectors", "series", "numbers"],
)
def test_samples_of_any_shape(shape, is_image, tmp_path):
    figure = plot_samples({"x": frames(*shape)}, count=5, path=tmp_path / "samples.png")
    assert len(figure.axes) == 5
    assert bool(images_of(figure)) == is_image
    assert bool(figure.axes[0].lines) != is_image
    assert texts_of(figure)[0] == "x[0]"


def test_samples_carry_their_labels():
    batch = {"image": torch.rand(2, 8, 8), "digit": torch.tensor([3, 7])}
    assert texts_of(plot_samples(batch, "image", label="digit")) == ["digit = 3", "digit = 7"]


def test_a_split_is_drawn_in_proportion(tmp_path):
    rows = {"train": [30, 50], "val": [10], "test": [10], "unused": []}
    (axes,) = plot_split(rows, tmp_path / "split.pdf").axes
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 30), (30, 50), (0, 10), (0, 10)]
    assert [text.get_text().split()[0] for text in axes.texts] == ["80", "10", "10", "0"]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(rows)
    assert len({bar.get_facecolor() for bar in axes.patches}) == 3


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'h5lightning\[plot\]'"):
        plot_split({"train": [1]})


@pytest.mark.timeout(60)
def test_importing_imports_neither_matplotlib_nor_torch():
    code = "import sys, h5lightning.plotting; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


RATES = {"direct": (90.0, 100.0, 130.0), "h5py": (9.0, 10.0, 11.0)}


def test_rates_are_bars_with_their_spread_and_limits_are_lines(tmp_path):
    path = tmp_path / "rates.png"
    axes = plot_rates(RATES, {"gather": 200.0}, path).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [100, 10]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["direct", "h5py"]
    (spread,) = axes.collections
    assert [segment.tolist() for segment in spread.get_segments()] == [[[90, 0], [130, 0]], [[9, 1], [11, 1]]]
    assert list(axes.lines[-1].get_xdata()) == [200, 200]
    assert path.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.txt", "has no suffix of a picture"), ("no/a.png", "the directory .* does not exist")],
    ids=["format", "directory"],
)
def test_a_picture_that_cannot_be_written_is_refused_at_once(name, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        check_picture(str(tmp_path / name))


def test_a_picture_that_can_be_written(tmp_path):
    check_picture(str(tmp_path / "a.png"))
    assert not (tmp_path / "a.png").exists()


def test_samples_of_different_shapes_are_drawn_each_by_itself():
    batch = {"x": [torch.rand(5, 4), torch.rand(7, 6)], "y": torch.arange(2)}
    figure = plot_samples(batch, label="y")
    assert [image.shape for image in images_of(figure)] == [(5, 4), (7, 6)]
    assert texts_of(figure) == ["y = 0", "y = 1"]
