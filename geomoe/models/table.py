"""The networks of geomoe by name: what is added to a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from geomoe.models.location import LocationNetwork
from geomoe.models.location_inputs import FiLMNetwork, LocationMLPNetwork, LocationTokenViT
from geomoe.models.messi import ExpertHeadNetwork
from geomoe.models.moge import add_moge
from geomoe.models.network import Network
from geomoe.models.plain import PlainNetwork

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder


class Parts(NamedTuple):
    """The parts of a network.

    Attributes:
        backbone: a timm network with its classifier.
        encoder: makes the location encoder, if the network needs one.
        num_classes: C.
        options: plain values, those of ``model`` in configurations.
        method: plain values, the options of the training method, for networks whose sizes are among them.
            They are read from the configuration, so that a network can be made without the method's module.
    """

    backbone: nn.Module
    encoder: Callable[[], LocationEncoder]
    num_classes: int
    options: Mapping[str, Any]
    method: Mapping[str, Any]


class NetworkKind(NamedTuple):
    """One kind of network.

    Attributes:
        make: makes the network from its parts.
        vit: whether the backbone has to be a plain vision transformer.
    """

    make: Callable[[Parts], Network]
    vit: bool = False


def _plain(parts: Parts) -> Network:
    return PlainNetwork(parts.backbone)


def _location(parts: Parts) -> Network:
    return LocationNetwork(parts.backbone, parts.encoder(), parts.num_classes)


def _film(parts: Parts) -> Network:
    return FiLMNetwork(parts.backbone, parts.encoder(), parts.method["hidden"])


def _location_mlp(parts: Parts) -> Network:
    return LocationMLPNetwork(parts.backbone, parts.encoder(), parts.num_classes, parts.method["hidden"])


def _location_token(parts: Parts) -> Network:
    return LocationTokenViT(parts.backbone, parts.encoder())


def _experts(parts: Parts, *, at_head: bool = False) -> Network:
    names = (
        *("num_experts", "top_k", "router", "gamma", "learn_gamma"),
        *("expert_noise", "expert_dropout"),
    )
    options = {name: parts.options[name] for name in names}
    return add_moge(
        parts.backbone, parts.encoder(), blocks=parts.options["moge_blocks"], at_head=at_head, **options
    )


def _expert_head(parts: Parts) -> Network:
    sizes = {name: parts.method[name] for name in ("experts", "expansion")}
    return ExpertHeadNetwork(parts.backbone, **sizes)


#: Name in geomoe.catalogue.METHODS -> kind.
NETWORKS = {
    "plain": NetworkKind(_plain),
    "location": NetworkKind(_location),
    "experts": NetworkKind(_experts, vit=True),
    "expert_head": NetworkKind(_expert_head),
    "film": NetworkKind(_film),
    "location_mlp": NetworkKind(_location_mlp),
    "location_token": NetworkKind(_location_token, vit=True),
    "experts_le": NetworkKind(partial(_experts, at_head=True), vit=True),
}
