"""A score as a function of the number of source domains (MESSI, arXiv 2606.25665, D.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from geomoe.errors import InputError
from geomoe.metrics.arrays import Values, as_array


class Growth(NamedTuple):
    """A curve over the number of source domains, and its summary; accuracies are in the unit of the input.

    Attributes:
        domains: K_s, ascending.
        mean: accuracy for each, over subsets of domains and training seeds.
        std: sample standard deviation (n - 1) over the same; NaN for a single run.
        runs: number of runs for each.
        peak: the largest mean.
        peak_domains: K_s of the peak; the first if tied.
        last: Acc(K_max), the mean at the largest K_s.
        drop: peak - last, not negative.
        relative_drop: drop / peak, a share; NaN if the peak is 0.
        average: mean over K_s of the means, so that each K_s has the same weight.
    """

    domains: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    runs: tuple[int, ...]
    peak: float
    peak_domains: int
    last: float
    drop: float
    relative_drop: float
    average: float


def domain_growth(accuracies: Mapping[int, Values]) -> Growth:
    """Summarise target accuracies by the number of source domains at a fixed budget.

    Instead of accuracy, any score can be used that is 0 or more and better if higher, such as macro F1.

    Args:
        accuracies: K_s -> (n,) target accuracy of each run (subset of domains x training seed), 0 or more;
            shares or percent.

    Raises:
        InputError: no accuracies, a number of domains below 1 or without runs, or accuracies that are
            negative or not finite.
    """
    if not accuracies:
        raise InputError("accuracies: empty, there is nothing to measure")
    domains = tuple(sorted(accuracies))
    if domains[0] < 1:
        raise InputError(f"accuracies: numbers of domains start at 1; got {domains[0]}")
    runs = [_runs(count, accuracies[count]) for count in domains]
    mean = [float(values.mean()) for values in runs]
    std = [float(values.std(ddof=1)) if len(values) > 1 else float("nan") for values in runs]
    best = int(np.argmax(mean))
    drop = mean[best] - mean[-1]
    return Growth(
        domains=domains,
        mean=tuple(mean),
        std=tuple(std),
        runs=tuple(map(len, runs)),
        peak=mean[best],
        peak_domains=domains[best],
        last=mean[-1],
        drop=drop,
        relative_drop=drop / mean[best] if mean[best] else float("nan"),
        average=float(np.mean(mean)),
    )


def _runs(count: int, values: Values) -> np.ndarray:
    array = as_array(values, f"accuracies[{count}]").astype(np.float64)
    if not len(array) or not (np.isfinite(array) & (array >= 0)).all():
        found = array.tolist()
        raise InputError(f"accuracies[{count}]: expected one or more finite numbers from 0; got {found}")
    return array
