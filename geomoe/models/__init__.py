"""Networks: timm's, with experts for places or tokens, with a location encoding, or unchanged."""

from __future__ import annotations

from geomoe.models.backbone_weights import load_backbone, load_network
from geomoe.models.backbones import create_backbone
from geomoe.models.film import ConditionedNetwork
from geomoe.models.heads import RelatedHeads
from geomoe.models.location import LocationNetwork
from geomoe.models.location_inputs import FiLMNetwork, LocationMLPNetwork, LocationTokenViT
from geomoe.models.messi import ExpertHeadNetwork
from geomoe.models.moge import MoGEViT, add_moge
from geomoe.models.network import Network
from geomoe.models.networks import create_network
from geomoe.models.per_region import RegionNetworks
from geomoe.models.plain import PlainNetwork
from geomoe.models.token_moe import TokenMoEViT, add_token_moe

LocationViT, PlainViT = LocationNetwork, PlainNetwork  # their earlier names

__all__ = [
    "ConditionedNetwork",
    "ExpertHeadNetwork",
    "FiLMNetwork",
    "LocationMLPNetwork",
    "LocationNetwork",
    "LocationTokenViT",
    "LocationViT",
    "MoGEViT",
    "Network",
    "PlainNetwork",
    "PlainViT",
    "RegionNetworks",
    "RelatedHeads",
    "TokenMoEViT",
    "add_moge",
    "add_token_moe",
    "create_backbone",
    "create_network",
    "load_backbone",
    "load_network",
]
