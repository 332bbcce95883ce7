"""Regularisers that keep experts different: confident routing, even loads, dissimilar features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from geomoe.errors import InputError

Form = Literal["cosine", "printed", "raw"]


def routing_entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the softmax of router scores (B, E), in nats (MESSI, arXiv 2606.25665, eq. 8, L_sp).

    Returns:
        () float32 or better, 0 to ln E; 0 with a gradient for an empty batch.
    """
    logs = torch.log_softmax(_precise(logits), dim=1)
    return -(logs.exp() * logs).sum() / max(len(logits), 1)


def load_gap(load: Tensor) -> Tensor:
    """Squared distance of the experts' mean routing mass (E,) from 1 / E (MESSI, eq. 8, L_bal).

    Returns:
        () float32 or better.
    """
    return (_precise(load) - 1 / len(load)).square().sum()


def expert_likeness(features: Tensor, form: Form = "cosine") -> Tensor:
    """Similarity of the experts' features, over all ordered pairs of different experts.

    "printed" is eq. 7 of MESSI: sum ||H_m^T H_n / B||^2 (Frobenius) with each H_m divided by its own norm. It
    is at most E (E - 1) / B^2, so it has almost no effect at the paper's weight of 0.02. "raw" is the same
    without the normalisation, as in the authors' code. "cosine" is what the paper describes in words and
    reports as a result: the mean over samples and pairs of the squared cosine of two experts' features.
    (Equation 7 is a different measure: it correlates features over the batch, and is 0 if no feature of one
    expert correlates with a feature of the other.)

    Args:
        features: (E, B, D).
        form: which of the three.

    Returns:
        () float32 (float64 for float64 features), also under autocast; 0 with a gradient if there is
        nothing to compare.

    Raises:
        InputError: wrong shape, or unknown form.
    """
    if features.ndim != 3 or form not in ("cosine", "printed", "raw"):
        wanted = "(E, B, D) and cosine, printed or raw"
        msg = f"expert_likeness: expected {wanted}; got {tuple(features.shape)} and {form}"
        raise InputError(msg)
    x = _precise(features)
    experts, rows, _ = x.shape
    if experts < 2 or rows == 0:
        return x.sum() * 0
    with torch.autocast(x.device.type, enabled=False):
        if form == "cosine":
            unit = functional.normalize(x, dim=2).transpose(0, 1)
            found = (unit @ unit.mT).square().mean(dim=0)
            return _off_diagonal(found) / (experts * (experts - 1))
        if form == "printed":
            x = x / (x.flatten(1).norm(dim=1) + torch.finfo(x.dtype).eps)[:, None, None]
        gram = (x @ x.mT).flatten(1)  # ||H_m^T H_n||^2 = <H_m H_m^T, H_n H_n^T>
        return _off_diagonal(gram @ gram.T) / rows**2


def _off_diagonal(table: Tensor) -> Tensor:
    return table.sum() - table.diagonal().sum()


def _precise(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
