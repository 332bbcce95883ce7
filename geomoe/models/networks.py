"""Any timm network as a backbone, for methods that need only pooled features.

Plain vision transformers are run by :mod:`geomoe.models.vit`; all others (convolutional networks,
hierarchical transformers) are called through the common interface of timm's networks.
"""

from __future__ import annotations

from typing import Any, cast

import timm
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from geomoe.errors import ConfigError, GeomoeError, InputError, one_line
from geomoe.models.backbone_weights import load_network, network_state
from geomoe.models.backbones import (
    QUICK,
    can_hold_experts,
    check_sizes,
    create_backbone,
    is_plain_vit,
    no_such_backbone,
    refuse_offered,
)
from geomoe.models.mnist_cnn import MNIST_CNN, MnistCnn
from geomoe.models.named_weights import load_timm
from geomoe.models.vit import check_vit, image_features

_INTERFACE = ("forward_features", "forward_head", "get_classifier", "reset_classifier")
_LARGE = 64  # pixels: no network reduces an image of this size to nothing


def create_network(
    name: str,
    *,
    num_classes: int,
    image_size: int,
    patch_size: int | None = None,
    bands: int = 3,
    weights: str | None = None,
    drop_path: float = 0.0,
    mlp_ratio: float | None = None,
) -> nn.Module:
    """Build a backbone of any kind; arguments as for :func:`~geomoe.models.create_backbone`.

    Args:
        name: "vit_quick", "mnist_cnn" (DomainBed's, for digits) or the name of any timm network.
        num_classes: C.
        image_size: pixels on a side.
        patch_size: pixels on a side of a patch, for plain vision transformers only.
        bands: channels of the images.
        weights: None (random), "timm", "torchgeo:NAME" or a local file.
        drop_path: stochastic depth, 0 to below 1, if the network supports it.
        mlp_ratio: hidden width of every MLP divided by that of the tokens, for plain vision transformers
            only.

    Returns:
        A timm network with its classifier, or one with timm's interface.

    Raises:
        ConfigError: unknown network, one without pooled features, or a size or an option that it does not
            support.
        CheckpointError: weights that are missing, of another network, or cannot be fetched.
        DependencyNotFoundError: torchgeo weights, but torchgeo is not installed.
    """
    if name == QUICK or is_plain_vit(name) or (patch_size is not None and can_hold_experts(name)):
        made = create_backbone(
            name,
            num_classes=num_classes,
            image_size=image_size,
            patch_size=patch_size,
            bands=bands,
            weights=weights,
            drop_path=drop_path,
            mlp_ratio=mlp_ratio,
        )
        return check_network(made)
    check_sizes(num_classes, image_size, bands, drop_path)
    if mlp_ratio is not None:
        raise ConfigError(f"mlp_ratio: {name} is no plain vision transformer; leave it out; got {mlp_ratio}")
    if patch_size is not None:
        raise ConfigError(f"patch_size: {name} has no patches to choose; leave it out; got {patch_size}")
    if name == MNIST_CNN:
        network: nn.Module = _create_mnist_cnn(num_classes, bands, weights, drop_path)
    else:
        options = {"num_classes": num_classes, "in_chans": bands, "drop_path_rate": drop_path or None}
        network = check_network(_create_timm(name, image_size, weights == "timm", options))
        _probe(network, name, image_size, bands)
    if weights not in (None, "timm"):
        load_network(network, network_state(cast("str", weights), name, bands), where=cast("str", weights))
    return network


def _create_mnist_cnn(num_classes: int, bands: int, weights: str | None, drop_path: float) -> MnistCnn:
    if drop_path:
        raise ConfigError(f"drop_path: {MNIST_CNN} has no stochastic depth; set it to 0; got {drop_path}")
    refuse_offered(weights, MNIST_CNN)
    return MnistCnn(num_classes, bands)


