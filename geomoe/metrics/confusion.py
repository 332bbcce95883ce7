"""The confusion matrix, and precision, recall and F1 of each class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_ids, check_rows


class ClassCounts(NamedTuple):
    """Scores of the classes of a confusion matrix, one value for each; undefined shares are NaN.

    Attributes:
        labelled: (C,) samples of the class.
        answered: (C,) samples that were given the class.
        correct: (C,) samples of the class that were given it.
        precision: (C,) correct / answered: user's accuracy.
        recall: (C,) correct / labelled: producer's accuracy.
        f1: (C,) 2 correct / (labelled + answered): the harmonic mean of precision and recall.
    """

    labelled: NDArray[np.int64]
    answered: NDArray[np.int64]
    correct: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def confusion_matrix(predictions: Values, labels: Values, classes: int) -> NDArray[np.int64]:
    """Count the samples of each class (row) that were given each class (column).

    Args:
        predictions: (n,) class ids.
        labels: (n,) class ids.
        classes: number of classes C.

    Returns:
        (C, C) counts.

    Raises:
        InputError: shapes that do not fit, ids that are not integers, or an id outside [0, C).
    """
    true = as_ids(labels, "labels")
    predicted = as_ids(predictions, "predictions")
    check_rows(len(predicted), "predictions", len(true))
    for name, ids in (("predictions", predicted), ("labels", true)):
        if len(ids) and not 0 <= ids.min() <= ids.max() < classes:
            raise InputError(f"{name}: expected 0 to {classes - 1}; got {ids.min()} to {ids.max()}")
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_counts(confusion: NDArray[np.int64]) -> ClassCounts:
    """Return counts, precision, recall and F1 of each class of a confusion matrix (C, C)."""
    labelled, answered, correct = confusion.sum(axis=1), confusion.sum(axis=0), np.diagonal(confusion)
    shares = (_divided(correct, answered), _divided(correct, labelled))
    return ClassCounts(
        labelled, answered, correct.copy(), *shares, _divided(2 * correct, labelled + answered)
    )


def _divided(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide, with NaN where there is nothing to divide by."""
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
