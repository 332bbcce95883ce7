"""Fishr: variances of the classifier's per-sample gradients, and how they differ between domains."""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.losses.pairs import pairs_of_vectors
from geomoe.losses.risks import check_members, precise, targets


def gradient_variances(
    features: Tensor,
    logits: Tensor,
    labels: Tensor,
    members: Tensor,
    label_smoothing: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Variance of per-sample gradients of a linear classifier in each domain (Rame et al., ICML 2022).

    Sample i has the gradient (softmax(s_i) - t_i) z_i^T with respect to the weight and softmax(s_i) - t_i
    with respect to the bias. The variance of each entry, with 1/n, is computed from the first two moments,
    so that the memory is that of G classifiers and not of B.

    Args:
        features: (B, D) z, the classifier's input.
        logits: (B, C) s, the classifier's output.
        labels: (B,) class ids.
        members: (B, G) bool, whether a sample belongs to a domain; samples of no domain are left out.
        label_smoothing: label smoothing of the cross-entropy.
        weights: (B,) factor on each sample's loss; None: all are 1.

    Returns:
        (G, C * D + C) float32 (float64 for float64 features): entries of the weight, then of the bias; zero
        for a domain with fewer than two samples.

    Raises:
        InputError: shapes that do not fit.
    """
    check_members("gradient_variances", members, features, logits, labels)
    with torch.autocast(features.device.type, enabled=False):
        features, logits = precise(features), precise(logits)
        ones = torch.ones_like(features[:, :1])
        given = torch.cat([features, ones], dim=1)  # the bias as the weight of a constant feature 1
        error = logits.softmax(dim=1) - targets(logits, labels, label_smoothing)
        if weights is not None:
            error = error * weights.to(error.dtype)[:, None]
        share = members.to(features.dtype) / members.sum(dim=0).clamp(min=1)
        first = torch.einsum("bg,bc,bd->gcd", share, error, given)
        second = torch.einsum("bg,bc,bd->gcd", share, error.square(), given.square())
        variance = second - first.square()
        return torch.cat([variance[:, :, :-1].flatten(1), variance[:, :, -1]], dim=1)


def fishr_penalty(variances: Tensor, present: Tensor) -> Tensor:
    """Mean over domains and entries of the squared distance to the mean over domains.

    Args:
        variances: (G, K) from :func:`gradient_variances`, or their moving averages.
        present: (G,) bool: the domains to use.

    Returns:
        () penalty; zero with a gradient if fewer than two domains are present.
    """
    count = present.sum()
    # the mean over pairs has the factor 2 / (P - 1), a mean over domains has 1 / P
    apart = pairs_of_vectors(variances, present) * (count - 1) / (2 * count.clamp(min=1))
    return apart / variances.shape[1]
