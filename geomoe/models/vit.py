"""Requirements of geomoe's networks on a timm vision transformer, and its forward pass in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from geomoe.errors import ConfigError, InputError
from geomoe.models.families import NAMES, Beside, Transformer, family_of, find_family

# Methods that are replaced by the steps below: a subclass that overrides one of them cannot be used.
_WALKED = ("forward", "forward_features", "forward_head", "pool", "_pos_embed")


def check_vit(vit: nn.Module) -> Transformer:
    """Check that a network is a timm transformer of a known family with the family's own forward pass.

    Raises:
        ConfigError: another network, a variant with its own forward pass, one that does not pool, or a DeiT
            whose two heads answer separately.
    """
    name, family = type(vit).__name__, find_family(vit)
    if family is None:
        raise ConfigError(
            f"backbone: expected a timm VisionTransformer, such as vit_tiny_patch16_224, or one of {NAMES}; "
            f"got {name}"
        )
    own = [m for m in _WALKED if getattr(type(vit), m, None) is not getattr(family.network, m, None)]
    if own:
        raise ConfigError(
            f"backbone: {name} has its own {', '.join(own)}; use a plain timm {family.network.__name__}"
        )
    if not vit.global_pool:
        raise ConfigError(
            "backbone: it does not pool its tokens; create it with global_pool='token' or 'avg'"
        )
    if getattr(vit, "distilled_training", False):
        raise ConfigError("backbone: its two heads answer separately; call set_distilled_training(False)")
    return cast("Transformer", vit)


def check_block(vit: Transformer, index: int) -> Any:  # noqa: ANN401 - a block of one of the families
    """Check that a block is its family's standard one: attention, then an FFN, each with a residual.

    Raises:
        ConfigError: another kind of block.
    """
    block, expected = vit.blocks[index], family_of(vit).block
    if type(block) is not expected:
        kind = type(block).__name__
        why = ", which normalises after its FFN" if kind.endswith("PostNorm") else ""
        raise ConfigError(
            f"blocks: block {index} is a {kind}{why}; "
            f"only timm's standard {expected.__name__} can hold experts"
        )
    return block


def blocks_of(vit: Transformer) -> list[Any]:
    """The blocks; those that hold experts have ``norm2`` and ``mlp``."""
    return list(vit.blocks)


def check_blocks(vit: Transformer, blocks: Sequence[int]) -> tuple[int, ...]:
    """Check the numbers of the blocks that are to hold experts, and return them in ascending order.

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
        raise ConfigError(f"blocks: expected each block once; got {', '.join(map(str, blocks))}")
    for index in blocks:
        check_block(vit, index)
    return tuple(sorted(blocks))


def check_image(vit: Transformer, image: Tensor) -> None:
    """Check images before they enter the first layer.

    Raises:
        InputError: not (B, bands, height, width) with the bands and the size that the network reads.
    """
    bands = next(vit.patch_embed.parameters()).shape[1]
    size = (None, None) if getattr(vit, "dynamic_img_size", False) else tuple(vit.patch_embed.img_size)
    expected = (bands, *size)
    fits = image.ndim == 4 and all(e in (None, n) for e, n in zip(expected, image.shape[1:], strict=True))
    if not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in expected)
        raise InputError(f"image: the network reads (B, {wanted}); got {tuple(image.shape)}")


def embed_tokens(vit: Transformer, image: Tensor) -> tuple[Tensor, Beside]:
    """Image (B, bands, H, W) to the tokens (B, N, D) that enter the first block.

    Also returned is each block's further input of the attention (rotary positions, position biases).
    """
    check_image(vit, image)
    return family_of(vit).embed(vit, image)


def run_block(vit: Transformer, index: int, tokens: Tensor, beside: Beside) -> Tensor:
    """Run a whole block; it is recomputed in the backward pass if the transformer is set to save memory."""
    block, more = vit.blocks[index], _more(vit, index, beside)
    if vit.grad_checkpointing and vit.training:
        return checkpoint(block, tokens, use_reentrant=False, **more)
    return block(tokens, **more)


#: :func:`run_block` for networks with experts, whose loop over the blocks is not one graph when compiled: it
#: is not compiled for each index, and all blocks share the compiled graph of one.
run_block_apart = torch.compiler.disable(run_block, recursive=False)


def attend(vit: Transformer, index: int, tokens: Tensor, beside: Beside) -> Tensor:
    """The attention half of a block."""
    block: Any = vit.blocks[index]
    attended = block.attn(block.norm1(tokens), **_more(vit, index, beside))
    return tokens + block.drop_path1(family_of(vit).scale(block, 1, attended))


def finish_block(vit: Transformer, index: int, tokens: Tensor, ffn_output: Tensor) -> Tensor:
    """The residual connection around a block's FFN, given the FFN's output."""
    block: Any = vit.blocks[index]
    return tokens + block.drop_path2(family_of(vit).scale(block, 2, ffn_output))


def image_features(vit: Transformer, image: Tensor) -> Tensor:
    """Image (B, bands, H, W) to pooled features (B, D), before the classifier."""
    check_image(vit, image)
    return vit.forward_head(vit.forward_features(image), pre_logits=True)


def read_out(vit: Transformer, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (B, N, D) of the last block to pooled features (B, D) and class scores (B, C).

    A distilled DeiT has two heads, on its class and its distillation token; the scores are the mean of
    theirs, the features the mean of both tokens.
    """
    normed = vit.norm(tokens)
    if isinstance(vit, VisionTransformerDistilled):
        return normed[:, :2].mean(dim=1), vit.forward_head(normed)
    pooled = vit.forward_head(normed, pre_logits=True)
    return pooled, vit.head(pooled)


def _more(vit: Transformer, index: int, beside: Beside) -> dict[str, Any]:
    keyword = family_of(vit).keyword
    return {} if keyword is None else {keyword: beside[index]}
