"""The location baseline (ERM+LE): image features and a location encoding, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.networks import check_network, pooled_features, width
from geomoe.models.plain import refuse_choice
from geomoe.types import Experts, ModelOutput

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder


class LocationViT(nn.Module):
    """LayerNorm(image features) ++ LayerNorm(location embedding), then one linear classifier.

    Args:
        backbone: a timm network, a vision transformer or another one; its own classifier is taken off.
        encoder: the location encoder phi.
        num_classes: C; default: as many as the backbone's classifier has.

    Raises:
        ConfigError: a network without timm's interface, a vision transformer with a pass of its own, or no
            classes.
    """

    def __init__(self, backbone: nn.Module, encoder: LocationEncoder, num_classes: int | None = None) -> None:
        super().__init__()
        network = check_network(backbone)
        classes = int(network.num_classes) if num_classes is None else num_classes  # type: ignore[arg-type]
        if classes < 1:
            raise ConfigError(f"num_classes: expected at least 1; got {classes}")
        network.reset_classifier(0)  # type: ignore[operator]
        self.backbone, self.encoder = network, encoder
        self.norm_image = nn.LayerNorm(width(network))
        self.norm_location = nn.LayerNorm(encoder.out_dim)
        self.head = nn.Linear(width(network) + encoder.out_dim, classes)

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
        """Classify images by what they show and where they are.

        Args:
            image: (B, bands, H, W).
            lonlat: (B, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown.
            has_location: (B,) bool; default: where lonlat is not NaN.
            domain: (B,) domain ids, for encoders that use them.
            location_features: (B, F) fixed features computed before; then lonlat is not encoded again.
            experts: "all"; there are none to choose from.
            cka_tokens: not used.

        Returns:
            Class scores, and the image features without the location.

        Raises:
            ConfigError: neither lonlat nor location_features, or a choice of experts.
            InputError: images of another size or number of bands.
        """
        refuse_choice(experts, "LocationViT")
        place = embed_places(self.encoder, lonlat, has_location, domain, location_features)
        features = pooled_features(self.backbone, image)
        both = torch.cat([self.norm_image(features), self.norm_location(place)], dim=1)
        return ModelOutput(self.head(both), features)


def embed_places(
    encoder: LocationEncoder,
    lonlat: Tensor | None,
    has_location: Tensor | None,
    domain: Tensor | None,
    location_features: Tensor | None,
) -> Tensor:
    """Location embeddings (B, L), from fixed features where they are at hand.

    Raises:
        ConfigError: neither lonlat nor location_features.
    """
    if location_features is not None:
        if lonlat is not None:  # a row that is NaN is never known, as in the encoder's own forward
            known = ~lonlat.isnan().any(dim=1)
            has_location = known if has_location is None else has_location & known
        return encoder.embed(location_features, has_location)
    if lonlat is None:
        raise ConfigError("lonlat: this network needs places; give lon, lat degrees, NaN, NaN where unknown")
    return encoder(lonlat, has_location, domain)
