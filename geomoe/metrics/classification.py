"""Classification metrics: accuracy, group accuracy, macro F1 and recall, calibration error."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_calibration_error

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array, as_ids, check_rows, check_some
from geomoe.metrics.groups import worst_name


class GroupScore(NamedTuple):
    """One group's accuracy (NaN where it has no samples) and its number of samples."""

    accuracy: float
    samples: int


def accuracy(predictions: Values, labels: Values) -> float:
    """Share of samples whose predicted class is the label.

    Args:
        predictions: (n,) class ids.
        labels: (n,) class ids.

    Raises:
        InputError: shapes that do not fit, no samples, or ids that are not integers.
    """
    predicted, true = _pair(predictions, labels)
    return float((predicted == true).mean())


def group_accuracy(
    predictions: Values, labels: Values, groups: Values, names: Sequence[str] | None = None
) -> dict[str, GroupScore]:
    """Accuracy and number of samples of each group.

    Args:
        predictions: (n,) class ids.
        labels: (n,) class ids.
        groups: (n,) group ids from 0; samples with a negative id (unknown) belong to no group.
        names: names of the groups, in the order of their ids; groups without samples are listed too.
            Default: the ids that occur, as text.

    Raises:
        InputError: as in :func:`accuracy`, or a group id without a name.
    """
    predicted, true = _pair(predictions, labels)
    group = as_ids(groups, "groups", len(true))
    known = group >= 0
    size = int(group.max(initial=-1)) + 1
    if names is not None and size > len(names):
        raise InputError(f"groups: there are {len(names)} names; got group id {size - 1}")
    titles = [str(k) for k in range(size)] if names is None else list(names)
    count = np.bincount(group[known], minlength=len(titles))
    right = np.bincount(group[known], weights=(predicted == true)[known], minlength=len(titles))
    scores = {
        title: GroupScore(float(r / n) if n else float("nan"), int(n))
        for title, r, n in zip(titles, right, count, strict=True)
    }
    return scores if names is not None else {title: s for title, s in scores.items() if s.samples}


def worst_group(scores: Mapping[str, GroupScore], exclude: Collection[str] = ()) -> tuple[str, GroupScore]:
    """Return the group with the lowest accuracy among those with samples; the first if tied.

    Args:
        scores: from :func:`group_accuracy`.
        exclude: names of groups to ignore, such as WILDS' region "Other".

    Returns:
        Its name and score.

    Raises:
        InputError: no group is left, or an excluded name does not exist.
    """
    if unknown := sorted(set(exclude) - set(scores)):
        raise InputError(f"exclude: no such group: {', '.join(unknown)}; there are {', '.join(scores)}")
    some = {name: score.accuracy for name, score in scores.items() if score.samples > 0}
    name = worst_name(some, exclude)
    if name is None:
        raise InputError(f"worst group: none of {list(scores)} has samples and is not excluded")
    return name, scores[name]


def macro_f1(predictions: Values, labels: Values) -> float:
    """Mean F1 over the classes that occur among the labels (WILDS' iWildCam metric).

    A class that occurs only among the predictions has no F1; its predictions are errors of the other classes.

    Args:
        predictions: (n,) class ids.
        labels: (n,) class ids.

    Raises:
        InputError: as in :func:`accuracy`, or a negative class id.
    """
    hits, true, answered = _counts(predictions, labels)
    return float((2 * hits / (true + answered)).mean())


def macro_recall(predictions: Values, labels: Values) -> float:
    """Mean recall over the classes that occur among the labels: balanced accuracy.

    Args:
        predictions: (n,) class ids.
        labels: (n,) class ids.

    Raises:
        InputError: as in :func:`macro_f1`.
    """
    hits, true, _ = _counts(predictions, labels)
    return float((hits / true).mean())


def _counts(predictions: Values, labels: Values) -> tuple[NDArray[np.int64], ...]:
    """Count correct, true and predicted samples of each class that occurs among the labels.

    torchmetrics is not used: its float32 results differ in the last digits from scikit-learn (and WILDS).
    """
    predicted, true = _pair(predictions, labels)
    for name, ids in (("predictions", predicted), ("labels", true)):
        if ids.min() < 0:
            raise InputError(f"{name}: class ids start at 0; got {ids.min()}")
    classes, position = np.unique(true, return_inverse=True)  # one row per class, however large its id
    size = len(classes)
    answer = np.searchsorted(classes, predicted).clip(max=size - 1)
    answered = np.bincount(answer[classes[answer] == predicted], minlength=size)
    hits = np.bincount(position[predicted == true], minlength=size)
    return hits, np.bincount(position, minlength=size), answered


def expected_calibration_error(probabilities: Values, labels: Values, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of equal width (Guo et al., 2017, eq. 3).

    Args:
        probabilities: (n, C), each row a distribution.
        labels: (n,) class ids.
        bins: number of bins between confidence 0 and 1.

    Raises:
        InputError: shapes that do not fit, rows that are not distributions, labels outside [0, C).
    """
    table = as_array(probabilities, "probabilities", ndim=2).astype(np.float64)
    true = as_ids(labels, "labels", len(table))
    check_some(table, "probabilities")
    if bins < 1:
        raise InputError(f"bins: expected at least 1; got {bins}")
    bad = ~((table >= 0).all(axis=1) & (np.abs(table.sum(axis=1) - 1) < 1e-2))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(f"probabilities: rows are 0 or more and sum to 1 (not scores); row {row} does not")
    if true.min() < 0 or true.max() >= table.shape[1]:
        raise InputError(f"labels: expected 0 to {table.shape[1] - 1}; got {true.min()} to {true.max()}")
    # torchmetrics reads values above 1 (rounding) as logits, and puts exactly 1 into a separate bin.
    table = np.minimum(table, np.nextafter(np.float32(1), np.float32(0)))
    return float(
        multiclass_calibration_error(
            torch.from_numpy(table), torch.from_numpy(true), num_classes=table.shape[1], n_bins=bins
        )
    )


def _pair(predictions: Values, labels: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    true = as_ids(labels, "labels")
    predicted = as_ids(predictions, "predictions")
    check_rows(len(predicted), "predictions", len(true))
    check_some(true, "labels")
    return predicted, true
