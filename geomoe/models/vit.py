"""Requirements of geomoe's networks on a timm vision transformer, and its forward pass in steps."""

from __future__ import annotations

from collections.abc import Sequence

from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from geomoe.errors import ConfigError, InputError

# Methods that are replaced by the steps below: a subclass that overrides one of them cannot be used.
_WALKED = ("forward", "forward_features", "forward_head", "pool", "_pos_embed")


def check_vit(vit: nn.Module) -> VisionTransformer:
    """Check that a network is a timm VisionTransformer with the standard forward pass.

    Raises:
        ConfigError: another network, a variant with its own forward pass, or one that does not pool.
    """
    name = type(vit).__name__
    if not isinstance(vit, VisionTransformer):
        raise ConfigError(
            f"backbone: expected a timm VisionTransformer, such as vit_tiny_patch16_224; got {name}"
        )
    own = [m for m in _WALKED if getattr(type(vit), m, None) is not getattr(VisionTransformer, m, None)]
    if own:
        raise ConfigError(
            f"backbone: {name} has its own {', '.join(own)}; use a plain timm VisionTransformer"
        )
    if not vit.global_pool:
        raise ConfigError(
            "backbone: it does not pool its tokens; create it with global_pool='token' or 'avg'"
        )
    return vit


def check_block(vit: VisionTransformer, index: int) -> Block:
    """Check that a block is timm's standard one: attention, then an FFN, each with a residual.

    Raises:
        ConfigError: another kind of block.
    """
    block = vit.blocks[index]
    if type(block) is not Block:
        kind = type(block).__name__
        raise ConfigError(f"blocks: block {index} is a {kind}; only timm's standard Block can hold experts")
    return block


def check_blocks(vit: VisionTransformer, blocks: Sequence[int]) -> tuple[int, ...]:
    """Check the numbers of the blocks that are to hold experts; the numbers, ascending.

    Raises:
        ConfigError: none, one that does not exist or is given twice, or another kind of block.
    """
    depth = len(vit.blocks)
    if not blocks:
        raise ConfigError(f"blocks: expected at least one block number from 0 to {depth - 1}; got none")
    bad = [b for b in blocks if isinstance(b, bool) or not isinstance(b, int) or not 0 <= b < depth]
    if bad:
        raise ConfigError(f"blocks: the network has blocks 0 to {depth - 1}; got {', '.join(map(repr, bad))}")
    if len(set(blocks)) < len(blocks):
        raise ConfigError(f"blocks: each block once; got {', '.join(map(str, blocks))}")
    for index in blocks:
        check_block(vit, index)
    return tuple(sorted(blocks))


def check_image(vit: VisionTransformer, image: Tensor) -> None:
    """Check images before they enter the first layer.

    Raises:
        InputError: not (B, bands, height, width) with the bands and the size that the network reads.
    """
    bands = next(vit.patch_embed.parameters()).shape[1]
    size = (None, None) if vit.dynamic_img_size else tuple(vit.patch_embed.img_size)
    expected = (bands, *size)
    fits = image.ndim == 4 and all(e in (None, n) for e, n in zip(expected, image.shape[1:], strict=True))
    if not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in expected)
        raise InputError(f"image: the network reads (B, {wanted}); got {tuple(image.shape)}")


def embed_tokens(vit: VisionTransformer, image: Tensor) -> Tensor:
    """Image (B, bands, H, W) to the tokens (B, N, D) that enter the first block."""
    check_image(vit, image)
    return vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(image))))


def run_block(vit: VisionTransformer, block: nn.Module, tokens: Tensor) -> Tensor:
    """Run a whole block; it is recomputed in the backward pass if the transformer is set to save memory."""
    if vit.grad_checkpointing and vit.training:
        return checkpoint(block, tokens, use_reentrant=False)
    return block(tokens)


def attend(block: Block, tokens: Tensor) -> Tensor:
    """The attention half of a block."""
    return tokens + block.drop_path1(block.ls1(block.attn(block.norm1(tokens))))


def finish_block(block: Block, tokens: Tensor, ffn_output: Tensor) -> Tensor:
    """The residual connection around a block's FFN, given the FFN's output."""
    return tokens + block.drop_path2(block.ls2(ffn_output))


def image_features(vit: VisionTransformer, image: Tensor) -> Tensor:
    """Image (B, bands, H, W) to pooled features (B, D), before the classifier."""
    check_image(vit, image)
    return vit.forward_head(vit.forward_features(image), pre_logits=True)


def pool_tokens(vit: VisionTransformer, tokens: Tensor) -> Tensor:
    """Tokens (B, N, D) of the last block to pooled features (B, D), before the classifier."""
    return vit.forward_head(vit.norm(tokens), pre_logits=True)
