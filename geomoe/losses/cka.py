"""Linear CKA between experts: the similarity of two experts' outputs on the same rows.

Both estimators of linear CKA (Kornblith et al., 2019) are computed from small quantities, which saves
memory:

* the overlaps S_ij = ||X_i^T X_j||_F^2 of the column-centred outputs, either from the R x R Gram
  matrices (cheap for few rows) or from one (E*D) x (E*D) product (cheap for many);
* the squared row norms q_i, the diagonals of those Gram matrices.

``biased`` is the MoGE poster's formula, S_ij / sqrt(S_ii S_jj). It is far from zero for independent
features when there are fewer rows than features. ``unbiased`` replaces S by the unbiased HSIC of Song et
al. (2012, eq. 5), which sets the diagonals of K and L to zero (K~ and L~). HSIC does not change when the
columns are centred. Then every row of K sums to zero, the rows of K~ sum to -q, and Song's three terms
are

    tr(K~ L~) = S_ij - q_i.q_j,    1'K~1 1'L~1 = sum(q_i) sum(q_j),    1'K~ L~1 = q_i.q_j,

    R (R - 3) HSIC_ij = S_ij - R / (R - 2) q_i.q_j + sum(q_i) sum(q_j) / ((R - 1) (R - 2)),

which needs no Gram matrix.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from geomoe.errors import InputError

Estimator = Literal["unbiased", "biased"]
Path = Literal["auto", "gram", "features"]

_MIN_ROWS = {"unbiased": 4, "biased": 2}


def linear_cka(x: Tensor, y: Tensor, estimator: Estimator = "unbiased", *, path: Path = "auto") -> Tensor:
    """Linear CKA of two feature tables over the same rows.

    Args:
        x: (R, Dx) features.
        y: (R, Dy) features of the same rows.
        estimator: "unbiased" or "biased".
        path: method of computation; see :func:`pairwise_cka`.

    Returns:
        () value: in [0, 1] if biased, in [-1, 1] with mean 0 for independent features if unbiased.

    Raises:
        InputError: shapes that do not fit, or an unknown estimator or path.
    """
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        msg = f"linear_cka: expected x (R, Dx) and y (R, Dy); got {tuple(x.shape)} and {tuple(y.shape)}"
        raise InputError(msg)
    width = max(x.shape[1], y.shape[1])  # columns of zeros change no overlap
    both = [functional.pad(table, (0, width - table.shape[1])) for table in (x, y)]
    return pairwise_cka(torch.stack(both), estimator, path=path)[0, 1]


def cka_diversity(
    expert_outputs: Tensor, estimator: Estimator = "unbiased", *, path: Path = "auto"
) -> Tensor:
    """Mean linear CKA over the pairs of experts: 2 / (E (E - 1)) sum_{i<j} CKA(H_i, H_j) (poster, ii).

    Args:
        expert_outputs: (E, R, D) every expert's output on the same R rows (tokens).
        estimator: "unbiased" (can be slightly below zero: clamping it would make it biased again) or
            "biased" (the poster's formula).
        path: method of computation; see :func:`pairwise_cka`.

    Returns:
        () float32 (float64 for float64 outputs), also under autocast. Zero with a gradient if there is
        nothing to compare: fewer than 2 experts, or fewer than 4 (unbiased) or 2 (biased) rows.

    Raises:
        InputError: not an (E, R, D) tensor, or an unknown estimator or path.
    """
    cka = pairwise_cka(expert_outputs, estimator, path=path)
    experts = len(cka)
    return cka.triu(diagonal=1).sum() * (2 / max(experts * (experts - 1), 1))


def pairwise_cka(expert_outputs: Tensor, estimator: Estimator = "unbiased", *, path: Path = "auto") -> Tensor:
    """Linear CKA between all pairs of experts.

    An expert whose outputs do not depend on the row (constant up to rounding; for the unbiased
    estimator also if they differ in one row only) has no defined CKA: its row and column are zero.

    Args:
        expert_outputs: (E, R, D) every expert's output on the same R rows.
        estimator: "unbiased" or "biased".
        path: "gram" computes (E, R, R) matrices, "features" an (E*D, E*D) matrix; "auto" takes the cheaper.

    Returns:
        (E, E) symmetric, 1 on the diagonal.

    Raises:
        InputError: not an (E, R, D) tensor, or an unknown estimator or path.
    """
    _check(expert_outputs, estimator, path)
    experts, rows, width = expert_outputs.shape
    x = expert_outputs if expert_outputs.dtype == torch.float64 else expert_outputs.float()
    if rows < _MIN_ROWS[estimator] or width == 0:
        return x.new_zeros(experts, experts) + x.sum() * 0
    if path == "auto":
        path = "gram" if 3 * rows < 2 * experts * width else "features"  # measured crossover
    with torch.autocast(x.device.type, enabled=False):
        x, alive = _standardise(x)
        overlap = _gram_overlap(x) if path == "gram" else _feature_overlap(x)
        size = overlap.diagonal()
        if estimator == "unbiased":
            overlap = _without_bias(overlap, x.square().sum(dim=2), rows)
            alive = alive & ~(overlap.diagonal() <= 100 * _eps(x) * size)
            size = overlap.diagonal()
        scale = torch.where(alive, size, 1.0).rsqrt()
        cka = overlap * scale[:, None] * scale[None, :]
        return torch.where(alive[:, None] & alive[None, :], cka, 0.0)


def _standardise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Centre the columns and scale each expert to a sum of squares of 1; also return which experts vary."""
    before = x.detach().square().sum(dim=(1, 2))
    x = x - x.mean(dim=1, keepdim=True)
    energy = x.detach().square().sum(dim=(1, 2))
    alive = ~(energy <= (8 * _eps(x)) ** 2 * before)  # written so that NaN stays visible
    # CKA does not depend on an expert's scale, so the scale carries no gradient.
    return x * torch.where(alive, energy, 1.0).rsqrt()[:, None, None], alive


def _gram_overlap(x: Tensor) -> Tensor:
    """S (E, E) from the Gram matrices; summed row by row, so that float32 stays accurate."""
    gram = _OuterProduct.apply(x)
    return _OuterProduct.apply(gram.transpose(0, 1)).sum(dim=0)


def _feature_overlap(x: Tensor) -> Tensor:
    """S (E, E) from one product of all experts' features with themselves."""
    experts, rows, width = x.shape
    columns = x.transpose(1, 2).reshape(experts * width, rows)
    product = _OuterProduct.apply(columns)
    return product.square().view(experts, width, experts, width).sum(dim=(1, 3))


def _without_bias(overlap: Tensor, norms: Tensor, rows: int) -> Tensor:
    """R (R - 3) times the unbiased HSIC, (E, E), from S and the squared row norms (E, R)."""
    total = norms.sum(dim=1)
    diagonal = norms @ norms.T * (rows / (rows - 2))
    return overlap - diagonal + total[:, None] * total[None, :] / ((rows - 1) * (rows - 2))


class _OuterProduct(torch.autograd.Function):
    """a @ a^T with a backward pass of one matrix product, where autograd would compute two."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:  # noqa: ANN401 - torch's context has no public type
        ctx.save_for_backward(a)
        return a @ a.mT

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ANN401
        (a,) = ctx.saved_tensors
        return (grad + grad.mT) @ a


def _eps(x: Tensor) -> float:
    return torch.finfo(x.dtype).eps


def _check(expert_outputs: Tensor, estimator: str, path: str) -> None:
    if expert_outputs.ndim != 3:
        msg = f"cka: expected expert outputs (E, R, D); got shape {tuple(expert_outputs.shape)}"
        raise InputError(msg)
    if estimator not in _MIN_ROWS:
        msg = f"cka: estimator must be unbiased or biased; got {estimator!r}"
        raise InputError(msg)
    if path not in {"auto", "gram", "features"}:
        msg = f"cka: path must be auto, gram or features; got {path!r}"
        raise InputError(msg)
