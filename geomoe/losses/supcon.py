"""Supervised contrastive loss of the shared expert: features independent of the learned domain."""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.errors import InputError


def supcon(features: Tensor, labels: Tensor, groups: Tensor, temperature: float = 0.1) -> Tensor:
    """Invariance across the domains that the router discovered (MoGE poster, iii).

    For anchor i, positives P_i are the samples of the same class in another group, negatives N_i
    those of another class in the same group; all others are ignored. Averaged over the anchors that
    have a positive:

        -[ log sum_{p in P_i} e^{<q_i, p> / t} - log sum_{v in P_i + N_i} e^{<q_i, v> / t} ]

    with q the features scaled to unit length. The sum over positives is inside the logarithm, unlike in
    SupCon's usual form (Khosla et al., 2020, L_out); an anchor without negatives contributes zero.

    Args:
        features: (B, D) features of the shared expert; any length, zero vectors included.
        labels: (B,) class ids.
        groups: (B,) learned domains: each sample's top-1 expert.
        temperature: t, above zero.

    Returns:
        () float32 (float64 for float64 features), also under autocast; zero with a gradient if no
        sample has a positive. Memory is O(B^2).

    Raises:
        InputError: shapes that do not fit, or a temperature that is not positive.
    """
    _check(features, labels, groups, temperature)
    features = features if features.dtype == torch.float64 else features.float()
    same_class = labels[:, None] == labels[None, :]
    same_group = groups[:, None] == groups[None, :]
    positive = same_class & ~same_group
    rival = positive | (~same_class & same_group)
    anchor = positive.any(dim=1)
    with torch.autocast(features.device.type, enabled=False):
        unit = _unit_rows(features)
        similarity = unit @ unit.T / temperature
        # Rows of samples that are not anchors keep all their entries: their value is dropped below, and a
        # row of only -inf would give NaN in the backward pass.
        idle = ~anchor[:, None]
        positives = similarity.masked_fill(~(positive | idle), -torch.inf).logsumexp(dim=1)
        rivals = similarity.masked_fill(~(rival | idle), -torch.inf).logsumexp(dim=1)
        return torch.where(anchor, rivals - positives, 0.0).sum() / anchor.sum().clamp(min=1)


def _unit_rows(features: Tensor) -> Tensor:
    """Rows scaled to unit length; a row of zeros stays zero, with a finite gradient."""
    if features.numel() == 0:
        return features
    largest = features.detach().abs().amax(dim=1, keepdim=True)
    scaled = features / torch.where(largest == 0, 1.0, largest)  # so that no square overflows
    square = scaled.square().sum(dim=1, keepdim=True)
    return scaled * torch.where(square == 0, 1.0, square).rsqrt()


def _check(features: Tensor, labels: Tensor, groups: Tensor, temperature: float) -> None:
    rows = features.shape[:1]
    if features.ndim != 2 or labels.shape != rows or groups.shape != rows:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (features, labels, groups))
        msg = f"supcon: expected features (B, D), labels (B,) and groups (B,); got {shapes}"
        raise InputError(msg)
    if not temperature > 0:
        msg = f"supcon: temperature must be above 0; got {temperature}"
        raise InputError(msg)
