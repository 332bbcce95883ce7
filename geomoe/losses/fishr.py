"""Fishr: variances of the classifier's per-sample gradients, and how they differ between domains."""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.losses.pairs import pairs_of_vectors
from geomoe.losses.risks import check_members, precise, targets


def gradient_variances(
    features: Tensor, logits: Tensor, labels: Tensor, members: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Variance within each domain of the samples' gradients by a linear classifier (Rame et al., ICML 2022).

    Sample i has the gradient (softmax(s_i) - t_i) z_i^T by the weight and softmax(s_i) - t_i
    by the bias. Its variance, entry by entry and with 1/n, is formed from the first two moments: memory is
    that of G classifiers, not of B.

    Args:
        features: (B, D) z, what the classifier was given.
        logits: (B, C) s, what it answered.
        labels: (B,) class ids.
        members: (B, G) bool, which sample is of which domain; samples of none are left out.
        label_smoothing: of the cross-entropy.

    Returns:
        (G, C * D + C) float32 (float64 for float64 features): entries of the weight, then of the bias; zero
        for a domain with one sample or none.

    Raises:
        InputError: shapes that do not fit.
    """
    check_members("gradient_variances", members, features, logits, labels)
    with torch.autocast(features.device.type, enabled=False):
        features, logits = precise(features), precise(logits)
        ones = torch.ones_like(features[:, :1])
        given = torch.cat([features, ones], dim=1)  # the bias is a weight on 1
        error = logits.softmax(dim=1) - targets(logits, labels, label_smoothing)
        share = members.to(features.dtype) / members.sum(dim=0).clamp(min=1)
        first = torch.einsum("bg,bc,bd->gcd", share, error, given)
        second = torch.einsum("bg,bc,bd->gcd", share, error.square(), given.square())
        variance = second - first.square()
        return torch.cat([variance[:, :, :-1].flatten(1), variance[:, :, -1]], dim=1)


def fishr_penalty(variances: Tensor, present: Tensor) -> Tensor:
    """Mean over domains and entries of the squared distance to the mean over domains.

    Args:
        variances: (G, K) of :func:`gradient_variances`, or their moving averages.
        present: (G,) bool: which domains count.

    Returns:
        () zero with a gradient where fewer than two are present.
    """
    count = present.sum()
    # the mean over pairs has 2 / (P - 1) where a mean over domains has 1 / P
    apart = pairs_of_vectors(variances, present) * (count - 1) / (2 * count.clamp(min=1))
    return apart / variances.shape[1]
