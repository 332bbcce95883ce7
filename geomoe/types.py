"""The types that geomoe's packages exchange.

Legend of shapes, used in names and docstrings everywhere:

====  =======================================================
B     samples in a batch
N     tokens of a sample (class token included)
D     width of a token
L     width of a location embedding
F     width of the fixed location features (before the trainable head)
E     experts (specialists; the shared expert is not counted)
K     experts chosen for a sample (top-k)
C     classes
M     MoGE blocks in a network
R     rows (tokens) that the diversity loss sees
G     training domains
====  =======================================================

All types here are ``NamedTuple``: immutable and unpackable, and Lightning can move them between devices.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from geomoe.errors import CoordinateError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor

#: Experts to use: all (MoGE), only the shared one (MoGE-SE), or one specialist by number.
Experts = Literal["all", "shared"] | int

#: One choice for all MoGE blocks, or one for each of them, in order.
BlockExperts = Experts | tuple[Experts, ...]

#: Domain id of a sample of unknown domain.
UNKNOWN_DOMAIN = -1


class Place(NamedTuple):
    """Places of samples: the type used for them from the data set to the encoder.

    A place is unknown if and only if its lonlat is (NaN, NaN); there is no separate mask. Features of such a
    row are not read (except by encoders of domain ids, whose feature is the id).

    Attributes:
        lonlat: (B, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown.
        domain: (B,) int64 domain ids; -1 where the domain is unknown.
        features: (B, F) fixed location features computed once for the data set, or None if the network has
            no location encoder or computes them itself.
    """

    lonlat: Tensor
    domain: Tensor
    features: Tensor | None = None

    @classmethod
    def of(cls, lonlat: Tensor, domain: Tensor | None = None, features: Tensor | None = None) -> Place:
        """Make places from tensors on one device; shapes are checked here, degrees by the encoder.

        Args:
            lonlat: (B, 2) floating degrees, longitude first; NaN, NaN where the place is unknown.
            domain: (B,) whole numbers, -1 where unknown; default: unknown everywhere.
            features: (B, F) fixed location features of an encoder; default: not computed yet.

        Raises:
            CoordinateError: lonlat has a wrong shape or type.
            InputError: domains or features do not have one row for each place.
        """
        if lonlat.ndim != 2 or lonlat.shape[1] != 2 or not lonlat.is_floating_point():
            msg = f"lonlat: expected floating (B, 2) degrees; got {tuple(lonlat.shape)} {lonlat.dtype}"
            raise CoordinateError(msg)
        count = len(lonlat)
        if domain is None:
            domain = lonlat.new_full((count,), UNKNOWN_DOMAIN).long()
        elif tuple(domain.shape) != (count,) or domain.is_floating_point():
            msg = f"domain: expected ({count},) whole numbers; got {tuple(domain.shape)} {domain.dtype}"
            raise InputError(msg)
        if features is not None and (features.ndim != 2 or len(features) != count):
            msg = f"features: expected ({count}, F), a row for each place; got {tuple(features.shape)}"
            raise InputError(msg)
        return cls(lonlat.double(), domain.long(), features)

    @classmethod
    def unknown(cls, count: int, device: torch.device | str | None = None) -> Place:
        """``count`` places of unknown lonlat and domain."""
        import torch

        return cls.of(torch.full((count, 2), math.nan, dtype=torch.float64, device=device))

    @property
    def known(self) -> Tensor:
        """(B,) bool: whether lonlat is not NaN."""
        return ~self.lonlat.isnan().any(dim=1)

    def take(self, rows: Tensor | slice) -> Place:
        """Select places by row numbers in any order, a (B,) bool mask, or a slice."""
        rows = _numbers(rows)
        features = None if self.features is None else self.features[rows]
        return Place(self.lonlat[rows], self.domain[rows], features)

    def to(self, device: torch.device | str) -> Place:
        """Move the places to another device."""
        features = None if self.features is None else self.features.to(device)
        return Place(self.lonlat.to(device), self.domain.to(device), features)


def as_place(place: Place | Tensor | None) -> Place | None:
    """Convert the place argument of a network, a Place, lonlat (B, 2) or None, to a Place or None.

    Raises:
        CoordinateError: not a tensor, or not floating (B, 2).
    """
    if place is None or isinstance(place, Place):
        return place
    if not hasattr(place, "new_full"):  # a numpy array, or lists: torch is not imported here
        got = type(place).__name__
        msg = f"lonlat: expected a tensor (B, 2) of degrees; got {got}; give torch.as_tensor(...)"
        raise CoordinateError(msg)
    return Place.of(place)


def _numbers(rows: Tensor | slice) -> Tensor | slice:
    """Convert a mask to row numbers, so that the host and a GPU synchronise once and not for each tensor."""
    import torch

    masked = not isinstance(rows, slice) and rows.dtype == torch.bool
    return rows.nonzero().squeeze(1) if masked else rows  # type: ignore[union-attr]


class Batch(NamedTuple):
    """One batch, on one device, normalised and augmented: the input of models and algorithms.

    Attributes:
        image: (B, bands, height, width) float32.
        label: (B,) int64 class ids.
        place: places and domains of the images.
        index: (B,) int64 row of each sample in its data set.
    """

    image: Tensor
    label: Tensor
    place: Place
    index: Tensor  # type: ignore[assignment]  # the field hides tuple.index, which is not used

    @property
    def lonlat(self) -> Tensor:
        """(B, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown."""
        return self.place.lonlat

    @property
    def domain(self) -> Tensor:
        """(B,) int64 domain ids; -1 where the domain is unknown."""
        return self.place.domain

    def take(self, rows: Tensor | slice) -> Batch:
        """Select samples by row numbers in any order, a (B,) bool mask, or a slice."""
        rows = _numbers(rows)
        return Batch(self.image[rows], self.label[rows], self.place.take(rows), self.index[rows])

    def parts(self, *, unknown: bool = False) -> Iterator[tuple[int, Batch]]:
        """Split the batch by domain, ascending; each part has its samples in the order of the batch.

        More domains do not make the host wait more often for the device; a batch of one domain is not copied.

        Args:
            unknown: also yield the samples of unknown domain, first, as domain -1; else they are omitted.

        Yields:
            The id of a domain in the batch, and its samples.
        """
        ids, counts = self.domain.unique(return_counts=True)
        found = list(zip(ids.tolist(), counts.tolist(), strict=True))
        order = self.domain.argsort(stable=True).split([count for _, count in found])
        for (domain, _), rows in zip(found, order, strict=True):
            if domain != UNKNOWN_DOMAIN or unknown:
                yield domain, self if len(found) == 1 else self.take(rows)


class Routing(NamedTuple):
    """The decision of one router for a batch.

    Attributes:
        weights: (B, E) gate weights: zero outside the top-k, each row sums to 1.
        probs: (B, E) softmax over all experts, before the top-k choice.
        logits: (B, E) router scores (float32).
    """

    weights: Tensor
    probs: Tensor
    logits: Tensor

    @property
    def top1(self) -> Tensor:
        """(B,) int64: the expert with the largest weight, the sample's learned domain."""
        return self.logits.argmax(dim=1)


class TokenRouting(NamedTuple):
    """The decision of one router that reads the tokens of images, for all T tokens of a batch.

    Attributes:
        scores: (T, E) router scores (float32), without noise.
        noisy: (T, E) the scores by which experts were chosen; in training some routers add noise.
        weights: (T, E) gate weights; zero for experts that a token does not use.
        chosen: (T, E) bool: which experts process which token.
        unserved: (D,) sum of the tokens that no expert processes, without gradient.
    """

    scores: Tensor
    noisy: Tensor
    weights: Tensor
    chosen: Tensor
    unserved: Tensor


class ModelOutput(NamedTuple):
    """The output of every model of geomoe.

    Attributes:
        logits: (B, C) class scores.
        features: (B, D) pooled features, before the classifier.
        routings: one :class:`Routing` for each MoGE block, in order (empty without experts).
        shared_features: one (B, D) token mean of the shared expert's output for each MoGE block.
        expert_outputs: one (E, R, D) tensor for each MoGE block: every expert on the same R rows
            (only if requested).
        head_logits: (B, G, C) class scores of the heads of G training domains, from networks with such heads.
        domain_scores: (B, G) one number for each sample and training domain: relations, from networks with
            heads of domains; logits of the domain, from networks that predict it.

        token_routings: one :class:`TokenRouting` for each block whose router reads tokens; ``routings`` then
            holds their means over the tokens of each image.
    """

    logits: Tensor
    features: Tensor
    routings: tuple[Routing, ...] = ()
    shared_features: tuple[Tensor, ...] = ()
    expert_outputs: tuple[Tensor, ...] = ()
    head_logits: Tensor | None = None
    domain_scores: Tensor | None = None

    token_routings: tuple[TokenRouting, ...] = ()


class LossTerms(NamedTuple):
    """A training loss: the scalar to minimise and its parts, each already weighted.

    Attributes:
        total: () the sum that is differentiated.
        named: name -> () value of each part, detached or not; logged unchanged.
    """

    total: Tensor
    named: dict[str, Tensor]
