"""Load balancing: an even share of the samples for every expert."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from geomoe.types import Routing


def load_balance(routing: Routing) -> Tensor:
    """E * sum_k F_k P_k: 1 if every expert gets the same load, E if one expert gets all of it.

    F_k is the share of the batch's top-k slots that expert k won (a count: no gradient), P_k its
    mean probability under the softmax over all experts (the gradient flows here). This is the form
    of the Switch Transformer (Fedus et al., 2022, eq. 4-6) for top-k routing; the MoGE poster names
    a load-balancing term without giving its formula.

    Args:
        routing: the decision of one router. An expert wins a slot if its gate weight is above zero, so a
            chosen expert whose weight underflows to exactly zero counts as not chosen.

    Returns:
        () float32 (float64 for float64 probabilities); 0 with a gradient for an empty batch.

    Raises:
        InputError: weights and probs are not two (B, E) tensors of the same shape.
    """
    weights, probs = routing.weights, routing.probs
    if probs.ndim != 2 or weights.shape != probs.shape:
        msg = f"load_balance: expected weights and probs of one shape (B, E); got {_shapes(weights, probs)}"
        raise InputError(msg)
    probs = probs if probs.dtype.itemsize > 4 else probs.float()
    won = (weights.detach() > 0).sum(dim=0).to(probs.dtype)
    share = won / won.sum().clamp(min=1)
    mean_prob = probs.sum(dim=0) / max(len(probs), 1)
    return probs.shape[1] * (share * mean_prob).sum()


def _shapes(*tensors: Tensor) -> str:
    return " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
