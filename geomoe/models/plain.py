"""The baseline network (ERM): a backbone that ignores places."""

from __future__ import annotations

from torch import Tensor, nn

from geomoe.models.network import Ask, Network, refuse_choice
from geomoe.models.networks import check_network, classify, pooled_features
from geomoe.types import ModelOutput, Place


class PlainNetwork(Network):
    """A timm network, a vision transformer or another one, with the interface that all networks share.

    Args:
        backbone: a timm network with its classifier.

    Raises:
        ConfigError: a network without timm's interface, or a vision transformer with its own forward pass.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(check_network(backbone))

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images; places are ignored."""
        refuse_choice(ask.experts, "PlainNetwork")
        features = pooled_features(self.backbone, image)
        return ModelOutput(classify(self.backbone, features), features)
