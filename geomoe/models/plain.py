"""The baseline network (ERM): a backbone that ignores places."""

from __future__ import annotations

from torch import Tensor, nn

from geomoe.models.network import Network, refuse_choice
from geomoe.models.networks import check_network, classify, pooled_features
from geomoe.types import BlockExperts, ModelOutput, Place


class PlainNetwork(Network):
    """A timm network, a vision transformer or another one, behind the signature that all networks share.

    Args:
        backbone: a timm network with its classifier.

    Raises:
        ConfigError: a network without timm's interface, or a vision transformer with a pass of its own.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(check_network(backbone))

    def forward(
        self,
        image: Tensor,
        place: Place | Tensor | None = None,
        *,
        experts: BlockExperts = "all",
        cka_tokens: int | None = None,
        shared_features: bool | None = None,
    ) -> ModelOutput:
        """Classify images (B, bands, H, W); everything else is there for the common signature.

        Raises:
            ConfigError: experts other than "all", since there are none to choose from.
            InputError: images of another size or number of bands.
        """
        refuse_choice(experts, "PlainNetwork")
        features = pooled_features(self.backbone, image)
        return ModelOutput(classify(self.backbone, features), features)
