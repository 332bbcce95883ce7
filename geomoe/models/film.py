"""Features scaled and shifted by what is known of a sample's domain (domain conditional predictors)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.network import Ask, Network, check_rows, refuse_choice
from geomoe.models.networks import check_network, classify, pooled_features, width
from geomoe.models.sources import SourceDomains
from geomoe.types import ModelOutput, Place, as_place

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder


class FiLM(nn.Module):
    """x -> mul(z) * x + add(z) (Perez et al., AAAI 2018), mul and add each Linear ReLU Linear.

    The last bias of mul starts at 1 and that of add at 0, so that the features of a pretrained backbone are
    nearly unchanged at first.

    Args:
        features: width of x; the hidden layers have half of it.
        context: width of z.
    """

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        hidden = max(1, features // 2)
        scale, shift = nn.Linear(hidden, features), nn.Linear(hidden, features)
        nn.init.ones_(scale.bias)
        nn.init.zeros_(shift.bias)
        self.mul = nn.Sequential(nn.Linear(context, hidden), nn.ReLU(), scale)
        self.add = nn.Sequential(nn.Linear(context, hidden), nn.ReLU(), shift)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """(B, D) features and (B, Z) context to (B, D)."""
        return self.mul(z) * x + self.add(z)


class ConditionedNetwork(Network):
    """A backbone whose pooled features are modulated by a context, and a prediction of the domain from it.

    The context is the embedding of the place, or the pooled features of a second backbone.

    Args:
        backbone: a timm network with its classifier, which classifies the modulated features.
        domains: ids of the G training domains.
        encoder: the location encoder; its learned vector stands for an unknown place.
        context: a second timm network, used instead of the encoder; its classifier is removed.

    Raises:
        ConfigError: a network without timm's interface; both an encoder and a second network, or neither.
    """

    def __init__(
        self,
        backbone: nn.Module,
        domains: Sequence[int],
        *,
        encoder: LocationEncoder | None = None,
        context: nn.Module | None = None,
    ) -> None:
        if (encoder is None) == (context is None):
            raise ConfigError("context: expected either an encoder or a second network")
        super().__init__(check_network(backbone), encoder)
        self.context = context
        if context is not None:
            check_network(context).reset_classifier(0)  # type: ignore[operator]
        wide = width(context) if context is not None else encoder.out_dim  # type: ignore[union-attr]
        self.sources = SourceDomains(domains)
        self.film = FiLM(width(backbone), wide)
        self.domain = nn.Linear(wide, len(self.sources))

    @property
    def backbones(self) -> tuple[nn.Module, ...]:
        """The backbone, and the network of the context if there is one."""
        return (self.backbone,) if self.context is None else (self.backbone, self.context)

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images; ``features`` are modulated, ``domain_scores`` are logits of the domains."""
        refuse_choice(ask.experts, "ConditionedNetwork")
        place = as_place(place)
        check_rows(image, place)
        z = self.embed_places(place) if self.context is None else pooled_features(self.context, image)
        features = self.film(pooled_features(self.backbone, image), z)
        return ModelOutput(classify(self.backbone, features), features, domain_scores=self.domain(z))