def _create_timm(name: str, image_size: int, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    if not timm.is_model(name.split(".", 1)[0]):
        raise ConfigError(no_such_backbone(name, [MNIST_CNN, *timm.list_models()]))
    create = load_timm if pretrained else timm.create_model
    known = timm.get_pretrained_cfg(name)
    sized: dict[str, Any] = {"img_size": image_size} if known is not None and known.fixed_input_size else {}
    try:
        return create(name, **options, **sized)
    except GeomoeError:  # errors of the weights, which are also builtin errors
        raise
    except TypeError as error:  # from the class to which timm passes the options
        if "drop_path_rate" in str(error):
            drop_path = options["drop_path_rate"]
            raise ConfigError(
                f"drop_path: {name} has no stochastic depth; set it to 0; got {drop_path}"
            ) from error
        if not sized or "img_size" not in str(error):
            raise
        only = cast("Any", known).input_size[-1]
        if image_size != only:
            raise ConfigError(
                f"image_size: {name} reads images of {only} px only; got {image_size}"
            ) from error
        return create(name, **options)
    except (AssertionError, ValueError) as error:
        raise ConfigError(
            f"image_size: {name} cannot be built for {image_size} px ({one_line(error)})"
        ) from error


def _probe(network: nn.Module, name: str, image_size: int, bands: int) -> None:
    """Run one image: some networks reduce a small image to nothing, some have several outputs."""
    fixed = network.pretrained_cfg.get("fixed_input_size")  # type: ignore[union-attr, operator]
    side = image_size if fixed else min(image_size, _LARGE)
    image = torch.linspace(-1, 1, bands * side * side).view(1, bands, side, side)
    training = network.training
    try:
        with torch.no_grad():
            expected = network.eval()(image)
            found = classify(network, pooled_features(network, image))
            same = found.shape == expected.shape and torch.allclose(found, expected, atol=1e-4)
    except (RuntimeError, AssertionError, IndexError, NotImplementedError) as error:
        raise ConfigError(
            f"backbone: {name} gives no pooled features of images of {image_size} px "
            f"({one_line(error)}); try larger images or another network"
        ) from error
    finally:
        network.train(training)
    if not same:
        raise ConfigError(
            f"backbone: {name} has no single classifier on pooled features; use another network"
        )


def check_network(network: nn.Module) -> nn.Module:
    """Check that a network has pooled features and one classifier for them.

    Raises:
        ConfigError: a vision transformer variant with its own forward pass, a network without timm's
            interface, or one with several classifiers or none.
    """
    if isinstance(network, VisionTransformerDistilled):
        raise ConfigError(
            "backbone: a distilled DeiT has two heads on two tokens, and this method needs one on pooled "
            "features; MoGE takes it; the DeiT without distillation has one, such as deit_tiny_patch16_224"
        )
    if isinstance(network, VisionTransformer):
        check_vit(network)
        return network
    name = type(network).__name__
    missing = [method for method in _INTERFACE if not callable(getattr(network, method, None))]
    if missing:
        raise ConfigError(
            f"backbone: expected a timm network, such as vit_tiny_patch16_224 or resnet50; "
            f"{name} has no {', '.join(missing)}"
        )
    found = network.get_classifier()  # type: ignore[operator]
    if not isinstance(found, nn.Module):
        raise ConfigError(f"backbone: {name} has several classifiers, or none; use one with a single one")
    return network


def width(network: nn.Module) -> int:
    """D of the pooled features."""
    return int(cast("int", getattr(network, "head_hidden_size", None) or network.num_features))


def pooled_features(network: nn.Module, image: Tensor) -> Tensor:
    """Image (B, bands, H, W) to pooled features (B, D), before the classifier.

    Raises:
        InputError: wrong number of bands, or a size that the network cannot read.
    """
    if isinstance(network, VisionTransformer):
        return image_features(network, image)
    bands = _bands(network)
    if image.ndim != 4 or image.shape[1] != bands:
        raise InputError(f"image: the network reads (B, {bands}, H, W); got {tuple(image.shape)}")
    return network.forward_head(network.forward_features(image), pre_logits=True)  # type: ignore[operator]


def classify(network: nn.Module, features: Tensor) -> Tensor:
    """Pooled features (B, D) to class scores (B, C)."""
    if isinstance(network, VisionTransformer):
        return network.head(features)
    return network.get_classifier()(features)  # type: ignore[operator]


def _bands(network: nn.Module) -> int:
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d)).in_channels
