"""Risks of domains, and penalties on their differences: VREx, IRM, RDM."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from geomoe.errors import InputError

#: Factors g of the kernels exp(-g (a - b)^2) on losses.
RDM_SCALES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)


def domain_means(values: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Means over the samples of each domain.

    Args:
        values: (B,) one number for each sample.
        members: (B, G) bool, whether a sample belongs to a domain; samples of no domain are left out.

    Returns:
        (G,) means, 0 for domains without samples in the batch; (G,) int64 counts.

    Raises:
        InputError: shapes that do not fit.
    """
    check_members("domain_means", members, values)
    count = members.sum(dim=0)
    return torch.where(members, values[:, None], 0).sum(dim=0) / count.clamp(min=1), count


def mean_where(values: Tensor, present: Tensor) -> Tensor:
    """() mean of the values (G,) where ``present`` (G,) is true; zero, with a gradient, if none is."""
    return torch.where(present, values, 0).sum() / present.sum().clamp(min=1)


def variance_where(values: Tensor, present: Tensor) -> Tensor:
    """() population variance (1/n) of the values (G,) where ``present`` (G,) is true."""
    return mean_where((values - mean_where(values, present)).square(), present)


def irm_slopes(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Derivative of each sample's cross-entropy with respect to a factor w on its logits, at w = 1.

    d/dw CE(w s, t) = sum_c (softmax(s)_c - t_c) s_c, with t the one-hot label, smoothed if requested.

    Args:
        logits: (B, C) s.
        labels: (B,) class ids.
        label_smoothing: 0 to below 1.

    Returns:
        (B,) float32, or float64 for float64 logits.
    """
    logits = precise(logits)
    return ((logits.softmax(dim=1) - targets(logits, labels, label_smoothing)) * logits).sum(dim=1)


def irm_penalty(slopes: Tensor, members: Tensor, estimate: Literal["halves", "pairs"] = "halves") -> Tensor:
    """Unbiased IRMv1 penalty (Arjovsky et al., 2019, eq. 6): the squared slope of each domain's risk.

    "halves" multiplies the mean slopes of two halves of a domain's samples, the first, third, ... and the
    second, fourth, ...; "pairs" is the mean of slope_i slope_j over all i != j, which is the average result
    of random halves. Both can be negative.

    Args:
        slopes: (B,) from :func:`irm_slopes`.
        members: (B, G) bool, whether a sample belongs to a domain.
        estimate: "halves" or "pairs".

    Returns:
        () mean over the domains with at least two samples; zero if there are none.

    Raises:
        InputError: shapes that do not fit.
    """
    check_members("irm_penalty", members, slopes)
    count = members.sum(dim=0)
    if estimate == "pairs":
        added = torch.where(members, slopes[:, None], 0).sum(dim=0)
        squares = torch.where(members, slopes[:, None].square(), 0).sum(dim=0)
        each = (added.square() - squares) / (count * (count - 1)).clamp(min=1)
    else:
        number = (members.cumsum(dim=0) * members).sum(dim=1, keepdim=True)  # within the domain, from 1
        first, second = (domain_means(slopes, members & (number % 2 == k))[0] for k in (1, 0))
        each = first * second
    return mean_where(each, count > 1)


def risk_matching(losses: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Distance between the losses in the worst domain and in all domains (Nguyen et al., WACV 2024).

    The worst domain has the largest mean loss. The distance is the biased squared maximum mean discrepancy
    between the losses of its samples and of all samples (including its own), with the sum of the kernels
    exp(-g (a - b)^2), g in :data:`RDM_SCALES`.

    Args:
        losses: (B,) one for each sample.
        members: (B, G) bool, whether a sample belongs to a domain; samples of no domain are left out.

    Returns:
        () squared discrepancy, and () variance over all samples plus variance in the worst domain (each with
        1/(n - 1)).

    Raises:
        InputError: shapes that do not fit.
    """
    means, count = domain_means(losses, members)
    worst = torch.where(count > 0, means.detach(), -torch.inf).argmax()
    known, mine = members.any(dim=1), members.index_select(1, worst[None]).squeeze(1)
    sides = _shares(mine, losses) - _shares(known, losses)
    square = (losses[:, None] - losses[None, :]).square()
    kernel = sum((torch.exp(-scale * square) for scale in RDM_SCALES), start=torch.zeros_like(square))
    return (sides[:, None] * kernel * sides[None, :]).sum(), _variance(losses, known) + _variance(
        losses, mine
    )


def _shares(chosen: Tensor, like: Tensor) -> Tensor:
    return chosen.to(like.dtype) / chosen.sum().clamp(min=1)


def _variance(values: Tensor, chosen: Tensor) -> Tensor:
    count = chosen.sum()
    return variance_where(values, chosen) * count / (count - 1).clamp(min=1)


def precise(values: Tensor) -> Tensor:
    """Convert values to float32; float64 stays float64."""
    return values if values.dtype == torch.float64 else values.float()


def targets(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """(B, C) targets of the softmax: one-hot labels, smoothed like in torch's cross-entropy."""
    hot = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return hot * (1 - label_smoothing) + label_smoothing / logits.shape[1]


def check_members(name: str, members: Tensor, *tensors: Tensor) -> None:
    """Refuse members that are not (B, G) bool with one row for each row of the tensors.

    Raises:
        InputError: wrong shape or type.
    """
    rows = len(members) if members.ndim == 2 and members.dtype == torch.bool else -1
    if any(tensor.ndim == 0 or len(tensor) != rows for tensor in tensors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        found = f"{shapes} and members {tuple(members.shape)} {members.dtype}"
        raise InputError(
            f"{name}: expected (B, G) bool members, and a row of everything else for each; got {found}"
        )
