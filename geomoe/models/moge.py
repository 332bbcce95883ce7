"""MoGE blocks in timm's vision transformers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError
from geomoe.models.families import Beside, Transformer
from geomoe.models.location import place_head
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
from geomoe.moe import MoGELayer, Plan, check_experts, copy_experts, create_router
from geomoe.types import BlockExperts, Experts, ModelOutput, Place, Routing, as_place

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder


class _Plans(NamedTuple):
    """What depends on places alone.

    Attributes:
        layers: block number -> plan of its layer.
        seen: (B, C) scores that the places add to those of the classifier; None: they add none.
    """

    layers: dict[int, Plan]
    seen: Tensor | None


class MoGEViT(Network):
    """A vision transformer in which some FFNs are complemented by specialists for places.

    The backbone object, its structure and its weights are not changed: the FFN of a MoGE block is its
    shared expert f_0, and the specialists are separate modules in ``layers``. So the shared expert alone
    (experts="shared", MoGE-SE) is exactly the backbone. Made by :func:`add_moge`.

    Args:
        backbone: a timm transformer: ViT, DeiT, BEiT or one of Eva's family.
        encoder: the location encoder phi; its embedding is the routers' input.
        layers: block number -> layer of specialists.
        expert_dropout: share of the samples that use only f_0 in training; one draw for all blocks.
        at_head: whether the place also changes the class scores directly: W LayerNorm(phi) is added to them,
            with W zero at first. Nothing is added where the shared expert is used alone, because it has no
            place.

    Raises:
        ConfigError: a backbone or block that cannot be used, or a share outside [0, 1).
    """

    backbone: Transformer
    encoder: LocationEncoder

    def __init__(
        self,
        backbone: nn.Module,
        encoder: LocationEncoder,
        layers: dict[int, MoGELayer],
        expert_dropout: float = 0.0,
        *,
        at_head: bool = False,
    ) -> None:
        vit = check_vit(backbone)
        if not 0 <= expert_dropout < 1:
            raise ConfigError(f"expert_dropout: expected a share from 0 to below 1; got {expert_dropout}")
        check_blocks(vit, tuple(layers))
        super().__init__(vit, encoder)
        self.layers = nn.ModuleDict({str(index): layers[index] for index in sorted(layers)})
        self.expert_dropout = expert_dropout
        self.place_head: nn.Sequential | None = None
        if at_head:
            head = place_head(encoder.out_dim, int(vit.num_classes))
            self.place_head = head.to(next(vit.parameters()).device)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Numbers of the MoGE blocks, counted from 0, ascending."""
        return tuple(int(index) for index in self.layers)

    @property
    def num_experts(self) -> int:
        """E, specialists in each MoGE block; the shared expert is not counted."""
        return self._banks()[0].num_experts

    @property
    def top_k(self) -> int:
        """K, specialists chosen for a sample."""
        return self._banks()[0].router.top_k

    @property
    def routes_places(self) -> bool:
        """Always true: a MoGE router reads only the place."""
        return True

    @property
    def has_shared(self) -> bool:
        """Always true: f_0."""
        return True

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Classify images with the experts of their places."""
        place = as_place(place)
        check_rows(image, place)
        plans, seen = self._plans(len(image), place, ask.experts)
        wanted = self.training if ask.shared_features is None else ask.shared_features
        tokens, beside = embed_tokens(self.backbone, image)
        features, outputs = [], []
        for index, block in enumerate(blocks_of(self.backbone)):
            if index not in plans:
                tokens = run_block_apart(self.backbone, index, tokens, beside)
                continue
            tokens = attend(self.backbone, index, tokens, beside)
            layer = cast("MoGELayer", self.layers[str(index)])
            mixed = layer.mix(block.norm2(tokens), plans[index], block.mlp, ask.cka_tokens, wanted)
            tokens = finish_block(self.backbone, index, tokens, mixed.y)
            features.append(mixed.shared_feature)
            outputs.append(mixed.expert_outputs)
        pooled, logits = read_out(self.backbone, tokens)
        return ModelOutput(
            logits=self._located(logits, seen),
            features=pooled,
            routings=tuple(plan.routing for plan in plans.values() if plan.routing is not None),
            shared_features=tuple(feature for feature in features if feature is not None),
            expert_outputs=tuple(output for output in outputs if output is not None),
        )

    def forward_many(
        self, image: Tensor, choices: Iterable[BlockExperts], place: Place | Tensor | None = None
    ) -> dict[BlockExperts, ModelOutput]:
        """Classify images once for each choice of experts; common parts are computed once.

        For evaluation: with two MoGE blocks near the end of the network, all forced experts cost about a
        third of separate calls. Arguments, results and errors as in :meth:`forward`, without the values for
        the losses.
        """
        place = as_place(place)
        check_rows(image, place)
        plans = {choice: self._plans(len(image), place, choice) for choice in choices}
        return dict(self._walk(*embed_tokens(self.backbone, image), 0, plans))

    def forward_places(self, image: Tensor, places: Sequence[Place]) -> list[ModelOutput]:
        """Classify the same images at several places each; blocks before the first MoGE block run once."""
        for place in places:
            check_rows(image, place)
        plans = [self._plans(len(image), place, "all") for place in places]
        (tokens, beside), first = embed_tokens(self.backbone, image), self.blocks[0]
        for index in range(first):
            tokens = run_block_apart(self.backbone, index, tokens, beside)
        return [output for plan in plans for _, output in self._walk(tokens, beside, first, {"all": plan})]

    def _walk(
        self, tokens: Tensor, beside: Beside, start: int, plans: dict[BlockExperts, _Plans]
    ) -> Iterator[tuple[BlockExperts, ModelOutput]]:
        """Continue at block ``start`` with choices that agree so far; depth first, to store few tokens."""
        for index, block in enumerate(blocks_of(self.backbone)[start:], start):
            if str(index) not in self.layers:
                tokens = run_block_apart(self.backbone, index, tokens, beside)
                continue
            layer = cast("MoGELayer", self.layers[str(index)])
            tokens = attend(self.backbone, index, tokens, beside)
            normed = block.norm2(tokens)
            number = self.blocks.index(index)
            for here in dict.fromkeys(self._choices(choice)[number] for choice in plans):
                same = {
                    choice: plan for choice, plan in plans.items() if self._choices(choice)[number] == here
                }
                plan = next(iter(same.values())).layers[index]
                mixed = layer.mix(normed, plan, block.mlp, shared_feature=False)
                done = finish_block(self.backbone, index, tokens, mixed.y)
                yield from self._walk(done, beside, index + 1, same)
            return
        pooled, logits = read_out(self.backbone, tokens)
        # choices that agree in every block see the same place at the head
        logits = self._located(logits, next(iter(plans.values())).seen)
        for choice, (parts, _) in plans.items():
            routings = tuple(plan.routing for plan in parts.values() if plan.routing is not None)
            yield choice, ModelOutput(logits, pooled, routings)

    def route(self, embedding: Tensor) -> tuple[Routing, ...]:
        """Run only the routers: embeddings (B, L) to one Routing for each MoGE block."""
        return tuple(layer.router(embedding) for layer in self._banks())

    def companions(self) -> list[tuple[nn.Module, nn.Module]]:
        """The specialists and the router of each block, paired with the block's own FFN."""
        return [(self.layers[str(index)], blocks_of(self.backbone)[index].mlp) for index in self.blocks]

    def remove(self) -> Transformer:
        """Return the original transformer object, with its own FFNs in all blocks."""
        return self.backbone

    def _banks(self) -> list[MoGELayer]:
        return [cast("MoGELayer", layer) for layer in self.layers.values()]

    @staticmethod
    def _located(logits: Tensor, seen: Tensor | None) -> Tensor:
        """Scores (B, C) of the images with those of their places, (B, C) or None."""
        return logits if seen is None else logits + seen

    def _seen(self, embedding: Tensor | None, alone: bool, drop: Tensor | None) -> Tensor | None:
        """(B, C) scores of the places at the head; 0 for samples that use the shared expert alone."""
        if self.place_head is None or embedding is None or alone:
            return None
        scores = self.place_head(embedding)
        return scores if drop is None else torch.where(drop[:, None], 0, scores)

    def _plans(self, batch: int, place: Place | None, experts: BlockExperts) -> _Plans:
        """The plans of all blocks, made before the image is processed, because they depend only on places."""
        choices = self._choices(experts)
        embedding = None
        if "all" in choices or place is not None:
            embedding = self.embed_places(place)
        drop = None
        if "all" in choices and self.training and self.expert_dropout > 0:
            drop = torch.rand(batch, device=self._banks()[0].shared_weight.device) < self.expert_dropout
        layers = zip(self.blocks, self._banks(), choices, strict=True)
        plans = {index: layer.plan(embedding, batch, choice, drop) for index, layer, choice in layers}
        return _Plans(plans, self._seen(embedding, set(choices) == {"shared"}, drop))

    def _choices(self, experts: BlockExperts) -> tuple[Experts, ...]:
        choices = experts if isinstance(experts, tuple) else (experts,) * len(self.layers)
        if len(choices) != len(self.layers):
            raise ConfigError(
                f"experts: expected a choice for each of the {len(self.layers)} MoGE blocks; "
                f"got {len(choices)}"
            )
        for choice in choices:
            check_experts(choice, self.num_experts)
        return choices


