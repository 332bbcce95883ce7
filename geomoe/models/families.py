"""The families of timm's transformers that geomoe runs block by block, and an adapter for each.

All their blocks are norm, attention, residual, norm, FFN, residual. They differ in how an image becomes
tokens, in the further inputs of a block's attention (rotary positions in Eva's family, position biases in
BEiT), and in how the two branches of a block are scaled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from timm.models import beit, eva, vision_transformer
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

Transformer = VisionTransformer | Eva | Beit
#: For each block: the input of its attention besides the tokens; None: there is none.
Beside = tuple[Tensor | None, ...]
#: timm's modules that define networks of these families; used to look up names of networks.
MODULES = ["vision_transformer", "deit", "eva", "beit"]
NAMES = "timm's ViT, DeiT, BEiT and Eva families (EVA-02, DINOv3, rope ViTs)"


class Family(NamedTuple):
    """What geomoe needs to know about a family.

    Attributes:
        network: class of the networks.
        block: class of the blocks that can hold experts.
        embed: function of a network and images (B, bands, H, W); returns the tokens (B, N, D) that enter the
            first block, and each block's input besides them.
        keyword: name of the argument by which a block and its attention take that input; None: they take
            none.
        scale: function of a block, a branch (1: attention, 2: FFN) and the branch's output; returns what is
            added to the residual.
        adapt: timm's function that fits a state dict to a network's sizes.
    """

    network: type[nn.Module]
    block: type[nn.Module]
    embed: Callable[[Any, Tensor], tuple[Tensor, Beside]]
    keyword: str | None
    scale: Callable[[Any, int, Tensor], Tensor]
    adapt: Callable[..., Mapping[str, Any]]


def _embed_vit(vit: VisionTransformer, image: Tensor) -> tuple[Tensor, Beside]:
    tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(image))))
    return tokens, (None,) * len(vit.blocks)


def _embed_eva(vit: Eva, image: Tensor) -> tuple[Tensor, Beside]:
    """Rotary positions are the same in all blocks, or learned for each (mixed)."""
    tokens, rope = vit._pos_embed(vit.patch_embed(image))
    tokens = vit.norm_pre(tokens)
    if rope is not None and getattr(vit, "rope_mixed", False):
        return tokens, tuple(rope)
    return tokens, (rope,) * len(vit.blocks)


def _embed_beit(vit: Beit, image: Tensor) -> tuple[Tensor, Beside]:
    """A block's own position biases are inside its attention; shared ones are computed once."""
    patches = vit.patch_embed(image)
    tokens = torch.cat([vit.cls_token.expand(len(patches), -1, -1), patches], dim=1)
    if vit.pos_embed is not None:
        tokens = tokens + vit.pos_embed
    bias = None if vit.rel_pos_bias is None else vit.rel_pos_bias()
    return vit.pos_drop(tokens), (bias,) * len(vit.blocks)


def _scale_by_layer(block: vision_transformer.Block, branch: int, values: Tensor) -> Tensor:
    return block.ls1(values) if branch == 1 else block.ls2(values)


def _scale_by_gamma(block: eva.EvaBlock | beit.Block, branch: int, values: Tensor) -> Tensor:
    gamma = block.gamma_1 if branch == 1 else block.gamma_2
    return values if gamma is None else gamma * values


_VIT = Family(
    VisionTransformer,
    vision_transformer.Block,
    _embed_vit,
    None,
    _scale_by_layer,
    vision_transformer.checkpoint_filter_fn,
)
_FAMILIES = (
    _VIT._replace(network=VisionTransformerDistilled),  # a subclass of the next
    _VIT,
    Family(Eva, eva.EvaBlock, _embed_eva, "rope", _scale_by_gamma, eva.checkpoint_filter_fn),
    Family(Beit, beit.Block, _embed_beit, "shared_rel_pos_bias", _scale_by_gamma, beit.checkpoint_filter_fn),
)


def find_family(network: nn.Module) -> Family | None:
    """The family of a network; None if it belongs to none of them."""
    return next((family for family in _FAMILIES if isinstance(network, family.network)), None)


def family_of(network: nn.Module) -> Family:
    """The family of a network that :func:`~geomoe.models.vit.check_vit` has accepted."""
    return next(family for family in _FAMILIES if isinstance(network, family.network))


def why_not(module: str) -> str:
    """Why the networks of a timm module outside :data:`MODULES` cannot hold experts, for an error message."""
    return _REASONS.get(module, "it belongs to none of the families whose blocks can hold experts")


_STAGES = "its stages change the number and the width of the tokens"
_CONVOLUTIONS = "it is a convolutional network without FFNs for tokens"
_WINDOWS = "its blocks cut the tokens into windows"
_REASONS = {
    **dict.fromkeys(("swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr"), _STAGES),
    **dict.fromkeys(("mvitv2", "pvt_v2", "hiera", "maxxvit", "davit", "levit", "twins", "pit"), _STAGES),
    **dict.fromkeys(("coat", "nest", "hieradet_sam2", "efficientformer", "efficientformer_v2"), _STAGES),
    **dict.fromkeys(("resnet", "resnetv2", "regnet", "densenet", "vgg", "convnext", "dla"), _CONVOLUTIONS),
    **dict.fromkeys(("efficientnet", "mobilenetv3", "byobnet", "nfnet", "inception_v3"), _CONVOLUTIONS),
    **dict.fromkeys(("vision_transformer_sam", "vitamin", "volo"), _WINDOWS),
    "cait": "its class token joins after the blocks, in blocks of another kind",
    "xcit": "its blocks attend over channels, with a convolution between",
    "mlp_mixer": "it has no attention, and FFNs across tokens too",
    "vision_transformer_relpos": "its blocks encode positions in their own way",
    "vision_transformer_hybrid": "a convolutional network makes its tokens",
}


def prefix_tokens(network: nn.Module) -> int:
    """Class and register tokens, which come before those of the image; 0 in networks of other families."""
    return int(cast("int", network.num_prefix_tokens)) if find_family(network) is not None else 0
