"""Networks: timm's, with MoGE blocks (vision transformers), with a location encoding, or unchanged."""

from __future__ import annotations

from geomoe.models.backbone_weights import load_backbone, load_network
from geomoe.models.backbones import create_backbone
from geomoe.models.location import LocationNetwork
from geomoe.models.location_inputs import FiLMNetwork, LocationMLPNetwork, LocationTokenViT
from geomoe.models.messi import ExpertHeadNetwork
from geomoe.models.moge import MoGEViT, add_moge
from geomoe.models.network import Network
from geomoe.models.networks import create_network
from geomoe.models.plain import PlainNetwork

LocationViT, PlainViT = LocationNetwork, PlainNetwork  # their earlier names

__all__ = [
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
    "add_moge",
    "create_backbone",
    "create_network",
    "load_backbone",
    "load_network",
]
