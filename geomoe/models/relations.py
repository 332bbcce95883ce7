"""Relations between samples and training domains, and the mixture of the domains' heads by them (D3G)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from geomoe.types import Place

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder
    from geomoe.models.sources import SourceDomains

Negative = Literal["clip", "keep"]
#: A sum of relations that is closer to 0 than this is replaced by this, with its sign.
SMALLEST = 1e-6


def mix(each: Tensor, relations: Tensor, allowed: Tensor) -> Tensor:
    """sum_g a_g f_g / sum_g a_g over the allowed domains, with relations a and the scores f of the heads.

    Where a sample is not related to any allowed domain (all a_g are 0), every one of them counts the same.

    Args:
        each: (B, G, C) f.
        relations: (B, G) a; negative ones are used as they are.
        allowed: (B, G) bool.

    Returns:
        (B, C) float32, or float64 for float64 scores.
    """
    weights = torch.where(allowed, relations, 0)
    alone = (weights == 0).all(dim=1, keepdim=True)
    weights = torch.where(alone, allowed.to(weights.dtype), weights)
    total = weights.sum(dim=1, keepdim=True)
    total = torch.where(total < 0, total.clamp(max=-SMALLEST), total.clamp(min=SMALLEST))
    with torch.autocast(each.device.type, enabled=False):
        each = each if each.dtype.itemsize > 4 else each.float()
        return torch.einsum("bg,bgc->bc", (weights / total).to(each.dtype), each)


def masked_cosines(query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    """(1/R) sum_r cos(w_r * query, w_r * key) for every pair.

    Args:
        query: (B, L).
        keys: (G, L).
        mask: (R, L) the w_r.

    Returns:
        (B, G), each from -1 to 1.
    """
    one = functional.normalize(mask[:, None] * query, dim=2, eps=1e-8)
    other = functional.normalize(mask[:, None] * keys, dim=2, eps=1e-8)
    return torch.einsum("rbl,rgl->bg", one, other) / len(mask)


class PlaceRelation(nn.Module):
    """Relations of places, after D3G (Yao et al., ICLR 2024): a = beta a_fixed + (1 - beta) a_learned.

    a_fixed = exp(-km / scale_km), a_learned = (1/R) sum_r cos(w_r * g(m), w_r * g(m_d)), with m_d the mean
    place of domain d, m the place that describes a sample, g the location encoder and w_r learned masks. An
    unknown place is related to no domain; a domain is related to itself by 1.

    Args:
        width: L of the encoder.
        beta: share of the fixed relation, 0 to 1.
        masks: R.
        scale_km: distance at which the fixed relation is 1/e.
        query: "domain": a sample of a training domain is described by the domain's mean place, any other by
            its own; "place": by its own, or if that is unknown, by its domain.
        negative: what is done with learned relations below 0: "clip" them to 0, or "keep" them.
    """

    def __init__(
        self,
        width: int,
        *,
        beta: float,
        masks: int,
        scale_km: float,
        query: Literal["domain", "place"],
        negative: Negative,
    ) -> None:
        super().__init__()
        self.beta, self.scale_km, self.query, self.negative = beta, scale_km, query, negative
        self.mask = nn.Parameter(torch.rand(masks, width))

    def no_weight_decay(self) -> set[str]:
        """The masks: only their direction changes the cosines."""
        return {"mask"}

    def forward(self, place: Place, encoder: LocationEncoder, domains: SourceDomains) -> Tensor:
        """(B, G) relations of samples to domains."""
        with torch.autocast(place.lonlat.device.type, enabled=False):
            own, centres = domains.own(place.domain), domains.places()
            keys = encoder.embed(encoder.features(centres.lonlat, centres.domain), centres.known)
            member = own.any(dim=1)
            described = member if self.query == "domain" else member & ~place.known
            home = described & (own & domains.placed).any(dim=1)
            known = home | place.known
            lonlat = torch.where(home[:, None], own.double() @ domains.centre.double(), place.lonlat)
            far = domains.kilometres(torch.where(known[:, None], lonlat, 0))
            fixed = torch.exp(-far / self.scale_km).to(keys.dtype)
            query = torch.where(home[:, None], own.to(keys.dtype) @ keys, encoder(place))
            learned = masked_cosines(query, keys, self.mask)
            learned = learned.clamp(min=0) if self.negative == "clip" else learned
            related = self.beta * fixed + (1 - self.beta) * learned
            related = torch.where(known[:, None] & domains.placed, related, 0)
            return torch.where(own & described[:, None], 1, related)


class GroupRelation(nn.Module):
    """Relations of domain ids and places, after wilds-geoshift (Crasto and Rolf, arXiv 2503.02036).

    a = beta 1[the sample is of the domain] + (1 - beta) cos(w * g_loc(place), w * g(id)), with one mask w and
    g: Linear(1, 128) ReLU Linear(128, 256) on the id of the domain as a number. g_loc is the head of the
    network's encoder. An unknown place has no learned relation.

    Args:
        width: L of the encoder, an even number.
        beta: share of the fixed relation, 0 to 1.
        negative: as for :class:`PlaceRelation`.
    """

    def __init__(self, width: int, *, beta: float, negative: Negative) -> None:
        super().__init__()
        self.beta, self.negative = beta, negative
        self.group = relation_mlp(1, width)
        self.mask = nn.Parameter(torch.rand(1, width))

    def no_weight_decay(self) -> set[str]:
        """The masks: only their direction changes the cosines."""
        return {"mask"}

    def forward(self, place: Place, encoder: LocationEncoder, domains: SourceDomains) -> Tensor:
        """(B, G) relations of samples to domains."""
        with torch.autocast(place.lonlat.device.type, enabled=False):
            keys = self.group(domains.ids[:, None].to(self.mask.dtype))
            learned = masked_cosines(encoder(place), keys, self.mask)
            learned = learned.clamp(min=0) if self.negative == "clip" else learned
            learned = torch.where(place.known[:, None], learned, 0)
            return self.beta * domains.own(place.domain).to(keys.dtype) + (1 - self.beta) * learned


def relation_mlp(inputs: int, width: int) -> nn.Sequential:
    """Linear, ReLU, Linear, with half the width in between."""
    return nn.Sequential(nn.Linear(inputs, width // 2), nn.ReLU(), nn.Linear(width // 2, width))
