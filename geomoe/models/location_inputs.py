"""Networks that use the place without experts: by modulation, an MLP, or a token in every block.

These are the baselines that a mixture of experts has to beat: each of them can let the place change what
image features mean, and not only how likely a class is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.network import Ask, Network, check_rows, refuse_choice
from geomoe.models.networks import check_network, classify, pooled_features, width
from geomoe.models.vit import check_vit, embed_tokens, read_out, run_block
from geomoe.types import ModelOutput, Place, as_place

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder

_TOKEN_STD = 0.02  # as timm initialises the class token


class FiLMNetwork(Network):
    """The place scales and shifts the image features (FiLM, Perez et al., AAAI 2018, eq. 1 and 2).

    z' = g(m) * z + b(m), where g and b are one MLP on phi(m), and the backbone's own classifier reads z'.
    The MLP's last layer starts at g = 1 and b = 0, so that a new network answers as its backbone does.

    Args:
        backbone: a timm network with its classifier.
        encoder: the location encoder phi.
        hidden: width of the MLP's hidden layer.

    Raises:
        ConfigError: a network without timm's interface, or no hidden width.
    """

    def __init__(self, backbone: nn.Module, encoder: LocationEncoder, hidden: int = 128) -> None:
        super().__init__(check_network(backbone), encoder)
        self.film = _mlp(encoder.out_dim, hidden, 2 * width(backbone))
        last = cast("nn.Linear", self.film[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify modulated features; the returned features are those of the image alone."""
        refuse_choice(ask.experts, "FiLMNetwork")
        place = as_place(place)
        check_rows(image, place)
        more, shift = self.film(self.embed_places(place)).chunk(2, dim=1)
        features = pooled_features(self.backbone, image)
        return ModelOutput(classify(self.backbone, features * (1 + more) + shift), features)


class LocationMLPNetwork(Network):
    """Image features and location embedding, side by side and normalised, through an MLP.

    The head of :class:`~geomoe.models.LocationNetwork` is linear; here the place can change what the image
    features mean.

    Args:
        backbone: a timm network; its classifier is removed.
        encoder: the location encoder phi.
        num_classes: C.
        hidden: width of the MLP's hidden layer.

    Raises:
        ConfigError: a network without timm's interface, no classes or no hidden width.
    """

    def __init__(
        self, backbone: nn.Module, encoder: LocationEncoder, num_classes: int, hidden: int = 256
    ) -> None:
        network = check_network(backbone)
        if num_classes < 1:
            raise ConfigError(f"num_classes: expected at least 1; got {num_classes}")
        network.reset_classifier(0)  # type: ignore[operator]
        super().__init__(network, encoder)
        self.norm_image = nn.LayerNorm(width(network))
        self.norm_location = nn.LayerNorm(encoder.out_dim)
        self.head = _mlp(width(network) + encoder.out_dim, hidden, num_classes)

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images by content and place; the returned features are those of the image alone."""
        refuse_choice(ask.experts, "LocationMLPNetwork")
        place = as_place(place)
        check_rows(image, place)
        embedding = self.embed_places(place)
        features = pooled_features(self.backbone, image)
        both = torch.cat([self.norm_image(features), self.norm_location(embedding)], dim=1)
        return ModelOutput(self.head(both), features)


class LocationTokenViT(Network):
    """The place as one more token of every block of a vision transformer.

    Block b attends to its tokens and to t_b = W_b phi(m) + c_b, and t_b is removed after the block. So every
    block sees the place itself, and pooling sees only the tokens of the image.

    Args:
        backbone: a timm VisionTransformer.
        encoder: the location encoder phi.

    Raises:
        ConfigError: another kind of network.
    """

    backbone: VisionTransformer

    def __init__(self, backbone: nn.Module, encoder: LocationEncoder) -> None:
        vit = check_vit(backbone)
        if type(vit) is not VisionTransformer:  # other families give each token a position of its own
            kind = type(vit).__name__
            raise ConfigError(f"backbone: a token of the place needs timm's VisionTransformer; got {kind}")
        super().__init__(vit, encoder)
        self.tokens = nn.ModuleList(nn.Linear(encoder.out_dim, vit.embed_dim) for _ in vit.blocks)
        for layer in self.tokens:
            nn.init.trunc_normal_(cast("nn.Linear", layer).weight, std=_TOKEN_STD)
            nn.init.zeros_(cast("nn.Linear", layer).bias)

    def companions(self) -> list[tuple[nn.Module, nn.Module]]:
        """Each block's projection of the place, paired with the block."""
        return list(zip(self.tokens, self.backbone.blocks, strict=True))

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images whose blocks attend to the place."""
        refuse_choice(ask.experts, "LocationTokenViT")
        place = as_place(place)
        check_rows(image, place)
        embedding = self.embed_places(place)
        tokens, beside = embed_tokens(self.backbone, image)
        for index, layer in enumerate(self.tokens):
            here = layer(embedding)[:, None].to(tokens.dtype)
            tokens = run_block(self.backbone, index, torch.cat([tokens, here], dim=1), beside)[:, :-1]
        features, logits = read_out(self.backbone, tokens)
        return ModelOutput(logits, features)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    if hidden < 1:
        raise ConfigError(f"hidden: expected at least 1; got {hidden}")
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
