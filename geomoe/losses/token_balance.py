"""Balance of experts that are chosen token by token, and DynMoE's term on its codebook."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geomoe.errors import InputError

_EPS = 1e-10  # added to a squared mean, as in Tutel


def squared_variation(load: Tensor) -> Tensor:
    """Squared coefficient of variation of the experts' loads (E,): var / mean^2, var with 1 / (E - 1).

    The balance of Shazeer et al. (ICLR 2017, eq. 7 and 11), as Tutel computes it. 0 if the load is even.

    Returns:
        () float32 or better; 0 with a gradient for one expert.

    Raises:
        InputError: not a vector.
    """
    if load.ndim != 1:
        raise InputError(f"squared_variation: expected loads (E,); got {tuple(load.shape)}")
    load = load if load.dtype.itemsize > 4 else load.float()
    if len(load) < 2:
        return load.sum() * 0
    return load.var() / (load.mean().square() + _EPS)


def smooth_load(scores: Tensor, threshold: Tensor, std: float) -> Tensor:
    """Expected number of tokens of each expert, if noise decides which scores reach their threshold.

    Args:
        scores: (T, E) scores without noise.
        threshold: (T,) what a score has to reach for the expert to be chosen.
        std: standard deviation of the noise, above 0.

    Returns:
        (E,) float32 or better.

    Raises:
        InputError: shapes that do not fit, or a standard deviation that is not above 0.
    """
    if scores.ndim != 2 or threshold.shape != scores.shape[:1] or not 0 < std < math.inf:
        got = f"{tuple(scores.shape)}, {tuple(threshold.shape)}, {std}"
        raise InputError(f"smooth_load: expected scores (T, E), threshold (T,) and std above 0; got {got}")
    scores = scores if scores.dtype.itemsize > 4 else scores.float()
    return torch.special.ndtr((scores - threshold[:, None]) / std).sum(dim=0)


def codebook_spread(codebook: Tensor, alive: Tensor) -> Tensor:
    """How far the codes of the live experts are from orthogonal, plus their mean length (DynMoE, eq. 9).

    |S - I| (Frobenius) with the cosines S of the codes, plus mean |e_k|.

    Args:
        codebook: (E, D).
        alive: (E,) bool; other rows do not count.

    Returns:
        () float32 or better.

    Raises:
        InputError: shapes that do not fit.
    """
    if codebook.ndim != 2 or alive.shape != codebook.shape[:1]:
        got = f"{tuple(codebook.shape)} and {tuple(alive.shape)}"
        raise InputError(f"codebook_spread: expected codebook (E, D) and alive (E,); got {got}")
    with torch.autocast(codebook.device.type, enabled=False):
        codes = codebook if codebook.dtype.itemsize > 4 else codebook.float()
        unit = torch.nn.functional.normalize(codes, dim=1)
        both = alive[:, None] & alive[None, :]
        apart = torch.where(both, unit @ unit.T - torch.eye(len(codes), device=codes.device), 0)
        lengths = torch.where(alive, torch.linalg.vector_norm(codes, dim=1), 0)
        return torch.linalg.vector_norm(apart) + lengths.sum() / alive.sum().clamp(min=1)
