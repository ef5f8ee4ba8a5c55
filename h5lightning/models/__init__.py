"""Models that adapt to the shapes of the data, for a first result on new files."""

from __future__ import annotations

from h5lightning.models.classifier import Classifier
from h5lightning.models.frame_predictor import FramePredictor
from h5lightning.models.regressor import Regressor

__all__ = ["Classifier", "FramePredictor", "Regressor"]
