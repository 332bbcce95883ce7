"""A backbone with one classifier for each training domain, mixed by relations (D3G)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from geomoe.encoders.base import LocationEncoder
from geomoe.errors import ConfigError
from geomoe.models.messi import StackedLinear
from geomoe.models.network import Ask, Network, check_rows, need_place, refuse_choice
from geomoe.models.networks import check_network, pooled_features, width
from geomoe.models.relations import GroupRelation, PlaceRelation, mix, relation_mlp
from geomoe.models.sources import SourceDomains
from geomoe.types import ModelOutput, Place

if TYPE_CHECKING:
    from collections.abc import Callable

RELATION_WIDTH = 256  # of the vectors that wilds-geoshift compares


class RelatedHeads(Network):
    """One head for each domain; a sample's class scores are the heads' average, weighted by its relations.

    A sample that is related to no domain gets the unweighted average of the heads.

    Args:
        backbone: a timm network; its classifier is removed.
        encoder: the location encoder; an unknown place is related to no domain, so its learned vector is not
            used.
        relation: a module called with the places, the encoder and the domains; returns relations (B, G).
        domains: ids of the G training domains.
        num_classes: C.

    Raises:
        ConfigError: a network without timm's interface, or an encoder that reads domain ids.
    """

    def __init__(
        self,
        backbone: nn.Module,
        encoder: LocationEncoder,
        relation: nn.Module,
        domains: Sequence[int],
        num_classes: int,
    ) -> None:
        if encoder.trained is not None:
            raise ConfigError(
                "encoder: heads of domains are mixed by relations of places, and this encoder reads domain "
                "ids; use another one, such as sh"
            )
        network = check_network(backbone)
        network.reset_classifier(0)  # type: ignore[operator]
        super().__init__(network, encoder)
        encoder.unknown.requires_grad_(False)
        self.relation = relation
        self.sources = SourceDomains(domains)
        self.head = StackedLinear(len(self.sources), width(network), num_classes)

    def asks_place(self, place: Place) -> Tensor:
        """Not where the mean place of its domain describes a sample (``query: domain``)."""
        asked = super().asks_place(place)
        if getattr(self.relation, "query", "place") != "domain":
            return asked
        return asked & ~(self.sources.own(place.domain) & self.sources.placed).any(dim=1)

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images; ``head_logits`` and ``domain_scores`` are the heads' answers and the relations."""
        refuse_choice(ask.experts, "RelatedHeads")
        known = need_place(place)
        check_rows(image, known)
        features = pooled_features(self.backbone, image)
        each = self.head(features.expand(len(self.sources), *features.shape)).transpose(0, 1)
        relations = self.relation(known, self.encoder, self.sources)
        logits = mix(each, relations, self.sources.trained.expand_as(relations))
        return ModelOutput(logits, features, head_logits=each, domain_scores=relations)


def place_heads(
    backbone: nn.Module,
    encoder: LocationEncoder,
    domains: Sequence[int],
    num_classes: int,
    options: Mapping[str, Any],
) -> RelatedHeads:
    """The network of ``d3g``, with its options ``beta``, ``masks``, ``scale_km``, ``query``, ``negative``."""
    names = ("beta", "masks", "scale_km", "query", "negative")
    relation = PlaceRelation(encoder.out_dim, **{name: options[name] for name in names})
    return RelatedHeads(backbone, encoder, relation, domains, num_classes)


def group_heads(
    backbone: nn.Module,
    encoder: Callable[[], LocationEncoder],
    domains: Sequence[int],
    num_classes: int,
    options: Mapping[str, Any],
) -> RelatedHeads:
    """The network of ``d3g_wrap``, with its options ``beta``, ``negative`` and ``relations``.

    Args:
        backbone: as for :class:`RelatedHeads`.
        encoder: makes the location encoder for ``relations: encoder``; its head is replaced.
        domains: ids of the G training domains.
        num_classes: C.
        options: the method's options.
    """
    phi = RawWrap() if options["relations"] == "wrap" else _with_relation_head(encoder())
    relation = GroupRelation(RELATION_WIDTH, beta=options["beta"], negative=options["negative"])
    return RelatedHeads(backbone, phi, relation, domains, num_classes)


class RawWrap(LocationEncoder):
    """cos lon, cos lat, sin lon, sin lat, not standardised, then the MLP of wilds-geoshift."""

    def __init__(self) -> None:
        super().__init__(4, RELATION_WIDTH, relation_mlp(4, RELATION_WIDTH))

    def _features(self, lonlat: Tensor) -> Tensor:
        angle = torch.deg2rad(lonlat)
        return torch.cat([angle.cos(), angle.sin()], dim=1).float()


def _with_relation_head(encoder: LocationEncoder) -> LocationEncoder:
    """The encoder with the MLP of wilds-geoshift on its features."""
    if encoder.trained is None:  # otherwise RelatedHeads refuses the encoder
        encoder.head = relation_mlp(encoder.feature_dim, RELATION_WIDTH)
        encoder.out_dim = RELATION_WIDTH
        encoder.unknown = nn.Parameter(torch.randn(RELATION_WIDTH))
    return encoder
