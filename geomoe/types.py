"""What travels between the rooms of geomoe.

Shape legend, used in names and docstrings everywhere:

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
====  =======================================================

Everything here is a ``NamedTuple``: immutable, unpackable, and moved between devices by Lightning
as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

#: Which experts answer: all (MoGE), the shared one alone (MoGE-SE), or one specialist by number.
Experts = Literal["all", "shared"] | int

#: One choice for all MoGE blocks, or one for each of them, in order.
BlockExperts = Experts | tuple[Experts, ...]

#: Domain id of a sample whose domain is not known.
UNKNOWN_DOMAIN = -1


class Batch(NamedTuple):
    """One batch, on one device, normalised and augmented: what a model and an algorithm see.

    Attributes:
        image: (B, bands, height, width) float32.
        label: (B,) int64 class ids.
        lonlat: (B, 2) float64 degrees, longitude first; NaN, NaN where the place is unknown.
        has_location: (B,) bool.
        domain: (B,) int64 domain ids; -1 where the domain is unknown.
        index: (B,) int64 row of each sample in its data set.
        location_features: (B, F) fixed location features computed once for the data set, or None
            when the model has no location encoder or is to compute them itself.
    """

    image: Tensor
    label: Tensor
    lonlat: Tensor
    has_location: Tensor
    domain: Tensor
    index: Tensor  # type: ignore[assignment]  # the field's name; nobody calls tuple.index here
    location_features: Tensor | None = None


class Routing(NamedTuple):
    """What one router decided for a batch.

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


class ModelOutput(NamedTuple):
    """What every model of geomoe returns.

    Attributes:
        logits: (B, C) class scores.
        features: (B, D) pooled features, before the classifier.
        routings: one :class:`Routing` for each MoGE block, in order (empty without experts).
        shared_features: one (B, D) token mean of the shared expert's output for each MoGE block.
        expert_outputs: one (E, R, D) tensor for each MoGE block: every expert on the same R rows
            (filled only where it was asked for).
    """

    logits: Tensor
    features: Tensor
    routings: tuple[Routing, ...] = ()
    shared_features: tuple[Tensor, ...] = ()
    expert_outputs: tuple[Tensor, ...] = ()


class LossTerms(NamedTuple):
    """A training loss: the scalar to minimise and its parts, each already weighted.

    Attributes:
        total: () the sum that is differentiated.
        named: name -> () value of each part, detached or not; logged as they are.
    """

    total: Tensor
    named: dict[str, Tensor]
