"""The baseline network (ERM): a backbone that ignores places."""

from __future__ import annotations

from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.networks import check_network, classify, pooled_features
from geomoe.types import Experts, ModelOutput


class PlainViT(nn.Module):
    """A timm network, a vision transformer or another one, behind the signature that all networks share.

    Args:
        backbone: a timm network with its classifier.

    Raises:
        ConfigError: a network without timm's interface, or a vision transformer with a pass of its own.
    """

    encoder = None

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = check_network(backbone)

    def forward(
        self,
        image: Tensor,
        lonlat: Tensor | None = None,
        has_location: Tensor | None = None,
        domain: Tensor | None = None,
        *,
        location_features: Tensor | None = None,
        experts: Experts = "all",
        cka_tokens: int | None = None,
    ) -> ModelOutput:
        """Classify images (B, bands, H, W); everything else is there for the common signature.

        Raises:
            ConfigError: experts other than "all", since there are none to choose from.
            InputError: images of another size or number of bands.
        """
        refuse_choice(experts, "PlainViT")
        features = pooled_features(self.backbone, image)
        return ModelOutput(classify(self.backbone, features), features)


def refuse_choice(experts: Experts, network: str) -> None:
    """Refuse a choice of experts in a network that has none.

    Raises:
        ConfigError: experts other than "all".
    """
    if experts != "all":
        raise ConfigError(
            f"experts: {network} has no experts to choose from; leave it at all; got {experts!r}"
        )
