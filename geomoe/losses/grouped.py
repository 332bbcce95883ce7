"""Maximum mean discrepancy between the domains of a class, for every expert and pair at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from geomoe.errors import InputError
from geomoe.losses.class_pairs import ClassPairs
from geomoe.losses.sinkhorn import centred, check_shapes, spread, squared_distances, with_gradient

BANDWIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)


def grouped_mmd(
    features: Tensor,
    pairs: ClassPairs,
    weights: Tensor,
    *,
    variances: Sequence[float] = BANDWIDTHS,
    scale: Literal["mean", "absolute"] = "mean",
    estimator: Literal["biased", "unbiased"] = "biased",
) -> Tensor:
    """Weighted sum of squared MMD over experts and pairs (MESSI, arXiv 2606.25665, eq. 51 and 52).

        MMD^2(P, Q) = E k(p, p') + E k(q, q') - 2 E k(p, q),   k(x, y) = mean_v exp(-|x - y|^2 / (2 v))

    Each sample pair of the batch has one coefficient for each expert, so the whole sum is the product of a
    (B, B) table of coefficients and a table of kernels. The paper gives the scales 1, 2, 4, 8, 16 without
    saying what they multiply; here it is each expert's mean squared distance between the samples of the
    batch, whatever their class, as a constant without gradient. With fixed scales every kernel is close to 0
    or 1 for features of another magnitude, and a scale from the compared samples alone would shrink as they
    come closer.

    Args:
        features: (E, B, D) every expert's features of the batch.
        pairs: the pairs of the batch.
        weights: (E, G) weight of each pair for each expert; no gradient flows into them.
        variances: v, above 0.
        scale: whether the variances are relative to the mean squared distance, or absolute.
        estimator: "biased": means over all sample pairs, including each sample with itself; "unbiased":
            without these, and pairs with a single sample on one side are left out.

    Returns:
        () float32 (float64 for float64 features), also under autocast; 0 with a gradient if there are no
        pairs.

    Raises:
        InputError: shapes that do not fit, no variances, or variances that are not above 0.
    """
    check_shapes("grouped_mmd", features, pairs, weights)
    if not variances or not all(0 < value < math.inf for value in variances):
        raise InputError(f"grouped_mmd: variances must be above 0, at least one; got {list(variances)}")
    with torch.autocast(features.device.type, enabled=False):
        x = centred(features)
        with torch.no_grad():
            table = _coefficients(pairs, weights.detach().to(x.dtype), estimator)
        return kernel_sum(x, table, variances, relative=scale == "mean")


def kernel_sum(x: Tensor, table: Tensor, variances: Sequence[float], *, relative: bool) -> Tensor:
    """Sum over experts and sample pairs of coefficients times kernels, with the gradient by the features.

    Args:
        x: (E, B, D) centred features, in float32 or better.
        table: (E, B, B) coefficients, without gradient.
        variances: v of the kernels mean_v exp(-|x - y|^2 / (2 v)).
        relative: whether the variances are multiples of each expert's mean squared distance.
    """
    with torch.no_grad():
        distances = squared_distances(x)
        unit = _mean_distance(x) if relative else distances.new_ones(len(x), 1, 1)
        kernels, slopes = torch.zeros_like(distances), torch.zeros_like(distances)
        for variance in variances:
            width = 2 * variance * unit
            kernel = torch.exp(-distances / width)
            kernels += kernel
            slopes -= kernel / width
        value = (table * kernels).sum() / len(variances)
        plan = table * slopes / len(variances)
    return with_gradient(value, x, plan)


def _coefficients(pairs: ClassPairs, weights: Tensor, estimator: str) -> Tensor:
    """(E, B, B) coefficients in the sum of each expert's kernel of two samples."""
    sizes = pairs.sizes.to(weights.dtype)
    if estimator == "unbiased":
        weights = weights * (torch.minimum(sizes[pairs.first], sizes[pairs.second]) > 1)
    across = spread(-2 * weights * pairs.shares.to(weights.dtype), pairs.pair)
    numbers = torch.arange(len(sizes), device=sizes.device)
    touches = (pairs.first[:, None] == numbers) | (pairs.second[:, None] == numbers)
    each = weights @ touches.to(weights.dtype)  # (E, K): sum over all pairs that contain a cell
    others = sizes * sizes if estimator == "biased" else sizes * (sizes - 1).clamp(min=1)
    same = (pairs.cell[:, None] == pairs.cell[None, :]) & (pairs.cell < len(sizes))
    if estimator == "unbiased":
        same = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    cell = torch.where(same, pairs.cell[:, None], len(sizes))
    return across + spread(each / others, cell)


def _mean_distance(x: Tensor) -> Tensor:
    """(E, 1, 1) mean squared distance between different rows of centred features (E, B, D)."""
    mean = 2 * x.square().sum(dim=(1, 2), keepdim=True) / max(x.shape[1] - 1, 1)
    return mean.clamp(min=torch.finfo(mean.dtype).tiny * 1e6)
