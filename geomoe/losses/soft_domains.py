"""MMD between soft domains of a class: every sample belongs to every domain with a weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from geomoe.errors import InputError
from geomoe.losses.grouped import BANDWIDTHS, kernel_sum
from geomoe.losses.sinkhorn import centred


def soft_mmd(
    features: Tensor,
    label: Tensor,
    domains: Tensor,
    mass: Tensor,
    alpha: float = 4.0,
    *,
    variances: Sequence[float] = BANDWIDTHS,
) -> Tensor:
    """MESSI's alignment (arXiv 2606.25665, eq. 6, 48, 51 and 52) with soft domains instead of known ones.

        sum_m sum_c sum_(i < j) a_ijc^m MMD^2(P_ic^m, P_jc^m)

    P_ic^m is the distribution of expert m's features of the samples of class c, in which sample x has the
    weight p_i(x) / sum of p_i over the class. a_ijc^m = sigmoid(alpha rho_ic^m) sigmoid(alpha rho_jc^m), with
    rho_ic^m the mean of expert m's routing mass under the same weights. Pairs of which one side has no weight
    are left out. With weights of 0 and 1 this is :func:`geomoe.losses.grouped_mmd` with MESSI's weights.

    No gradient flows into the weights or the masses; otherwise a router could lower the loss by making its
    domains alike.

    Args:
        features: (M, B, D) every expert's features of the batch.
        label: (B,) class ids, from 0.
        domains: (B, G) weight of each sample in each soft domain, 0 or more.
        mass: (B, M) routing mass of each expert.
        alpha: sharpness of the pairs' weights.
        variances: v of the kernels, relative to each expert's mean squared distance in the batch.

    Returns:
        () float32 (float64 for float64 features), also under autocast; 0 with a gradient if there are no
        pairs.

    Raises:
        InputError: shapes that do not fit.
    """
    rows = features.shape[1] if features.ndim == 3 else -1
    fits = label.shape == (rows,) and domains.ndim == mass.ndim == 2 and len(domains) == rows
    if not (fits and tuple(mass.shape) == (rows, len(features))):
        got = ", ".join(str(tuple(value.shape)) for value in (features, label, domains, mass))
        wanted = "features (M, B, D), label (B,), domains (B, G) and mass (B, M)"
        raise InputError(f"soft_mmd: expected {wanted}; got {got}")
    with torch.autocast(features.device.type, enabled=False):
        x = centred(features)
        with torch.no_grad():
            table = _coefficients(label, domains.to(x.dtype), mass.to(x.dtype), alpha)
        return kernel_sum(x, table, variances, relative=True)


def _coefficients(label: Tensor, domains: Tensor, mass: Tensor, alpha: float) -> Tensor:
    """(M, B, B) coefficients of the kernels of two samples, for each expert.

    With w_i the weights of a domain within a class, sum_(i < j) a_ij (w_i - w_j)(w_i - w_j)^T is W L W^T with
    the Laplacian L of a. Sums over a class stand in each of its samples' rows, so nothing is looped over.
    """
    same = (label[:, None] == label[None, :]).to(domains.dtype)
    whole = same @ domains  # (B, G) weight of each domain in the sample's class
    share = torch.where(whole > 0, domains / whole.clamp(min=torch.finfo(whole.dtype).tiny), 0)
    rho = torch.einsum("xy,yg,ym->mxg", same, share, mass)
    sharp = torch.where(whole > 0, torch.sigmoid(alpha * rho), 0)  # (M, B, G)
    # a row of share times L = diag(s_i sum_j s_j) - s s^T
    left = share * sharp * sharp.sum(dim=2, keepdim=True) - sharp * (sharp * share).sum(dim=2, keepdim=True)
    return (left @ share.T) * same
