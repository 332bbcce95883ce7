"""Prediction with a trained checkpoint: for single images, or for a whole data set."""

from geomoe.inference.predictor import Prediction, Predictor, load
from geomoe.inference.sweep import Predictions, open_split, predict_dataset, predict_many

__all__ = ["Prediction", "Predictions", "Predictor", "load", "open_split", "predict_dataset", "predict_many"]
