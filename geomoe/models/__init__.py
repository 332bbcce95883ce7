"""Networks: timm vision transformers with MoGE blocks, with a location encoding, or as they are."""

from __future__ import annotations

from geomoe.models.backbones import create_backbone
from geomoe.models.location import LocationViT
from geomoe.models.moge import MoGEViT, add_moge
from geomoe.models.plain import PlainViT
from geomoe.models.weights import load_backbone

__all__ = ["LocationViT", "MoGEViT", "PlainViT", "add_moge", "create_backbone", "load_backbone"]
