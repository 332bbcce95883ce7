"""Backbones by name: geomoe's quick vision transformer, or any of timm's that can hold experts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from geomoe.catalogue import methods_of_any_backbone
from geomoe.errors import ConfigError
from geomoe.models.backbone_weights import load_weights
from geomoe.models.families import MODULES, NAMES, Transformer, why_not
from geomoe.models.mnist_cnn import MNIST_CNN
from geomoe.models.named_weights import load_timm
from geomoe.models.vit import check_vit

QUICK = "vit_quick"
_VIT_MODULES = ["vision_transformer", "deit"]  # of timm

# Strides of the quick stem's three 3x3 convolutions, by patch size.
_STRIDES = {4: (1, 2, 2), 8: (2, 2, 2)}


class ConvStem(nn.Module):
    """Three 3x3 convolutions and one 1x1 instead of the patch projection (Xiao et al. 2021).

    With small images and few epochs it trains much faster than one linear map of each patch. It takes
    the arguments that timm's VisionTransformer passes to its ``embed_layer``.

    Args:
        img_size: pixels on a side.
        patch_size: 4 or 8: distance between tokens in pixels.
        in_chans: bands.
        embed_dim: D.
        bias: whether the last convolution has a bias.
        **kwargs: options of timm's PatchEmbed; only device and dtype are used.
    """

    def __init__(
        self,
        img_size: int = 32,
        patch_size: int = 8,
        in_chans: int = 3,
        embed_dim: int = 64,
        bias: bool = True,
        **kwargs: Any,  # noqa: ANN401 - whatever timm's version passes
    ) -> None:
        super().__init__()
        self.img_size = (img_size, img_size)
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        widths = [in_chans, embed_dim // 4, embed_dim // 2, embed_dim]
        steps: list[nn.Module] = []
        for before, after, stride in zip(widths[:-1], widths[1:], _STRIDES[patch_size], strict=True):
            steps += [
                nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*steps, nn.Conv2d(embed_dim, embed_dim, 1, bias=bias))
        place = {key: kwargs[key] for key in ("device", "dtype") if kwargs.get(key) is not None}
        self.to(**place)

    def feat_ratio(self) -> int:
        """Pixels between tokens."""
        return self.patch_size[0]

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, bands, H, W) to tokens (B, N, D)."""
        # channels last: the convolutions are a quarter faster on a CPU, and the tokens are contiguous
        image = image.contiguous(memory_format=torch.channels_last)
        return self.layers(image).flatten(2).transpose(1, 2)


def create_backbone(
    name: str,
    *,
    num_classes: int,
    image_size: int,
    patch_size: int | None = None,
    bands: int = 3,
    weights: str | None = None,
    drop_path: float = 0.0,
    mlp_ratio: float | None = None,
) -> Transformer:
    """Build a backbone.

    Args:
        name: "vit_quick" (4 blocks of width 64, convolutional stem) or the name of a timm ViT, DeiT,
            BEiT or one of Eva's family (EVA-02, DINOv3, rope ViTs).
        num_classes: C.
        image_size: pixels on a side.
        patch_size: pixels on a side of a patch; default: the backbone's own.
        bands: channels of the images.
        weights: None (random), "timm" (timm's weights for that name, downloaded or from the cache),
            "torchgeo:ViTSmall16_Weights.SENTINEL2_ALL_MOCO" or another such name, or a local file.
        drop_path: stochastic depth, 0 to below 1.
        mlp_ratio: hidden width of every MLP divided by the width of the tokens; the hidden width is rounded
            down to a whole number; default: the backbone's own (4).

    Returns:
        A timm transformer.

    Raises:
        ConfigError: unknown backbone, one of another family, or invalid sizes.
        CheckpointError: weights that are missing, of another network, or cannot be fetched.
        DependencyNotFoundError: torchgeo weights, but torchgeo is not installed.
    """
    check_sizes(num_classes, image_size, bands, drop_path)
    check_ratio(mlp_ratio, weights)
    widened: dict[str, Any] = {} if mlp_ratio is None else {"mlp_ratio": mlp_ratio}
    if name == QUICK:
        refuse_offered(weights, QUICK)
        vit: Transformer = _create_quick(
            num_classes, image_size, patch_size or 8, bands, drop_path, **widened
        )
    else:
        _check_name(name)
        options: dict[str, Any] = {"num_classes": num_classes, "in_chans": bands, "drop_path_rate": drop_path}
        options |= widened
        if patch_size is not None:
            options["patch_size"] = patch_size
        create = load_timm if weights == "timm" else timm.create_model
        vit = check_vit(create(name, img_size=image_size, **options))
        _check_patches(name, image_size, vit.patch_embed.patch_size[0])
    if weights not in (None, "timm"):
        load_weights(vit, weights, name)
    return vit


