"""Base class of methods that balance the loads of experts for tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from geomoe.algorithms.contract import Answer, Method, Now
from geomoe.types import Batch, TokenRouting


class BalancedTokens(Method):
    """Cross-entropy + aux * the sum over the blocks with experts of a term on their loads.

    The options include ``aux``. With several processes the loads are those of the tokens of all of them.
    """

    def balance(self, routing: TokenRouting) -> Tensor:
        """() the term of one block, implemented by a method: 0 for even loads."""
        raise NotImplementedError

    def losses(self, batch: Batch, now: Now) -> Answer:
        """Cross-entropy and balance."""
        output = self.ask(batch)
        terms = {"task": self.cross_entropy(output.logits, batch.label)}
        if self.options.aux:
            each = torch.stack([self.balance(routing) for routing in output.token_routings])
            terms["aux"] = self.options.aux * each.sum()
        return Answer(output, terms)
