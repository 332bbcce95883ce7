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
    BackboneOptions,
    can_hold_experts,
    create_backbone,
    is_plain_vit,
    no_such_backbone,
    refuse_offered,
)
from geomoe.models.mnist_cnn import MNIST_CNN, MnistCnn
from geomoe.models.named_weights import load_timm
from geomoe.models.vit import check_vit, image_features
from geomoe.support.options import call_options

_INTERFACE = ("forward_features", "forward_head", "get_classifier", "reset_classifier")
_LARGE = 64  # pixels: no network reduces an image of this size to nothing


def create_network(
    name: str,
    options: BackboneOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of BackboneOptions
) -> nn.Module:
    """Build a backbone of any kind.

    Args:
        name: "vit_quick", "mnist_cnn" (DomainBed's, for digits) or the name of any timm network.
        options: its sizes and weights, as for :func:`~geomoe.models.create_backbone`; ``patch_size`` and
            ``mlp_ratio`` are for plain vision transformers only.
        **changes: fields of :class:`~geomoe.models.BackboneOptions` by name.

    Returns:
        A timm network with its classifier, or one with timm's interface.

    Raises:
        ConfigError: unknown network, one without pooled features, or a size or an option that it does not
            support.
        CheckpointError: weights that are missing, of another network, or cannot be fetched.
        DependencyNotFoundError: torchgeo weights, but torchgeo is not installed.
        TypeError: a size is missing, or no field of that name.
    """
    asked = call_options(BackboneOptions, options, changes)
    if name == QUICK or is_plain_vit(name) or (asked.patch_size is not None and can_hold_experts(name)):
        return check_network(create_backbone(name, asked))
    for key, lack in (
        ("mlp_ratio", "is no plain vision transformer"),
        ("patch_size", "has no patches to choose"),
    ):
        if getattr(asked, key) is not None:
            raise ConfigError(f"{key}: {name} {lack}; leave it out; got {getattr(asked, key)}")
    if name == MNIST_CNN:
        network: nn.Module = _create_mnist_cnn(asked)
    else:
        network = check_network(_create_timm(name, asked))
        _probe(network, name, asked.image_size, asked.bands)
    if asked.weights not in (None, "timm"):
        state = network_state(asked.weights, name, asked.bands)
        load_network(network, state, where=asked.weights)
    return network


def _create_mnist_cnn(asked: BackboneOptions) -> MnistCnn:
    if asked.drop_path:
        raise ConfigError(
            f"drop_path: {MNIST_CNN} has no stochastic depth; set it to 0; got {asked.drop_path}"
        )
    refuse_offered(asked.weights, MNIST_CNN)
    return MnistCnn(asked.num_classes, asked.bands)


def _create_timm(name: str, asked: BackboneOptions) -> nn.Module:
    if not timm.is_model(name.split(".", 1)[0]):
        raise ConfigError(no_such_backbone(name, [MNIST_CNN, *timm.list_models()]))
    create = load_timm if asked.weights == "timm" else timm.create_model
    options: dict[str, Any] = {
        "num_classes": asked.num_classes,
        "in_chans": asked.bands,
        "drop_path_rate": asked.drop_path or None,
    }
    known = timm.get_pretrained_cfg(name)
    sized: dict[str, Any] = (
        {"img_size": asked.image_size} if known is not None and known.fixed_input_size else {}
    )
    try:
        return create(name, **options, **sized)
    except GeomoeError:  # errors of the weights, which are also builtin errors
        raise
    except TypeError as error:  # from the class to which timm passes the options
        if "drop_path_rate" in str(error):
            raise ConfigError(
                f"drop_path: {name} has no stochastic depth; set it to 0; got {asked.drop_path}"
            ) from error
        if not sized or "img_size" not in str(error):
            raise
        only = cast("Any", known).input_size[-1]
        if asked.image_size != only:
            raise ConfigError(
                f"image_size: {name} reads images of {only} px only; got {asked.image_size}"
            ) from error
        return create(name, **options)
    except (AssertionError, ValueError) as error:
        raise ConfigError(
            f"image_size: {name} cannot be built for {asked.image_size} px ({one_line(error)})"
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
            f"backbone: {name} cannot be asked for pooled features of images of {image_size} px "
            f"({one_line(error)}); try larger images or another network"
        ) from error
    finally:
        network.train(training)
    if not same:
        raise ConfigError(
            f"backbone: {name} does not answer by one classifier on pooled features; use another network"
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
