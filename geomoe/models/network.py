"""Base class of all networks in geomoe: from images and places to a ModelOutput."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from geomoe.errors import ConfigError, InputError
from geomoe.models.networks import width
from geomoe.support.text import counted
from geomoe.types import BlockExperts, ModelOutput, Place, Routing, as_place

if TYPE_CHECKING:
    from geomoe.encoders.base import LocationEncoder


class Ask(NamedTuple):
    """The keyword arguments of :meth:`Network.forward`."""

    experts: BlockExperts = "all"
    cka_tokens: int | None = None
    shared_features: bool | None = None


class Network(nn.Module):
    """A backbone, optionally with a location encoder and experts.

    Callers use the attributes of a network, never its type, to find out what it has. A network without
    experts has the attributes of this class; one with experts overrides them, :meth:`forward_many` and
    :meth:`route`.

    Args:
        backbone: the timm network.
        encoder: the location encoder phi; None: places are ignored.

    Attributes:
        backbone: the timm network.
        encoder: the location encoder, or None.
    """

    backbone: nn.Module
    encoder: LocationEncoder | None

    def __init__(self, backbone: nn.Module, encoder: LocationEncoder | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.encoder = encoder

    @property
    def feature_dim(self) -> int:
        """D, width of the pooled features."""
        return width(self.backbone)

    @property
    def backbones(self) -> tuple[nn.Module, ...]:
        """All timm networks that it holds: the backbone, and others if it has several."""
        return (self.backbone,)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Numbers of the MoGE blocks, counted from 0, ascending; none without experts."""
        return ()

    @property
    def num_experts(self) -> int:
        """E, specialists in each MoGE block (the shared expert is not counted); 0 without experts."""
        return 0

    @property
    def alive(self) -> tuple[tuple[bool, ...], ...]:
        """For each block, which of its E slots hold an expert; all, unless experts come and go."""
        return ((True,) * self.num_experts,) * len(self.blocks)

    @property
    def top_k(self) -> int:
        """K, specialists chosen for a sample; 0 without experts."""
        return 0

    @property
    def routes_places(self) -> bool:
        """Whether routers read the place alone, so that :meth:`route` answers without images."""
        return False

    @property
    def has_shared(self) -> bool:
        """Whether there is a shared expert, so that experts="shared" can be chosen."""
        return False

    def asks_place(self, place: Place) -> Tensor:
        """(B,) bool, whether the answer to a sample may depend on its place, and not on its domain alone."""
        return torch.full_like(place.domain, self.encoder is not None, dtype=torch.bool)

    def companions(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of a module outside the backbone and the backbone's module at whose depth it works."""
        return []

    def forward(
        self,
        image: Tensor,
        place: Place | Tensor | None = None,
        *,
        experts: BlockExperts = "all",
        cka_tokens: int | None = None,
        shared_features: bool | None = None,
    ) -> ModelOutput:
        """Classify images.

        Args:
            image: (B, bands, H, W).
            place: where they were taken: a Place, or only lonlat (B, 2): degrees, longitude first, NaN, NaN
                where unknown; may be omitted if no place is needed.
            experts: "all" (MoGE), "shared" (MoGE-SE, needs no place) or the number of one specialist that is
                used, together with the shared expert, for every sample; a tuple: one choice for each MoGE
                block. A network without experts accepts only "all".
            cka_tokens: number of random tokens of each sample on which every expert runs for the diversity
                loss; 0: all tokens; None: no ``expert_outputs``. Without experts: not used.
            shared_features: whether to return the shared experts' token means; None: in training.

        Returns:
            Class scores and image features; with experts also one entry for each MoGE block in ``routings``
            (empty if no place was given), ``shared_features`` and ``expert_outputs`` (if requested).

        Raises:
            ConfigError: experts that the network does not have, or missing places.
            InputError: images of another size or number of bands, or, if places are used, not one place for
                each image.
        """
        return self._answer(image, place, Ask(experts, cka_tokens, shared_features))

    def _answer(self, image: Tensor, place: Place | Tensor | None, ask: Ask) -> ModelOutput:
        """Implement :meth:`forward`, whose arguments it gets, in a subclass."""
        raise NotImplementedError

    def forward_many(
        self, image: Tensor, choices: Iterable[BlockExperts], place: Place | Tensor | None = None
    ) -> dict[BlockExperts, ModelOutput]:
        """Classify images once for each choice of experts; arguments and errors as in :meth:`forward`."""
        place = as_place(place)
        return {choice: self(image, place, experts=choice) for choice in choices}

    def forward_places(self, image: Tensor, places: Sequence[Place]) -> list[ModelOutput]:
        """Classify the same images at several places each; what does not depend on the place is shared.

        For evaluation. Results and errors as in :meth:`forward`, without the values for the losses.

        Args:
            image: (B, bands, H, W).
            places: one entry of B places for each output.
        """
        return [self(image, place) for place in places]

    def route(self, embedding: Tensor) -> tuple[Routing, ...]:
        """Run only the routers: embeddings (B, L) to one Routing for each MoGE block."""
        return ()

    def route_places(self, place: Place | Tensor) -> tuple[Routing, ...]:
        """Run only the routers, on places given as in :meth:`forward`."""
        return self.route(self.embed_places(place)) if self.routes_places else ()

    def embed_places(self, place: Place | Tensor | None) -> Tensor:
        """Location embeddings (B, L) of places, from their fixed features if these are given.

        Raises:
            ConfigError: no places, or a network without a location encoder.
        """
        if self.encoder is None:
            raise ConfigError(f"encoder: {type(self).__name__} has no location encoder")
        return self.encoder(need_place(place))


def need_place(place: Place | Tensor | None) -> Place:
    """The place argument of a network that needs one.

    Raises:
        ConfigError: no places.
        CoordinateError: a tensor that is not floating (B, 2).
    """
    given = as_place(place)
    if given is None:
        raise ConfigError("lonlat: this network needs places; give lon, lat degrees, NaN, NaN where unknown")
    return given


def check_rows(image: Tensor, place: Place | None) -> None:
    """Check that images are a tensor, and that there is one place for each.

    Raises:
        InputError: no tensor (B, bands, H, W), or a wrong number of places.
    """
    if not isinstance(image, Tensor) or image.ndim != 4:
        given = f"{tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise InputError(f"image: expected a tensor (B, bands, H, W); got {given}")
    if place is not None and len(place.lonlat) != len(image):
        images = counted(len(image), "image")
        raise InputError(f"place: expected one for each of the {images}; got {len(place.lonlat)}")


def refuse_choice(experts: BlockExperts, network: str) -> None:
    """Refuse a choice of experts in a network without experts.

    Raises:
        ConfigError: experts other than "all".
    """
    if experts != "all":
        raise ConfigError(
            f"experts: {network} has no experts to choose from; leave it at all; got {experts!r}"
        )
