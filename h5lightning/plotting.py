"""Pictures of samples, predictions, splits and speeds.

Each function returns a matplotlib Figure without a window, so that it works without a display, in threads and in
notebooks. The colours are distinguishable with any kind of colour blindness.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from h5lightning.errors import MissingExtraError, OptionError, SchemaError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_picture", "plot_histograms", "plot_prediction", "plot_rates", "plot_samples", "plot_split"]

Array = npt.NDArray[Any]

_VALUES = "viridis"
_ERRORS = "PuOr"
_DPI = 150
# The palette of Okabe and Ito, and grey for other splits.
_SPLIT_COLOURS = {"train": "#0072B2", "val": "#E69F00", "test": "#009E73", "predict": "#CC79A7"}
_OTHER_COLOUR = "#999999"
_LIMIT_COLOURS = ("#009E73", "#D55E00", "#CC79A7")


def plot_prediction(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    prediction: npt.ArrayLike,
    path: str | os.PathLike[str] | None = None,
    *,
    labels: Sequence[str] = (),
    title: str = "",
    unit: str = "dimensionless",
) -> Figure:
    """Input, truth, prediction and error side by side, with one row for each channel or sample.

    Args:
        x: the last input frames, ``(H, W)`` or ``(..., H, W)``: all leading axes become rows.
        y: the following frames, of the same shape.
        prediction: the predicted frames, of the same shape.
        path: the picture file to write, or None.
        labels: name of each row.
        title: text above the picture.
        unit: unit of the values, beside the colour bars.

    Raises:
        SchemaError: the three arrays differ in shape, or hold no images.
        MissingExtraError: matplotlib is not installed.
    """
    frames = _stacked(x=x, y=y, prediction=prediction)
    rows = frames.shape[1]
    figure = _figure(11.5, 0.6 + 2.7 * rows)
    grid = figure.subplots(rows, 4, squeeze=False)
    for row, panels in enumerate(grid):
        _draw_row(figure, panels, frames[:, row], unit)
        if row < len(labels):
            panels[0].set_ylabel(labels[row], fontsize=11)
    for panel, name in zip(grid[0], ("input", "truth", "prediction", "prediction − truth"), strict=True):
        panel.set_title(name, fontsize=12)
    figure.suptitle(title, fontsize=13)
    return _saved(figure, path)


def plot_samples(
    batch: Mapping[str, Any],
    key: str = "x",
    *,
    label: str | None = None,
    count: int = 8,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """The first samples of a batch: images as images, series and vectors as lines.

    Args:
        batch: key → values, ``(N, ...)``; of images with several leading axes, the first image is drawn.
        key: the field to draw.
        label: the field whose values are written above the samples.
        count: maximum number of samples.
        path: the picture file to write, or None.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    values = _samples_of(batch[key])[:count]
    columns = max(1, min(4, len(values)))
    rows = -(-len(values) // columns)
    figure = _figure(2.6 * columns, max(1.0, 2.6 * rows))
    for position, sample in enumerate(values):
        axes = figure.add_subplot(rows, columns, position + 1)
        _draw_sample(axes, sample)
        text = f"{key}[{position}]"
        if label is not None:
            value = _array(batch[label][position])
            text = f"{label} = {np.array2string(value, precision=3, threshold=6, edgeitems=2)}"
        axes.set_title(text, fontsize=10)
    return _saved(figure, path)


def plot_split(
    rows: Mapping[str, Sequence[int]], path: str | os.PathLike[str] | None = None, *, unit: str = "rows"
) -> Figure:
    """A bar for each split, with a segment for each of its files or series.

    Args:
        rows: split → number of rows of each of its files or series.
        path: the picture file to write, or None.
        unit: the unit of the counts.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = _figure(8, 0.9 + 0.5 * len(rows))
    axes = figure.subplots()
    total = max(1, sum(sum(counts) for counts in rows.values()))
    for bar, (name, counts) in enumerate(rows.items()):
        widths = np.asarray(counts, dtype=np.int64)
        colour = _SPLIT_COLOURS.get(name, _OTHER_COLOUR)
        starts = np.cumsum(widths) - widths
        axes.barh(bar, widths, left=starts, height=0.62, color=colour, edgecolor="white", linewidth=0.8)
        text = f"  {widths.sum():,} {unit} ({widths.sum() / total:.1%}) in {len(widths)}"
        axes.text(float(widths.sum()), bar, text, va="center", fontsize=10)
    _style_bars(axes, list(rows), unit, fontsize=11)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.3)
    return _saved(figure, path)


def plot_rates(
    rates: Mapping[str, tuple[float, float, float]],
    limits: Mapping[str, float],
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A bar for each loader configuration, with its spread, and a line for each limit.

    Args:
        rates: configuration → lowest, median and highest samples per second.
        limits: name of a limit → samples per second.
        path: the picture file to write, or None.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = _figure(9, 1.6 + 0.4 * len(rates))
    axes = figure.subplots()
    low, median, high = np.asarray(list(rates.values()), dtype=np.float64).reshape(-1, 3).T
    bars = np.arange(len(rates))
    axes.barh(bars, median, xerr=(median - low, high - median), height=0.62, color="#56B4E9", capsize=3)
    for (name, rate), colour in zip(limits.items(), _LIMIT_COLOURS, strict=False):
        axes.axvline(rate, color=colour, linewidth=1.5, label=f"limit: {name}")
    _style_bars(axes, list(rates), "samples per second", fontsize=10)
    axes.set_xscale("log")  # rates differ by a factor of a hundred
    if limits:
        figure.legend(loc="outside lower center", fontsize=9, frameon=False)
    return _saved(figure, path)


def plot_histograms(
    histograms: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike] | Mapping[str, int]],
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A histogram of each field, or a bar for each category.

    Args:
        histograms: key of a field → the borders of bins and how many values lie in each, ``(n + 1,)`` and ``(n,)``; or
            name of a category → how often it occurs.
        path: the picture file to write, or None.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    columns = max(1, min(3, len(histograms)))
    rows = max(1, -(-len(histograms) // columns))
    figure = _figure(3.6 * columns, 2.6 * rows)
    for position, (key, one) in enumerate(histograms.items()):
        axes = figure.add_subplot(rows, columns, position + 1)
        if isinstance(one, Mapping):
            axes.bar(range(len(one)), list(one.values()), color="#56B4E9")
            axes.set_xticks(range(len(one)), list(one), rotation=45, ha="right", fontsize=8)
        else:
            borders, counts = (np.asarray(part) for part in one)
            axes.stairs(counts, borders, fill=True, color="#56B4E9")
        axes.set_title(key, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return _saved(figure, path)


def check_picture(path: str) -> None:
    """Raise if a picture cannot be written to ``path``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OptionError: the format is unknown, or the directory does not exist.
    """
    formats = sorted(_figure(1, 1).canvas.get_supported_filetypes())
    suffix = os.path.splitext(path)[1].removeprefix(".").lower()
    if suffix not in formats:
        raise OptionError(f"{path!r} has no suffix of a picture: expected one of {', '.join(formats)}")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OptionError(f"a picture cannot be written to {path!r}: the directory {folder!r} does not exist")


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "pictures need matplotlib, which is not installed: pip install 'h5lightning[plot]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _saved(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=_DPI)
    return figure


def _array(values: Any) -> Array:
    """Values of a tensor on any device, or of any array-like."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _samples_of(values: Any) -> list[Array] | Array:
    """The samples of a field of a batch; a list holds samples of different shapes."""
    return [_array(value) for value in values] if isinstance(values, list) else _array(values)


def _stacked(**images: npt.ArrayLike) -> Array:
    """All images as ``(images, rows, H, W)``."""
    arrays = {name: _array(image) for name, image in images.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) < 2 for shape in shapes.values()):
        raise SchemaError(f"a picture needs images of one shape, (..., H, W), found {shapes}")
    return np.stack([array.reshape(-1, *array.shape[-2:]) for array in arrays.values()])


