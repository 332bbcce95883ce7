"""A linear probe: how well a domain can be predicted from features within a class. It needs no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array, as_ids, check_rows

_LEAST = 2  # least number of samples of a domain in a class; with fewer, the domain is left out of the probe
_TOLERANCE = 1e-6  # tolerance of the gradient, per sample


class ClassProbe(NamedTuple):
    """The probe within one class.

    Attributes:
        label: class id.
        accuracy: share of samples whose domain was predicted correctly while they were left out.
        chance: share of the most frequent domain, which is the accuracy of a probe without features.
        domains: number of domains.
        samples: number of samples.
    """

    label: int
    accuracy: float
    chance: float
    domains: int
    samples: int


class DomainProbe(NamedTuple):
    """The probe of all classes.

    Attributes:
        accuracy: mean over classes, each with the same weight.
        chance: mean over the same classes of the most frequent domain's share.
        uniform: mean over the same classes of 1 / number of domains.
        classes: each class that has two domains with enough samples.
    """

    accuracy: float
    chance: float
    uniform: float
    classes: tuple[ClassProbe, ...]


def domain_probe(
    features: Values, label: Values, domain: Values, *, folds: int = 5, seed: int = 0, penalty: float = 1.0
) -> DomainProbe | None:
    """Class-conditional domain probe (MESSI, arXiv 2606.25665, E.5): P(D|Z, Y) by a linear model.

    Within each class, multinomial logistic regression predicts the domain from standardised features. It is
    scored on samples that it was not fitted to, by stratified cross-validation. An accuracy of ``chance``
    means that, within a class, a linear model finds nothing about the domain in the features.

    Args:
        features: (n, D).
        label: (n,) class ids.
        domain: (n,) domain ids; samples with a negative id (unknown) are left out.
        folds: parts of the cross-validation; a class whose smallest domain has fewer samples gets as many
            folds as that has, at least 2. Domains with a single sample in a class are left out of it.
        seed: seed of the folds.
        penalty: weight of half the squared weights; see :func:`fit_logistic`.

    Returns:
        None if no class has two domains with two samples.

    Raises:
        InputError: shapes that do not fit, fewer than 2 folds, or features that are not finite.
    """
    x = as_array(features, "features", ndim=2).astype(np.float64)
    y, d = as_ids(label, "label"), as_ids(domain, "domain")
    check_rows(len(y), "label", len(x))
    check_rows(len(d), "domain", len(x))
    if folds < 2:
        raise InputError(f"folds: expected at least 2; got {folds}")
    if not np.isfinite(x).all():
        raise InputError("features: expected finite numbers")
    found = []
    for one in np.unique(y[d >= 0]):
        rows = np.flatnonzero((y == one) & (d >= 0))
        _, ids, counts = np.unique(d[rows], return_inverse=True, return_counts=True)
        kept = counts[ids] >= _LEAST
        if np.count_nonzero(counts >= _LEAST) < 2:
            continue
        rows, ids = rows[kept], np.unique(ids[kept], return_inverse=True)[1]
        counts = np.bincount(ids)
        part = stratified_folds(ids, min(folds, int(counts.min())), np.random.default_rng([seed, int(one)]))
        right = _left_out(x[rows], ids, part, penalty)
        top = float(counts.max() / len(ids))
        found.append(ClassProbe(int(one), float(right.mean()), top, len(counts), len(ids)))
    if not found:
        return None
    accuracy = float(np.mean([one.accuracy for one in found]))
    chance = float(np.mean([one.chance for one in found]))
    uniform = float(np.mean([1 / one.domains for one in found]))
    return DomainProbe(accuracy, chance, uniform, tuple(found))


def stratified_folds(ids: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Fold of each sample, so that each id has the same number in every fold, up to one."""
    part = np.empty(len(ids), dtype=np.int64)
    start = 0
    for one in np.unique(ids):
        rows = rng.permutation(np.flatnonzero(ids == one))
        part[rows] = (start + np.arange(len(rows))) % folds
        start += len(rows)  # the remainders go to different folds
    return part


def _left_out(
    x: NDArray[np.float64], ids: NDArray[np.int64], part: NDArray[np.int64], penalty: float
) -> NDArray[np.bool_]:
    right = np.zeros(len(ids), dtype=bool)
    for fold in np.unique(part):
        test = part == fold
        mean, deviation = x[~test].mean(axis=0), x[~test].std(axis=0)
        scaled = (x - mean) / np.where(deviation > 1e-12, deviation, 1.0)
        weight, bias = fit_logistic(scaled[~test], ids[~test], int(ids.max()) + 1, penalty)
        right[test] = (scaled[test] @ weight + bias).argmax(axis=1) == ids[test]
    return right


def fit_logistic(
    x: NDArray[np.float64], ids: NDArray[np.int64], classes: int, penalty: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multinomial logistic regression: the minimum of sum_i -ln p(id_i | x_i) + penalty / 2 |W|^2.

    The bias is not penalised. This is scikit-learn's ``LogisticRegression(C=1 / penalty)``. The problem is
    convex; L-BFGS solves it in the space that the samples span, where its solution lies.

    Args:
        x: (n, D) features.
        ids: (n,) from 0.
        classes: K.
        penalty: above 0.

    Returns:
        W (D, K) and bias (K,).
    """
    left, values, right = np.linalg.svd(x, full_matrices=False)
    z = left * values  # (n, min(n, D)): the same inner products
    width = z.shape[1]
    hot = np.eye(classes)[ids]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        both = flat.reshape(width + 1, classes)
        scores = z @ both[:-1] + both[-1]
        scores -= scores.max(axis=1, keepdims=True)
        power = np.exp(scores)
        total = power.sum(axis=1, keepdims=True)
        value = (np.log(total[:, 0]) - (scores * hot).sum(axis=1)).sum()
        wrong = power / total - hot
        slope = np.vstack([z.T @ wrong + penalty * both[:-1], wrong.sum(axis=0)])
        return float(value + penalty / 2 * np.square(both[:-1]).sum()), slope.ravel()

    options = {"maxiter": 2000, "gtol": _TOLERANCE * len(x), "ftol": 1e-13}
    found = minimize(loss, np.zeros((width + 1) * classes), jac=True, method="L-BFGS-B", options=options)
    both = found.x.reshape(width + 1, classes)
    return right.T @ both[:-1], both[-1]
