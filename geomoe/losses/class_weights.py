"""Weights of classes, from how many samples each has."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geomoe.errors import InputError


def class_weights(samples: Sequence[int], beta: float = 1.0) -> tuple[float, ...]:
    """Weights in inverse proportion to the effective numbers of samples (Cui et al., CVPR 2019, eq. 2).

    A class of n samples has the effective number (1 - beta^n) / (1 - beta); with beta = 1 that is n (its
    limit), and weights are balanced; with beta = 0 it is 1, and all weights are equal.

    The weights are scaled so that their mean over the samples is 1: then the loss keeps its scale, and with
    beta = 1 every class has the same share of it. (Cui et al. scale them so that their sum is the number of
    classes.)

    Args:
        samples: n of each class, in the order of the classes.
        beta: 0 to 1.

    Returns:
        A weight for each class; 0 for one without samples.

    Raises:
        InputError: no samples, a negative number of them, or a beta outside [0, 1].
    """
    if not 0 <= beta <= 1:
        raise InputError(f"beta: expected 0 to 1; got {beta}")
    if min(samples, default=0) < 0 or sum(samples) == 0:
        raise InputError(f"samples: expected numbers of samples, one above 0; got {list(samples)}")
    raw = [1 / _effective(n, beta) if n else 0.0 for n in samples]
    scale = sum(samples) / sum(n * weight for n, weight in zip(samples, raw, strict=True))
    return tuple(scale * weight for weight in raw)


def _effective(n: int, beta: float) -> float:
    if beta in (0, 1):
        return float(n) if beta else 1.0
    return -math.expm1(n * math.log(beta)) / (1 - beta)  # exact where beta^n is close to 1
