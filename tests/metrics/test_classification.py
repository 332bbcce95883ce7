import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, recall_score

from geomoe.errors import InputError
from geomoe.metrics import (
    GroupScore,
    accuracy,
    expected_calibration_error,
    group_accuracy,
    macro_f1,
    macro_recall,
    worst_group,
)

KINDS = {"numpy": np.asarray, "tensor": torch.as_tensor, "list": lambda values: np.asarray(values).tolist()}


@pytest.fixture(params=KINDS)
def made(request):
    return KINDS[request.param]


def sample(n=200, classes=5, groups=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    predictions = np.where(rng.random(n) < 0.6, labels, rng.integers(classes, size=n))
    return predictions, labels, rng.integers(-1, groups, size=n)


def test_accuracy_counts(made):
    predictions, labels, _ = sample()
    hits = sum(int(p == t) for p, t in zip(predictions, labels, strict=True))
    assert accuracy(made(predictions), made(labels)) == hits / 200


def test_groups_count_each_sample_once(made):
    predictions, labels, groups = sample()
    scores = group_accuracy(made(predictions), made(labels), made(groups), ["a", "b", "c", "d", "nobody"])
    for k, name in enumerate(["a", "b", "c", "d"]):
        rows = [i for i in range(200) if groups[i] == k]
        hits = sum(int(predictions[i] == labels[i]) for i in rows)
        assert scores[name] == GroupScore(hits / len(rows), len(rows))
    assert scores["nobody"].samples == 0
    assert math.isnan(scores["nobody"].accuracy)
    assert sum(score.samples for score in scores.values()) == 200 - (groups == -1).sum()


def test_groups_without_names_are_those_that_occur():
    scores = group_accuracy([1, 1, 0], [1, 0, 0], [5, 5, 2])
    assert scores == {"2": GroupScore(1.0, 1), "5": GroupScore(0.5, 2)}


def test_worst_group_skips_the_empty_and_the_excluded():
    scores = {
        "Asia": GroupScore(0.7, 10),
        "Africa": GroupScore(0.5, 4),
        "Other": GroupScore(0.0, 1),
        "Oceania": GroupScore(math.nan, 0),
    }
    assert worst_group(scores) == ("Other", scores["Other"])
    assert worst_group(scores, exclude=["Other"]) == ("Africa", scores["Africa"])
    with pytest.raises(InputError, match="no such group: Others; there are Asia"):
        worst_group(scores, exclude=["Others"])
    with pytest.raises(InputError, match="has samples"):
        worst_group(scores, exclude=["Asia", "Africa", "Other"])


def loop_macro_f1(predictions, labels):
    scores = []
    for c in sorted(set(labels)):
        both = sum(p == c and t == c for p, t in zip(predictions, labels, strict=True))
        wrong = sum((p == c) != (t == c) for p, t in zip(predictions, labels, strict=True))
        scores.append(2 * both / (2 * both + wrong))
    return sum(scores) / len(scores)


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_equals_the_definition(seed, made):
    predictions, labels, _ = sample(classes=9, n=40, seed=seed)
    labels = np.where(labels == 3, 4, labels)  # class 3 is predicted but never true
    want = loop_macro_f1(predictions.tolist(), labels.tolist())
    assert macro_f1(made(predictions), made(labels)) == pytest.approx(want, rel=1e-14)
    right = [np.mean(predictions[labels == c] == c) for c in np.unique(labels)]
    assert macro_recall(made(predictions), made(labels)) == pytest.approx(np.mean(right), rel=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_macro_means_are_those_of_scikit_learn_to_the_last_digit(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 2, 3, 17, 181], size=200, p=[0.7, 0.2, 0.05, 0.04, 0.01])
    predictions = np.where(rng.random(200) < 0.5, labels, rng.integers(0, 182, 200))
    options = {"average": "macro", "labels": np.unique(labels), "zero_division": 0}
    assert macro_f1(predictions, labels) == f1_score(labels, predictions, **options)
    assert macro_recall(predictions, labels) == recall_score(labels, predictions, **options)


def test_macro_f1_by_hand():
    assert macro_f1([0, 0, 1, 2], [0, 1, 1, 1]) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert macro_f1([7, 7], [7, 7]) == 1.0
    assert macro_f1([10**9, 5], [10**9, 10**9]) == pytest.approx(2 / 3)


def loop_calibration(probabilities, labels, bins):
    """Guo et al. (2017), eq. 3; a confidence on an edge belongs to the bin above it, 1 to the last."""
    content = [[] for _ in range(bins)]
    for row, label in zip(probabilities, labels, strict=True):
        confidence = max(row)
        content[min(int(confidence * bins), bins - 1)].append((confidence, row.argmax() == label))
    gaps = [abs(sum(c - hit for c, hit in found)) for found in content]
    return sum(gaps) / len(labels)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_equals_the_definition(bins, made):
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.full(4, 0.4), size=300)
    probabilities[:20] = np.eye(4)[rng.integers(4, size=20)]  # quite sure
    labels = rng.integers(4, size=300)
    want = loop_calibration(probabilities, labels, bins)
    got = expected_calibration_error(made(probabilities), made(labels), bins)
    assert got == pytest.approx(want, abs=1e-5)


def test_calibration_by_hand():
    always = np.array([[0.8, 0.2]] * 10)
    assert expected_calibration_error(always, [0] * 8 + [1] * 2) == pytest.approx(0.0, abs=1e-6)
    assert expected_calibration_error(always, [1] * 10) == pytest.approx(0.8)
    assert expected_calibration_error([[1.0 + 1e-7, 0.0]], [0]) == pytest.approx(0.0, abs=1e-6)
    # certainty shares the last bin: (0.97 right, 1 wrong) is right half of the time
    sure = [[0.97, 0.03], [1.0, 0.0]]
    assert expected_calibration_error(sure, [0, 1]) == pytest.approx(abs(0.5 - 0.985), abs=1e-6)


TABLE = [[0.5, 0.5]] * 3
BAD = [
    (lambda: accuracy([0, 1], [0, 1, 2]), "predictions: expected 3 rows.*got 2"),
    (lambda: accuracy([], []), "labels: empty"),
    (lambda: accuracy([[0, 1]], [0, 1]), r"predictions: expected 1 axes; got shape \(1, 2\)"),
    (lambda: accuracy([0.2, 0.8], [0, 1]), "predictions: expected integer ids; got float64"),
    (lambda: group_accuracy([0, 1], [0, 1], [0]), "groups: expected 2 rows"),
    (lambda: group_accuracy([0, 1], [0, 1], [0, 2], ["a", "b"]), "2 names; got group id 2"),
    (lambda: macro_f1([0, -1], [0, 1]), "predictions: class ids start at 0; got -1"),
    (lambda: macro_recall([0, 1], [0, -1]), "labels: class ids start at 0; got -1"),
    (lambda: expected_calibration_error([0.5, 0.5], [0, 1]), "probabilities: expected 2 axes"),
    (lambda: expected_calibration_error(TABLE, [0, 1]), "labels: expected 3 rows"),
    (lambda: expected_calibration_error([[3.0, -2.0]] * 3, [0, 1, 1]), r"\(not scores\); row 0"),
    (lambda: expected_calibration_error(TABLE, [0, 1, 2]), "labels: expected 0 to 1; got 0 to 2"),
    (lambda: expected_calibration_error(TABLE, [0, 1, 1], bins=0), "bins: expected at least 1; got 0"),
    (lambda: expected_calibration_error([[math.nan, 1.0]], [0]), "row 0 does not"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