def _draw_row(figure: Figure, panels: Sequence[Axes], frames: Array, unit: str) -> None:
    """Three images on one colour scale, and the error on a colour scale symmetric about 0."""
    x, y, prediction = frames
    error = prediction - y
    limit = float(np.abs(error).max()) or 1.0
    for panel, image in zip(panels, frames, strict=False):
        shown = panel.imshow(image, cmap=_VALUES, vmin=frames.min(), vmax=frames.max())
    figure.colorbar(shown, ax=list(panels[:3]), label=unit, shrink=0.9, pad=0.01)
    difference = panels[3].imshow(error, cmap=_ERRORS, vmin=-limit, vmax=limit)
    figure.colorbar(difference, ax=panels[3], label=unit, shrink=0.9, pad=0.02)
    panels[3].set_xlabel(f"RMS {_rms(error):.2g} (no change: {_rms(x - y):.2g})", fontsize=9)
    for panel in panels:
        panel.set_xticks([])
        panel.set_yticks([])


def _draw_sample(axes: Axes, sample: Array) -> None:
    image = sample.reshape(-1, *sample.shape[-2:])[0] if sample.ndim > 2 else sample
    if image.ndim == 2 and min(image.shape) > 3:
        axes.imshow(image, cmap=_VALUES)
        axes.set_axis_off()
    else:
        axes.plot(np.atleast_1d(image), linewidth=1.2, marker="." if image.size < 16 else None)
        axes.tick_params(labelsize=8)


def _style_bars(axes: Axes, names: list[str], unit: str, *, fontsize: int) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=fontsize)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
