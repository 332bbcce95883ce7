"""The networks of geomoe by name: what is added to a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from geomoe.models.film import ConditionedNetwork
from geomoe.models.heads import group_heads, place_heads
from geomoe.models.location import LocationNetwork
from geomoe.models.location_inputs import FiLMNetwork, LocationMLPNetwork, LocationTokenViT
from geomoe.models.messi import ExpertHeadNetwork
from geomoe.models.moge import add_moge
from geomoe.models.network import Network
from geomoe.models.per_region import RegionNetworks
from geomoe.models.plain import PlainNetwork
from geomoe.models.token_moe import add_token_moe
from geomoe.moe import CosineTokenRouter, OrthogonalMoELayer, StackedFFN, TokenMoELayer, TopAnyRouter

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
        domains: ids of the domains that may have training samples, ascending.
        another: makes another backbone like ``backbone``, for networks that need several.
    """

    backbone: nn.Module
    encoder: Callable[[], LocationEncoder]
    num_classes: int
    options: Mapping[str, Any]
    method: Mapping[str, Any]
    domains: Sequence[int]
    another: Callable[[], nn.Module]


class NetworkKind(NamedTuple):
    """One kind of network.

    Attributes:
        make: makes the network from its parts.
        vit: whether experts are put into the backbone's blocks, so that it has to be a ViT, DeiT, BEiT or
            Eva.
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


def _place_heads(parts: Parts) -> Network:
    return place_heads(parts.backbone, parts.encoder(), parts.domains, parts.num_classes, parts.method)


def _group_heads(parts: Parts) -> Network:
    return group_heads(parts.backbone, parts.encoder, parts.domains, parts.num_classes, parts.method)


def _conditioned(parts: Parts) -> Network:
    return ConditionedNetwork(parts.backbone, parts.domains, context=parts.another())


def _conditioned_by_place(parts: Parts) -> Network:
    return ConditionedNetwork(parts.backbone, parts.domains, encoder=parts.encoder())


def _regions(parts: Parts) -> Network:
    others = (parts.another() for _ in parts.domains[1:])
    return RegionNetworks([parts.backbone, *others], parts.domains, parts.method["elsewhere"])


def _token_experts(parts: Parts) -> Network:
    """GMoE: the chosen experts of each token, up to the capacity of each expert."""
    chosen = {name: parts.method[name] for name in ("top_k", "projection", "noise", "capacity")}

    def layer(experts: StackedFFN, dim: int) -> TokenMoELayer:
        return TokenMoELayer(experts, CosineTokenRouter(dim, experts.count, **chosen))

    return _with_token_experts(parts, layer, parts.options["num_experts"])


def _orthogonal_experts(parts: Parts) -> Network:
    """OMoE: orthogonal outputs of the chosen experts of each token."""
    chosen = {name: parts.method[name] for name in ("top_k", "projection", "noise")}

    def layer(experts: StackedFFN, dim: int) -> TokenMoELayer:
        router = CosineTokenRouter(dim, experts.count, **chosen, capacity=0)
        return OrthogonalMoELayer(experts, router, parts.method["length"])

    return _with_token_experts(parts, layer, parts.options["num_experts"])


def _top_any_experts(parts: Parts) -> Network:
    """DynMoE: any number of experts for each token; the number of experts changes in training."""
    alive = parts.options["num_experts"]

    def layer(experts: StackedFFN, dim: int) -> TokenMoELayer:
        return TokenMoELayer(experts, TopAnyRouter(dim, experts.count, alive))

    return _with_token_experts(parts, layer, parts.method["max_experts"])


def _with_token_experts(
    parts: Parts, layer: Callable[[StackedFFN, int], TokenMoELayer], count: int
) -> Network:
    return add_token_moe(
        parts.backbone,
        layer,
        blocks=parts.options["moge_blocks"],
        num_experts=count,
        expert_noise=parts.options["expert_noise"],
        dropout=parts.method["dropout"],
    )


#: Name in geomoe.catalogue.METHODS -> kind.
NETWORKS = {
    "plain": NetworkKind(_plain),
    "location": NetworkKind(_location),
    "experts": NetworkKind(_experts, vit=True),
    "expert_head": NetworkKind(_expert_head),
    "place_heads": NetworkKind(_place_heads),
    "group_heads": NetworkKind(_group_heads),
    "conditioned": NetworkKind(_conditioned),
    "conditioned_by_place": NetworkKind(_conditioned_by_place),
    "regions": NetworkKind(_regions),
    "token_experts": NetworkKind(_token_experts, vit=True),
    "orthogonal_experts": NetworkKind(_orthogonal_experts, vit=True),
    "top_any_experts": NetworkKind(_top_any_experts, vit=True),
    "film": NetworkKind(_film),
    "location_mlp": NetworkKind(_location_mlp),
    "location_token": NetworkKind(_location_token, vit=True),
    "experts_le": NetworkKind(partial(_experts, at_head=True), vit=True),
}