def add_moge(
    vit: nn.Module,
    encoder: LocationEncoder,
    *,
    blocks: Sequence[int] = (8, 10),
    num_experts: int = 6,
    top_k: int = 3,
    router: str = "cosine",
    gamma: float = 0.5,
    learn_gamma: bool = False,
    expert_noise: float = 0.02,
    expert_dropout: float = 0.0,
    at_head: bool = False,
) -> MoGEViT:
    """Put MoGE blocks into a timm vision transformer.

    The transformer is not changed; with ``expert_noise=0`` its output does not change either.

    Args:
        vit: a timm ViT, DeiT, BEiT or one of Eva's family (EVA-02, DINOv3, rope ViTs), pretrained or not.
        encoder: the location encoder; its embedding is the routers' input.
        blocks: blocks whose FFN gets specialists, counted from 0.
        num_experts: specialists in each block; the shared expert is not counted.
        top_k: specialists chosen for a sample.
        router: "cosine" or "linear".
        gamma: weight of the shared expert, 0 to 1.
        learn_gamma: learn gamma for each block, starting from that value.
        expert_noise: noise on the copied FFNs, relative to each weight's standard deviation.
        expert_dropout: share of the samples that use only the shared expert, in training.
        at_head: whether a linear map of the normalised embedding is also added to the class scores.

    Returns:
        The network; ``remove()`` returns ``vit``.

    Raises:
        ConfigError: another kind of network, encoder or block, blocks that do not exist or are given twice,
            top_k above num_experts, or a number out of range.
    """
    if isinstance(vit, MoGEViT):
        raise ConfigError("vit: it has MoGE blocks already; add them to vit.remove()")
    backbone = check_vit(vit)
    if not isinstance(encoder, nn.Module):
        got = type(encoder).__name__
        raise ConfigError(f"encoder: expected what geomoe.create_encoder returns; got {got}")
    chosen = check_blocks(backbone, blocks)
    layers = {}
    for index in chosen:
        ffn = check_block(backbone, index).mlp
        experts = copy_experts(ffn, num_experts, expert_noise)
        layer = MoGELayer(
            experts, create_router(router, encoder.out_dim, num_experts, top_k), gamma, learn_gamma
        )
        layers[index] = layer.to(next(ffn.parameters()).device)
    return MoGEViT(backbone, encoder, layers, expert_dropout, at_head=at_head)
