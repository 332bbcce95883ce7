"""Networks: timm's, with MoGE blocks (vision transformers), with a location encoding, or unchanged."""

from __future__ import annotations

from geomoe.models.backbone_weights import load_backbone, load_network
from geomoe.models.backbones import create_backbone
from geomoe.models.film import ConditionedNetwork
from geomoe.models.heads import RelatedHeads
from geomoe.models.location import LocationNetwork
from geomoe.models.messi import ExpertHeadNetwork
from geomoe.models.moge import MoGEViT, add_moge
from geomoe.models.network import Network
from geomoe.models.networks import create_network
from geomoe.models.per_region import RegionNetworks
from geomoe.models.plain import PlainNetwork

LocationViT, PlainViT = LocationNetwork, PlainNetwork  # their earlier names

__all__ = [
    "ConditionedNetwork",
    "ExpertHeadNetwork",
    "LocationNetwork",
    "LocationViT",
    "MoGEViT",
    "Network",
    "PlainNetwork",
    "PlainViT",
    "RegionNetworks",
    "RelatedHeads",
    "add_moge",
    "create_backbone",
    "create_network",
    "load_backbone",
    "load_network",
]
