"""GMoE: experts for tokens in some blocks of a vision transformer, and a term that balances their loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.algorithms.experts.token_balance import BalancedTokens
from geomoe.losses import smooth_load, squared_variation
from geomoe.support.options import option
from geomoe.support.ranks import summed
from geomoe.types import Batch, TokenRouting


class GMoE(BalancedTokens):
    """Generalizable mixture of experts (Li et al., ICLR 2023), as in the authors' code on Tutel.

    L = cross-entropy + aux * sum over blocks of (CV^2(importance) + CV^2(load)) / 2. The importance of an
    expert is the sum of its softmax shares over the batch's tokens, without noise; its load the expected
    number of tokens that would choose it under the noise, so that both have a gradient. CV^2 is the squared
    coefficient of variation over the experts.

    The authors' code compares the softmax shares, not the scores, with the noisy score of the k-th choice.
    ``load: code`` does the same.

    With several processes importance, load and capacity are those of the tokens of all of them.

    Raises:
        ConfigError: an option out of its range.
    """

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The router, and the balance."""

        aux: float = option(0.01, "weight of the balance of each block", at_least=0)
        top_k: int = option(1, "experts of a token", at_least=1)
        capacity: float = option(
            1.5, "limit on an expert's tokens in training, relative to an even load; 0: no limit", at_least=0
        )
        noise: float = option(1.0, "noise on scores in training; deviation: noise / experts", above=0)
        projection: int = option(256, "width to which tokens are projected to compare them", at_least=1)
        dropout: float = option(0.1, "dropout in the experts", at_least=0, below=1)
        load: Literal["scores", "code"] = option(
            "scores", "what is compared with the k-th noisy score: scores, or shares as in the authors' code"
        )

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Cross-entropy and balance; notes the share of tokens that an expert had room for."""
        answer = super().losses(batch, now)
        chosen = torch.cat([routing.chosen for routing in answer.output.token_routings])
        return answer._replace(notes={"served": chosen.any(dim=1).float().mean()})

    def balance(self, routing: TokenRouting) -> Tensor:
        """() half the squared variations of importance and load."""
        options, experts = self.options, routing.scores.shape[1]
        shares = routing.scores.softmax(dim=1)
        last = routing.noisy.topk(options.top_k, dim=1).values[:, -1]
        compared = shares if options.load == "code" else routing.scores
        load = smooth_load(compared, last, options.noise / experts)
        return (squared_variation(summed(shares.sum(dim=0))) + squared_variation(summed(load))) / 2
