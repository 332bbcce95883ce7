"""Vision transformers in which some FFNs are mixtures of experts, routed by the tokens themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.families import Beside, Transformer
from geomoe.models.network import Ask, Network, check_rows
from geomoe.models.vit import (
    attend,
    blocks_of,
    check_block,
    check_blocks,
    check_vit,
    embed_tokens,
    finish_block,
    read_out,
    run_block_apart,
)
from geomoe.moe import StackedFFN, TokenMoELayer, check_experts
from geomoe.moe.token_layer import TokenMixture
from geomoe.types import BlockExperts, Experts, ModelOutput, Place, as_place


class TokenMoEViT(Network):
    """A vision transformer in which experts for tokens replace some FFNs (GMoE, OMoE, DynMoE).

    There is no shared expert: the FFN of such a block is copied to the experts and removed from the backbone.
    Places are not read. Made by :func:`add_token_moe`.

    Args:
        backbone: a timm transformer.
        layers: block number -> layer of experts.

    Raises:
        ConfigError: a backbone or block that cannot be used.
    """

    backbone: Transformer

    def __init__(self, backbone: nn.Module, layers: dict[int, TokenMoELayer]) -> None:
        vit = check_vit(backbone)
        check_blocks(vit, tuple(layers))
        super().__init__(vit)
        for index in layers:
            vit.blocks[index].mlp = nn.Identity()
        self.layers = nn.ModuleDict({str(index): layers[index] for index in sorted(layers)})

    @property
    def blocks(self) -> tuple[int, ...]:
        """Numbers of the blocks with experts, counted from 0, ascending."""
        return tuple(int(index) for index in self.layers)

    @property
    def num_experts(self) -> int:
        """E, experts in each block that has experts."""
        return self.banks()[0].num_experts

    @property
    def alive(self) -> tuple[tuple[bool, ...], ...]:
        """For each block, which slots hold an expert."""
        return tuple(tuple(bank.router.slots().tolist()) for bank in self.banks())

    @property
    def top_k(self) -> int:
        """K, the largest number of experts of a token."""
        return self.banks()[0].router.top_k

    def banks(self) -> list[TokenMoELayer]:
        """The layers of experts, by block."""
        return [cast("TokenMoELayer", layer) for layer in self.layers.values()]

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images with the experts of their tokens; places and shared features are not used."""
        check_rows(image, as_place(place))
        choices = iter(self._choices(ask.experts))
        tokens, beside = embed_tokens(self.backbone, image)
        found: list[TokenMixture] = []
        for index, block in enumerate(blocks_of(self.backbone)):
            if str(index) not in self.layers:
                tokens = run_block_apart(self.backbone, index, tokens, beside)
                continue
            layer = cast("TokenMoELayer", self.layers[str(index)])
            tokens = attend(self.backbone, index, tokens, beside)
            mixture = layer(block.norm2(tokens), next(choices), ask.cka_tokens)
            tokens = finish_block(self.backbone, index, tokens, mixture.y)
            found.append(mixture)
        return self._output(tokens, found)

    def forward_many(
        self, image: Tensor, choices: Iterable[BlockExperts], place: Place | Tensor | None = None
    ) -> dict[BlockExperts, ModelOutput]:
        """Classify images once for each choice of experts; common parts are computed once.

        Arguments, results and errors as in :meth:`forward`.
        """
        check_rows(image, as_place(place))
        paths = {choice: self._choices(choice) for choice in choices}
        return dict(self._walk(*embed_tokens(self.backbone, image), 0, paths, []))

    def _walk(
        self,
        tokens: Tensor,
        beside: Beside,
        start: int,
        paths: dict[BlockExperts, tuple[Experts, ...]],
        found: list[TokenMixture],
    ) -> Iterator[tuple[BlockExperts, ModelOutput]]:
        """Continue at block ``start`` with choices that agree so far; depth first, to store few tokens."""
        for index, block in enumerate(blocks_of(self.backbone)[start:], start):
            if str(index) not in self.layers:
                tokens = run_block_apart(self.backbone, index, tokens, beside)
                continue
            layer = cast("TokenMoELayer", self.layers[str(index)])
            tokens = attend(self.backbone, index, tokens, beside)
            normed = block.norm2(tokens)
            for here in dict.fromkeys(path[len(found)] for path in paths.values()):
                same = {choice: path for choice, path in paths.items() if path[len(found)] == here}
                mixture = layer(normed, here)
                done = finish_block(self.backbone, index, tokens, mixture.y)
                yield from self._walk(done, beside, index + 1, same, [*found, mixture])
            return
        output = self._output(tokens, found)
        yield from ((choice, output) for choice in paths)

    def _output(self, tokens: Tensor, found: list[TokenMixture]) -> ModelOutput:
        pooled, logits = read_out(self.backbone, tokens)
        return ModelOutput(
            logits=logits,
            features=pooled,
            routings=tuple(one.routing for one in found),
            expert_outputs=tuple(one.expert_outputs for one in found if one.expert_outputs is not None),
            token_routings=tuple(one.tokens for one in found),
        )

    def _choices(self, experts: BlockExperts) -> tuple[Experts, ...]:
        choices = experts if isinstance(experts, tuple) else (experts,) * len(self.layers)
        if len(choices) != len(self.layers):
            blocks = len(self.layers)
            msg = f"experts: expected a choice for each of the {blocks} blocks; got {len(choices)}"
            raise ConfigError(msg)
        for choice in choices:
            if choice == "shared":
                raise ConfigError(
                    "experts: this network has no shared expert; use all or a number; got shared"
                )
            check_experts(choice, self.num_experts)
        return choices


def add_token_moe(
    vit: nn.Module,
    make_layer: Callable[[StackedFFN, int], TokenMoELayer],
    *,
    blocks: Sequence[int] = (8, 10),
    num_experts: int = 6,
    expert_noise: float = 0.0,
    dropout: float = 0.0,
) -> TokenMoEViT:
    """Replace FFNs of a timm vision transformer by experts for tokens.

    Args:
        vit: a timm transformer, pretrained or not; the FFNs are removed from it.
        make_layer: makes a layer from its experts and the width D of the tokens.
        blocks: blocks whose FFN is replaced, counted from 0.
        num_experts: E.
        expert_noise: noise on the copied FFNs, relative to each weight's standard deviation.
        dropout: dropout of the experts' hidden layer.

    Raises:
        ConfigError: another kind of network, block or FFN, blocks that do not exist or are given twice, or a
            number out of range.
    """
    backbone = check_vit(vit)
    layers = {}
    for index in check_blocks(backbone, blocks):
        ffn = check_block(backbone, index).mlp
        layer = make_layer(StackedFFN(ffn, num_experts, expert_noise, dropout), backbone.embed_dim)
        layers[index] = layer.to(next(ffn.parameters()).device)
    return TokenMoEViT(backbone, layers)
