"""The location baseline (ERM+LE): image features and a location encoding, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.network import Ask, Network, check_rows, refuse_choice
from geomoe.models.networks import check_network, pooled_features, width
from geomoe.types import ModelOutput, Place, as_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geomoe.encoders.base import LocationEncoder


class LocationNetwork(Network):
    """LayerNorm(image features) ++ LayerNorm(location embedding), then one linear classifier.

    Args:
        backbone: a timm network, a vision transformer or another one; its classifier is removed.
        encoder: the location encoder phi.
        num_classes: C; default: that of the backbone's classifier.

    Raises:
        ConfigError: a network without timm's interface, a vision transformer with its own forward pass, or
            no classes.
    """

    def __init__(self, backbone: nn.Module, encoder: LocationEncoder, num_classes: int | None = None) -> None:
        network = check_network(backbone)
        classes = int(network.num_classes) if num_classes is None else num_classes  # type: ignore[arg-type]
        if classes < 1:
            raise ConfigError(f"num_classes: expected at least 1; got {classes}")
        network.reset_classifier(0)  # type: ignore[operator]
        super().__init__(network, encoder)
        self.norm_image = nn.LayerNorm(width(network))
        self.norm_location = nn.LayerNorm(encoder.out_dim)
        self.head = nn.Linear(width(network) + encoder.out_dim, classes)

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images by content and place; the returned features are those of the image alone."""
        refuse_choice(ask.experts, "LocationNetwork")
        place = as_place(place)
        check_rows(image, place)
        embedding = self.embed_places(place)
        return self._at(pooled_features(self.backbone, image), embedding)

    def forward_places(self, image: Tensor, places: Sequence[Place]) -> list[ModelOutput]:
        """Classify the same images at several places each; the backbone runs once."""
        for place in places:
            check_rows(image, place)
        embeddings = [self.embed_places(place) for place in places]
        features = pooled_features(self.backbone, image)
        return [self._at(features, embedding) for embedding in embeddings]

    def _at(self, features: Tensor, embedding: Tensor) -> ModelOutput:
        """Classify image features (B, D) with the location embedding (B, L)."""
        both = torch.cat([self.norm_image(features), self.norm_location(embedding)], dim=1)
        return ModelOutput(self.head(both), features)


def place_head(embedding: int, classes: int) -> nn.Sequential:
    """Scores (B, classes) of places alone from their embeddings (B, embedding); zero at first."""
    linear = nn.Linear(embedding, classes, bias=False)  # the classifier has a bias already
    nn.init.zeros_(linear.weight)
    return nn.Sequential(nn.LayerNorm(embedding), linear)