def refuse_offered(weights: str | None, name: str) -> None:
    """Refuse published weights ("timm", "torchgeo:NAME") for a network that has none.

    Raises:
        ConfigError: such weights are requested.
    """
    if weights == "timm" or (weights or "").startswith("torchgeo:"):
        raise ConfigError(
            f"weights: {name} has no published weights; expected none or a local file; got {weights}"
        )


def check_ratio(mlp_ratio: float | None, weights: str | None) -> None:
    """Check the width of the MLPs.

    Raises:
        ConfigError: a ratio that is not above 0, or a ratio for pretrained weights, whose MLPs have a fixed
            width.
    """
    if mlp_ratio is None:
        return
    if mlp_ratio <= 0:
        raise ConfigError(f"mlp_ratio: expected a number above 0; got {mlp_ratio}")
    if weights == "timm" or (weights or "").startswith("torchgeo:"):
        raise ConfigError(
            f"mlp_ratio: {weights} has weights for the backbone's own width only; leave one of them out"
        )


def _create_quick(
    num_classes: int,
    image_size: int,
    patch_size: int,
    bands: int,
    drop_path: float,
    **widened: Any,  # noqa: ANN401 - mlp_ratio, or nothing
) -> VisionTransformer:
    if patch_size not in _STRIDES:
        raise ConfigError(f"patch_size: {QUICK} has {' or '.join(map(str, _STRIDES))}; got {patch_size}")
    _check_patches(QUICK, image_size, patch_size)
    vit = VisionTransformer(
        img_size=image_size,
        patch_size=patch_size,
        in_chans=bands,
        num_classes=num_classes,
        embed_dim=64,
        depth=4,
        num_heads=2,
        class_token=False,
        global_pool="avg",
        drop_path_rate=drop_path,
        embed_layer=ConvStem,
        **widened,
    )
    vit.pretrained_cfg = {"architecture": QUICK}  # type: ignore[assignment]  # its name, where timm has it
    return vit


def check_sizes(num_classes: int, image_size: int, bands: int, drop_path: float) -> None:
    """Check the numbers that every network needs.

    Raises:
        ConfigError: a number is out of range.
    """
    for key, value in (("num_classes", num_classes), ("image_size", image_size), ("bands", bands)):
        if value < 1:
            raise ConfigError(f"{key}: expected at least 1; got {value}")
    if not 0 <= drop_path < 1:
        raise ConfigError(f"drop_path: expected 0 to below 1; got {drop_path}")


def _check_patches(name: str, image_size: int, patch_size: int) -> None:
    if image_size % patch_size:
        raise ConfigError(
            f"image_size: {name} cuts patches of {patch_size} px; {image_size} is no multiple of that"
        )


def _check_name(name: str) -> None:
    if name == MNIST_CNN:
        raise ConfigError(
            f"backbone: {name} is not one of {NAMES}, which this method needs; try {QUICK}; "
            f"any network is taken by {', '.join(methods_of_any_backbone())}"
        )
    architecture = name.split(".", 1)[0]
    if not timm.is_model(architecture):
        raise ConfigError(no_such_backbone(name, [n for m in MODULES for n in timm.list_models(module=m)]))
    if not can_hold_experts(name):
        module = timm.models.model_entrypoint(architecture).__module__.rpartition(".")[2]
        raise ConfigError(
            f"backbone: {name} is not one of {NAMES}, which this method needs ({why_not(module)}); "
            f"try vit_tiny_patch16_224; any network is taken by {', '.join(methods_of_any_backbone())}"
        )


def can_hold_experts(name: str) -> bool:
    """Whether a name is one of timm's transformers whose blocks can hold experts."""
    architecture = name.split(".", 1)[0]
    return timm.is_model(architecture) and timm.models.is_model_in_modules(architecture, MODULES)


def is_plain_vit(name: str) -> bool:
    """Whether a name is one of timm's vision transformers, including DeiTs."""
    architecture = name.split(".", 1)[0]
    return timm.is_model(architecture) and timm.models.is_model_in_modules(architecture, _VIT_MODULES)


def no_such_backbone(name: str, known: Iterable[str]) -> str:
    """An error line for an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(name.split(".", 1)[0], [QUICK, *known], n=1, cutoff=0.0)
    return f"backbone: no {QUICK} and no timm model is called {name!r}; nearest: {near[0]}"
