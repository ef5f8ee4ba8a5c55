"""The models: built from any ordinary shape, trained on real files, loaded from a checkpoint without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer, seed_everything
from sklearn.datasets import load_digits

from h5lightning import H5DataModule
from h5lightning.app.demo.files import Recipe, ensure_demo_files
from h5lightning.errors import (
    FieldError,
    NotSetUpError,
    OptionError,
    SchemaError,
    UnsupportedFieldError,
)
from h5lightning.models import Classifier, FramePredictor, Regressor
from h5lightning.models.networks import Standardise, layout_of
from h5lightning.planning.fields import FieldSpec

pytestmark = pytest.mark.timeout(120)

LABEL = FieldSpec((), "int64")
SHAPES = {
    "scalar": ((), "vector"),
    "vector": ((7,), "vector"),
    "grey image": ((28, 20), "image"),
    "colour image": ((3, 33, 17), "image"),
    "colours last": ((16, 12, 3), "channels-last image"),
    "one-channel window": ((1, 1, 8, 8), "image"),
    "video": ((2, 3, 16, 16), "image"),
    "video, colours last": ((2, 16, 16, 3), "channels-last image"),
    "large image": ((1, 130, 70), "image"),
    "series": ((50, 6), "series"),
    "one-channel series": ((100, 1), "series"),
    "long series": ((300, 12), "series"),
    "small table": ((4, 5), "vector"),
    "odd": ((2, 3, 4, 5), "vector"),
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
    yield
    torch.set_num_threads(threads)


def trainer(**options: Any) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", enable_model_summary=False, **{**quiet, **options})


def built(model: LightningModule) -> Any:
    model.configure_model()
    return model


def classifier_for(x: FieldSpec, **options: Any) -> Any:
    return built(Classifier(spec={"x": x, "y": LABEL}, num_classes=3, width=8, **options))


def write_columns(directory: Path, files: int, columns: Mapping[str, np.ndarray]) -> str:
    """Samples dealt to several files; returns their pattern."""
    for number in range(files):
        with h5py.File(directory / f"part-{number}.h5", "w") as file:
            for key, values in columns.items():
                file[key] = values[number::files]
    return str(directory / "*.h5")


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., H5DataModule]:
    """A function that writes columns to files and returns their DataModule."""

    def make(**columns: np.ndarray) -> H5DataModule:
        pattern = write_columns(tmp_path, 5, columns)
        return H5DataModule(pattern, list(columns), split={"by": "sample", "test": 0.2}, seed=0)

    return make


def whole_test_split(dm: H5DataModule) -> dict[str, torch.Tensor]:
    batch = dm.test_dataset.read_batch(range(len(dm.test_dataset)))
    dm.teardown()
    return batch


# ── shapes and types ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("shape", "layout"), SHAPES.values(), ids=SHAPES)
def test_layout(shape, layout):
    assert layout_of(shape) == layout


@pytest.mark.parametrize("shape", [shape for shape, _ in SHAPES.values()], ids=SHAPES)
@pytest.mark.parametrize("samples", [1, 3])
def test_a_classifier_takes_any_ordinary_shape(shape, samples):
    model = classifier_for(FieldSpec(shape, "float32"))
    scores = model(torch.randn(samples, *shape))
    assert scores.shape == (samples, 3)
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 4)], ids=str)
def test_a_regressor_predicts_any_shape(shape):
    spec = {"x": FieldSpec((5,), "float32"), "y": FieldSpec(shape, "float64")}
    model = built(Regressor(spec=spec, width=8))
    assert model(torch.randn(4, 5)).shape == (4, *shape)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64", "bool", "float16", "float64"])
def test_inputs_of_any_type_give_the_scores_of_their_values(dtype):
    values = torch.arange(36).reshape(4, 9) % 2
    model = classifier_for(FieldSpec((9,), dtype)).eval()
    torch.testing.assert_close(model(values.to(getattr(torch, dtype))), model(values.float()))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,)], ids=["()", "(1,)"])
def test_labels_of_any_type_and_both_shapes(dtype, shape):
    model = classifier_for(FieldSpec((2,), "float32"))
    labels = model.labels({"y": torch.tensor([2, 0, 1]).to(getattr(torch, dtype)).reshape(3, *shape)})
    assert (labels.tolist(), labels.dtype) == ([2, 0, 1], torch.int64)


def test_boolean_labels_are_two_classes():
    spec = {"x": FieldSpec((2,), "float32"), "y": FieldSpec((), "bool")}
    model = built(Classifier(spec=spec, num_classes=2))
    assert model.labels({"y": torch.tensor([True, False])}).tolist() == [1, 0]


def test_categories_say_how_many_classes_there_are():
    spec = {"x": FieldSpec((2,), "float32"), "y": FieldSpec((), "uint8", ("cat", "dog", "fox", "owl"))}
    assert built(Classifier(spec=spec))(torch.randn(1, 2)).shape == (1, 4)


# ── standardising ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("shape", "axes"), [((), (0, 1, 2, 3)), ((3, 1, 1), (0, 2, 3)), ((3, 4, 5), (0,))], ids=str
)
def test_statistics_of_unequal_batches_are_those_of_all_values(shape, axes):
    values = 5 + 3 * torch.randn(20, 3, 4, 5)
    scale = Standardise(shape)
    for batch in values.split([1, 7, 12]):
        scale(batch)
    variance, mean = torch.var_mean(values, axes, correction=0)
    torch.testing.assert_close(scale.mean, mean.reshape(shape))
    torch.testing.assert_close(scale.variance, variance.reshape(shape))
    torch.testing.assert_close(scale.inverse(scale.eval()(values)), values)


def test_evaluation_learns_nothing():
    scale = Standardise((2,)).eval()
    scale(torch.randn(5, 2))
    assert (scale.count.item(), scale.mean.tolist()) == (0, [0, 0])


def test_what_never_varied_does_not_become_infinite():
    scale = Standardise((2,))
    scale(torch.tensor([[7.0, 1.0], [7.0, 2.0]]))
    assert scale.eval()(torch.tensor([[8.0, 1.5]])).tolist() == [[1.0, 0.0]]


# ── training on files ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["images", "flat", "bytes"])
def test_digits_are_learned(data, kind):
    digits = load_digits()
    x = {"images": digits.images, "flat": digits.data, "bytes": (digits.images * 15).astype("uint8")}[kind]
    dm = data(x=x, y=digits.target)
    model = Classifier()
    fit = trainer(max_epochs=6)
    fit.fit(model, datamodule=dm)
    assert fit.callback_metrics.keys() >= {"train_loss", "val_loss", "val_acc"}
    (metrics,) = trainer().test(model, datamodule=dm, verbose=False)
    assert metrics["test_acc"] > 0.95


def test_a_regressor_learns_targets_of_very_different_units(data):
    x = np.random.default_rng(0).standard_normal((600, 4)).astype("float32")
    y = np.stack([1e6 + 1e5 * x[:, 0], 1e-4 * np.tanh(x[:, 1] + x[:, 2])], axis=1)
    dm = data(x=x, y=y)
    model = Regressor()
    trainer(max_epochs=12).fit(model, datamodule=dm)
    (metrics,) = trainer().test(model, datamodule=dm, verbose=False)
    assert metrics["test_r2"] > 0.95
    batch = whole_test_split(dm)
    with torch.no_grad():
        expected = (model.eval()(batch["x"]) - batch["y"]).square().mean()
    assert metrics["test_mse"] == pytest.approx(expected.item(), rel=1e-3)


def test_a_frame_predictor_beats_that_nothing_changes(tmp_path):
    recipe = Recipe(runs=tuple((0.02 + 0.004 * run, 0.055, 24 + run) for run in range(8)), size=32)
    dm = H5DataModule(
        ensure_demo_files(tmp_path, recipe=recipe).pattern,
        {"x": {"path": "frames", "steps": (0, 2)}, "y": {"path": "frames", "steps": (2, 3)}},
        {"kind": "windows", "length": 3, "dilation": 3},
        split={"by": "file", "test": 0.25, "val": 0.1},
        batch_size=8,
    )
    model = FramePredictor(width=16)
    trainer(max_epochs=10).fit(model, datamodule=dm)
    (metrics,) = trainer().test(model, datamodule=dm, verbose=False)
    assert metrics["test_mse"] < 0.5 * metrics["test_mse_persistence"]
    batch = whole_test_split(dm)
    persistence = (batch["x"][:, -1:] - batch["y"]).square().mean().item()
    assert metrics["test_mse_persistence"] == pytest.approx(persistence, rel=1e-4)
    (first, *_) = trainer().predict(model, datamodule=dm)
    assert first.shape == (8, 1, 2, 32, 32)


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((1, 2, 16, 16), (1, 2, 16, 16)),
        ((3, 2, 7, 9), (2, 2, 7, 9)),
        ((2, 12, 12), (1, 12, 12)),
        ((2, 3, 2, 8, 8), (4, 3, 2, 8, 8)),
    ],
    ids=["pair", "odd size", "no channels", "two axes of channels"],
)
def test_frames_of_any_shape(x, y):
    spec = {"x": FieldSpec(x, "float32"), "y": FieldSpec(y, "float32")}
    model = built(FramePredictor(spec=spec, width=8))
    frames = torch.rand(3, *x)
    assert model(frames).shape == (3, *y)
    loss = model._squared_error({"x": frames, "y": torch.rand(3, *y)}).mean()
    loss.backward()
    assert loss.isfinite()


def test_an_untrained_predictor_says_that_nothing_changes_but_for_a_constant():
    spec = {"x": FieldSpec((1, 2, 8, 8), "float32"), "y": FieldSpec((1, 2, 8, 8), "float32")}
    model = built(FramePredictor(spec=spec)).eval()
    x = torch.rand(2, 1, 2, 8, 8)
    assert (model(x) - x).std(dim=(0, 1, 3, 4)).max() < 0.2


def test_a_shifted_input_gives_the_shifted_prediction():
    spec = {"x": FieldSpec((2, 2, 12, 12), "float32"), "y": FieldSpec((1, 2, 12, 12), "float32")}
    model = built(FramePredictor(spec=spec, width=8)).eval()
    torch.nn.init.normal_(model.network[-2].weight)
    x = torch.rand(1, 2, 2, 12, 12)
    shifted = model(x.roll((4, -2), dims=(-2, -1)))
    torch.testing.assert_close(shifted, model(x).roll((4, -2), dims=(-2, -1)))


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────


MODELS = {"classifier": Classifier, "regressor": Regressor}


@pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS)
def test_a_checkpoint_loads_without_data(data, tmp_path, kind):
    dm = data(x=np.random.default_rng(0).random((60, 5)), y=np.arange(60) % 4)
    model = kind(width=8)
    fit = trainer(max_epochs=1)
    fit.fit(model, datamodule=dm)
    fit.save_checkpoint(tmp_path / "model.ckpt")
    loaded = kind.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    x = torch.rand(7, 5)
    torch.testing.assert_close(loaded.eval()(x), model.eval()(x))


def test_training_resumes_from_a_checkpoint(data, tmp_path):
    dm = data(x=np.random.default_rng(0).random((60, 5)), y=np.arange(60) % 4)
    fit = trainer(max_epochs=2)
    fit.fit(Classifier(width=8), datamodule=dm)
    fit.save_checkpoint(tmp_path / "model.ckpt")
    resumed = trainer(max_epochs=3)
    resumed.fit(Classifier(width=8), datamodule=dm, ckpt_path=tmp_path / "model.ckpt", weights_only=True)
    assert resumed.global_step == 3 * (fit.global_step // 2)


def test_prediction_gives_probabilities(data):
    dm = data(x=np.random.default_rng(0).random((60, 5)), y=np.arange(60) % 4)
    model = Classifier(width=8)
    trainer(max_epochs=1).fit(model, datamodule=dm)
    probabilities = torch.cat(trainer().predict(model, datamodule=dm))
    assert probabilities.shape == (len(dm.test_dataset), 4)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(probabilities)))


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────


def test_metrics_are_means_over_samples_whatever_the_batches(data):
    random = np.random.default_rng(0)
    dm = data(x=random.random((105, 5)), y=random.integers(0, 3, 105))
    model = classifier_for(FieldSpec((5,), "float64"))
    found = []
    for batch_size in (4, 100):
        dm.batch_size = batch_size
        found += trainer().test(model, datamodule=dm, verbose=False)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_score_of_a_single_sample_is_not_a_number(tmp_path):
    pattern = write_columns(tmp_path, 1, {"x": np.ones((1, 3)), "y": np.ones(1)})
    dm = H5DataModule({"test": pattern}, ["x", "y"])
    dm.prepare_data()
    dm.setup()
    model = Regressor(width=8, spec=dm.sample_spec)
    (metrics,) = trainer().test(model, datamodule=dm, verbose=False)
    assert np.isnan(metrics["test_r2"])
    assert np.isfinite(metrics["test_mse"])


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────


def test_without_shapes_the_network_cannot_be_built():
    with pytest.raises(NotSetUpError, match=r"give it spec=datamodule\.sample_spec"):
        Classifier().configure_model()


def test_a_key_that_is_no_field_is_named_beside_those_that_are():
    spec = {"image": FieldSpec((3,), "float32"), "label": LABEL}
    with pytest.raises(FieldError, match=r"'x', found \['image', 'label'\]"):
        Classifier(spec=spec).configure_model()


@pytest.mark.parametrize(
    ("batch", "found"), [({"a": 1}, r"\['a'\]"), ((1, 2), "tuple")], ids=["other keys", "tuple"]
)
def test_a_batch_without_the_field(batch, found):
    with pytest.raises(FieldError, match=f"reads the field 'y' of a batch, found {found}"):
        classifier_for(FieldSpec((3,), "float32")).labels(batch)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 7], r"labels 3, 7, expected 0 to 2 \(num_classes=3\)"),
        ([-1, 1], r"labels -1, expected 0 to 2"),
        ([0.5, 1.0], r"holds 0\.5, expected whole numbers"),
        ([float("nan"), 1.0], r"holds nan, expected whole numbers"),
        (list(range(20)), "3, 4, 5, 6, 7, 8, 9, 10 and 9 more"),
    ],
    ids=["too large", "negative", "fraction", "nan", "many"],
)
def test_labels_that_are_no_classes(labels, message):
    model = classifier_for(FieldSpec((3,), "float32"))
    with pytest.raises(FieldError, match=message):
        model.labels({"y": torch.tensor(labels)})


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.arange(-1, 29) % 3 - 1, FieldError, r"labels -1, 0, 1, expected 0, 1, …"),
        (np.zeros(30), OptionError, "at least two classes, found 1"),
        (np.linspace(0, 1, 30), FieldError, "expected whole numbers"),
    ],
    ids=["negative", "one class", "fractions"],
)
def test_labels_are_checked_before_training(data, labels, error, message):
    with pytest.raises(error, match=message):
        trainer(max_epochs=1).fit(Classifier(), datamodule=data(x=np.ones((30, 2)), y=labels))


def test_a_label_that_only_the_test_split_holds_counts(tmp_path):
    for name, labels in {"a": [0, 1], "b": [0, 1], "c": [4, 0]}.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"], file["y"] = np.random.default_rng(0).random((2, 3)), labels
    parts = dict(zip(("train", "val", "test"), "abc", strict=True))
    dm = H5DataModule({split: str(tmp_path / f"{name}.h5") for split, name in parts.items()}, ["x", "y"])
    model = Classifier()
    trainer(max_epochs=1).fit(model, datamodule=dm)
    assert model.num_classes == 5


def test_labels_that_a_transform_makes_need_num_classes(tmp_path):
    pattern = write_columns(tmp_path, 3, {"x": np.ones((30, 2))})
    dm = H5DataModule(pattern, ["x"], transform=lambda sample: sample | {"y": torch.tensor(1)})
    with pytest.raises(OptionError, match=r"'y' .* transform.*num_classes="):
        trainer(max_epochs=1).fit(Classifier(), datamodule=dm)


@pytest.mark.parametrize("shape", [(2,), (3, 1)], ids=str)
def test_several_labels_in_a_sample_are_refused(shape):
    spec = {"x": FieldSpec((3,), "float32"), "y": FieldSpec(shape, "int64")}
    with pytest.raises(FieldError, match=r"expected one label: \(\) or \(1,\)"):
        Classifier(spec=spec).configure_model()


@pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS)
def test_complex_inputs_are_refused(kind):
    with pytest.raises(UnsupportedFieldError, match="complex64; this model needs at least one real number"):
        kind(
            spec={"x": FieldSpec((3,), "complex64"), "y": FieldSpec((), "int64", ("a", "b"))}
        ).configure_model()


def test_complex_targets_are_refused():
    spec = {"x": FieldSpec((3,), "float32"), "y": FieldSpec((3,), "complex64")}
    with pytest.raises(UnsupportedFieldError, match=r"'y' has shape .* complex64, expected real numbers"):
        Regressor(spec=spec).configure_model()


@pytest.mark.parametrize(
    ("x", "y"), [((1, 2, 8, 8), (1, 1, 8, 8)), ((8, 8), (8, 8)), ((2, 8), (1, 8))], ids=str
)
def test_frames_that_do_not_fit_are_refused(x, y):
    spec = {"x": FieldSpec(x, "float32"), "y": FieldSpec(y, "float32")}
    with pytest.raises(SchemaError, match="expected frames of one shape"):
        FramePredictor(spec=spec).configure_model()


def test_whole_numbers_are_no_frames():
    spec = {"x": FieldSpec((1, 8, 8), "uint8"), "y": FieldSpec((1, 8, 8), "uint8")}
    with pytest.raises(UnsupportedFieldError, match=r"set Field\(dtype='float32'\)"):
        FramePredictor(spec=spec).configure_model()
