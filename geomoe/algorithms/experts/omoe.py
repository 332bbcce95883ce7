"""OMoE: the outputs of a token's experts are made orthogonal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from geomoe.algorithms.contract import Method
from geomoe.algorithms.experts.token_balance import BalancedTokens
from geomoe.losses import squared_variation
from geomoe.support.options import option
from geomoe.support.ranks import summed
from geomoe.types import TokenRouting


class OMoE(BalancedTokens):
    """Orthogonal mixture of experts (Feng et al., arXiv 2501.10062), with the router of GMoE.

    L = cross-entropy + aux * sum over blocks of CV^2(importance), the importance of an expert being the sum
    of its gate weights over the batch's tokens. The network makes the outputs of a token's experts orthogonal
    by Gram-Schmidt, as MOORE does (Hendawy et al., ICLR 2024); see :class:`geomoe.moe.OrthogonalMoELayer`.
    The authors' code is not public; MESSI (arXiv 2606.25665, C.4) describes such a port as its baseline.

    With several processes the importance is that of the tokens of all of them.

    Raises:
        ConfigError: an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The router, the balance, and the length of the orthogonal outputs."""

        aux: float = option(0.01, "weight of the balance of each block", at_least=0)
        top_k: int = option(2, "experts of a token", at_least=2)
        noise: float = option(
            1.0, "noise on scores in training; its deviation is noise / experts", at_least=0
        )
        projection: int = option(256, "width to which tokens are projected to compare them", at_least=1)
        dropout: float = option(0.1, "dropout in the experts", at_least=0, below=1)
        length: Literal["own", "unit"] = option(
            "own", "length of an orthogonal output: that of the expert's output, or 1 as in MOORE"
        )

    def balance(self, routing: TokenRouting) -> Tensor:
        """() the squared variation of the experts' gate weights."""
        return squared_variation(summed(routing.weights.sum(dim=0)))
