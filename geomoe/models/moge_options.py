"""MoGE blocks for a timm vision transformer, with their options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from geomoe.errors import ConfigError
from geomoe.models.moge import MoGEViT
from geomoe.models.vit import check_block, check_blocks, check_vit
from geomoe.moe import MoGELayer, copy_experts, create_router
from geomoe.support.options import call_options

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder


@dataclass(frozen=True, kw_only=True)
class MoGEOptions:
    """The options of :func:`add_moge`.

    Args:
        blocks: blocks whose FFN gets specialists, counted from 0.
        num_experts: specialists in each block; the shared expert is not counted.
        top_k: specialists chosen for a sample.
        router: "cosine" or "linear".
        gamma: weight of the shared expert, 0 to 1.
        learn_gamma: whether gamma is learned for each block, starting from that value.
        expert_noise: noise on the copied FFNs, relative to each weight's standard deviation.
        expert_dropout: share of the samples that use only the shared expert, in training.
        at_head: whether the encoding is also at the head, beside the experts.
    """

    blocks: Sequence[int] = (8, 10)
    num_experts: int = 6
    top_k: int = 3
    router: str = "cosine"
    gamma: float = 0.5
    learn_gamma: bool = False
    expert_noise: float = 0.02
    expert_dropout: float = 0.0
    at_head: bool = False


def add_moge(
    vit: nn.Module,
    encoder: LocationEncoder,
    options: MoGEOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of MoGEOptions
) -> MoGEViT:
    """Put MoGE blocks into a timm vision transformer.

    The transformer is not changed; with ``expert_noise=0`` its output does not change either.

    Args:
        vit: a timm ViT, DeiT, BEiT or one of Eva's family (EVA-02, DINOv3, rope ViTs), pretrained or not.
        encoder: the location encoder; its embedding is the routers' input.
        options: the blocks and their experts; None: the defaults.
        **changes: fields of :class:`MoGEOptions` by name: ``add_moge(vit, encoder, num_experts=4)``.

    Returns:
        The network; ``remove()`` returns ``vit``.

    Raises:
        ConfigError: another kind of network, encoder or block, blocks that do not exist or are given twice,
            top_k above num_experts, or a number out of range.
        TypeError: no field of that name.
    """
    if isinstance(vit, MoGEViT):
        raise ConfigError("vit: it has MoGE blocks already; add them to vit.remove()")
    backbone = check_vit(vit)
    if not isinstance(encoder, nn.Module):
        got = type(encoder).__name__
        raise ConfigError(f"encoder: expected what geomoe.create_encoder returns; got {got}")
    asked = call_options(MoGEOptions, options, changes)
    layers = {}
    for index in check_blocks(backbone, asked.blocks):
        ffn = check_block(backbone, index).mlp
        experts = copy_experts(ffn, asked.num_experts, asked.expert_noise)
        router = create_router(asked.router, encoder.out_dim, asked.num_experts, asked.top_k)
        layer = MoGELayer(experts, router, asked.gamma, asked.learn_gamma)
        layers[index] = layer.to(next(ffn.parameters()).device)
    return MoGEViT(backbone, encoder, layers, asked.expert_dropout, at_head=asked.at_head)
