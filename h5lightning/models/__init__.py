"""Models that fit themselves to the data: for a first result on new files, not for the last percent."""

from __future__ import annotations

from h5lightning.models.classifier import Classifier
from h5lightning.models.frame_predictor import FramePredictor
from h5lightning.models.regressor import Regressor

__all__ = ["Classifier", "FramePredictor", "Regressor"]
