"""The confusion matrix and what it says of classes, against torchmetrics and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from geomoe.errors import InputError
from geomoe.metrics import class_counts, confusion_matrix


def test_it_is_that_of_torchmetrics():
    random = np.random.default_rng(0)
    answers, labels = random.integers(0, 7, (2, 500))
    matrix = confusion_matrix(answers, labels, 7)
    pair = (torch.from_numpy(answers), torch.from_numpy(labels))
    np.testing.assert_array_equal(matrix, multiclass_confusion_matrix(*pair, num_classes=7))
    found = class_counts(matrix)
    peers = {"precision": multiclass_precision, "recall": multiclass_recall, "f1": multiclass_f1_score}
    for name, peer in peers.items():
        want = peer(*pair, num_classes=7, average="none").numpy()
        np.testing.assert_allclose(getattr(found, name), want, rtol=1e-6)


def test_worked_numbers():
    """Three of class 0, one of class 1: two of the three are found, the third is taken for 2."""
    found = class_counts(confusion_matrix([0, 0, 2, 1], [0, 0, 0, 1], 4))
    np.testing.assert_array_equal(found.labelled, [3, 1, 0, 0])
    np.testing.assert_array_equal(found.answered, [2, 1, 1, 0])
    np.testing.assert_array_equal(found.correct, [2, 1, 0, 0])
    np.testing.assert_allclose(found.precision, [1, 1, 0, np.nan])
    np.testing.assert_allclose(found.recall, [2 / 3, 1, np.nan, np.nan])
    np.testing.assert_allclose(found.f1, [0.8, 1, 0, np.nan])


@pytest.mark.parametrize(
    ("answers", "labels", "message"),
    [
        ([0, 3], [0, 1], "predictions: expected 0 to 2; got 0 to 3"),
        ([0, 1], [-1, 1], "labels: expected 0 to 2; got -1 to 1"),
        ([0, 1, 2], [0, 1], "predictions"),
    ],
)
def test_ids_that_cannot_be_counted(answers, labels, message):
    with pytest.raises(InputError, match=message):
        confusion_matrix(answers, labels, 3)
