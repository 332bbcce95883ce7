"""MESSI: a mixture of experts on the pooled features, routed by image content."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomoe.errors import ConfigError
from geomoe.models.network import Ask, Network, refuse_choice
from geomoe.models.networks import check_network, classify, pooled_features, width
from geomoe.moe.stacked import StackedLinear
from geomoe.types import ModelOutput, Place, Routing


class ExpertHead(nn.Module):
    """h(u) = sum_m pi_m(u) h_m(u), h_m = Linear GELU Linear, pi = softmax(Linear) (MESSI, eq. 71 to 73).

    All experts are used for every sample. Their layers and the router have biases: eq. 71 omits them, but the
    parameter counts of the paper's table 23 need them (7.09 M for D = 384, 1.78 M for D = 192).

    Args:
        features: D, width of input and output.
        experts: E.
        expansion: hidden width of an expert divided by D.

    Raises:
        ConfigError: fewer than one expert, or no hidden width.
    """

    def __init__(self, features: int, experts: int = 6, expansion: int = 4) -> None:
        super().__init__()
        for name, value in (("experts", experts), ("expansion", expansion)):
            if value < 1:
                raise ConfigError(f"{name}: expected at least 1; got {value}")
        self.router = nn.Linear(features, experts)
        self.first = StackedLinear(experts, features, expansion * features)
        self.second = StackedLinear(experts, expansion * features, features)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor, Routing]:
        """Features (B, D) to the mixture (B, D), each expert's features (E, B, D), and the routing."""
        logits = self.router(u).float() if u.dtype.itemsize <= 4 else self.router(u)
        shares = logits.softmax(dim=1)
        each = self.second(functional.gelu(self.first(u.expand(len(self.first.weight), *u.shape))))
        mixed = torch.einsum("be,ebd->bd", shares.to(each.dtype), each)
        return mixed, each, Routing(shares, shares, logits)


class ExpertHeadNetwork(Network):
    """A backbone, a head of experts on its pooled features, and the backbone's own classifier on the mixture.

    Image content, not place, selects the experts. No block of the backbone is changed, and no expert can be
    used alone. So :attr:`blocks` and :attr:`num_experts`, which describe experts for places, are those of a
    network without experts. The place is not read, and ``experts="all"`` is the only choice.

    The output's ``features`` are the mixture. With ``cka_tokens`` the output also has the experts' features,
    (E, B, D) with one row for each sample, and the head's routing. Without ``cka_tokens`` it has no routing,
    because ``routings`` describes MoGE blocks.

    Args:
        backbone: a timm network with its classifier; the features of a DeiT are its class token.
        experts: E.
        expansion: hidden width of an expert divided by D.

    Raises:
        ConfigError: a network without timm's interface, or sizes below 1.
    """

    def __init__(self, backbone: nn.Module, experts: int = 6, expansion: int = 4) -> None:
        super().__init__(check_network(backbone))
        self.experts = ExpertHead(width(backbone), experts, expansion)

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        refuse_choice(ask.experts, "ExpertHeadNetwork")
        mixed, each, routing = self.experts(pooled_features(self.backbone, image))
        output = ModelOutput(classify(self.backbone, mixed), mixed)
        if ask.cka_tokens is None:
            return output
        return output._replace(routings=(routing,), expert_outputs=(each,))
