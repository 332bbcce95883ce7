"""The typed values of one layer with experts, in a diagnosis; field names are keys of ``diagnosis.json``."""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[float | None, ...]
Matrix = tuple[Row, ...]


@dataclass(frozen=True)
class Routing:
    """How a layer distributes the samples over its E slots; entropies and divergences are in nats.

    Attributes:
        entropy: mean entropy of the gate weights.
        entropy_share: the same divided by the logarithm of the number of experts.
        load: (E,) mean gate weight.
        top1_share: (E,) share of the samples for which the slot has the largest gate weight.
        load_deviation: standard deviation of ``load`` over the m experts, divisor m.
        most_deviation: the largest it can be, sqrt(m - 1) / m.
        most_load: largest of ``load``.
        spread: largest difference between two samples' weights of one expert.
        dead: experts with less than 5 % of their fair share.
        class_divergence: mean Jensen-Shannon divergence of cells from their class's template; None: no class
            is in two domains.
        domain_divergence: mean Jensen-Shannon divergence between two domains.
        domain_divergences: (K, K) divergences between domains, in the order of ``by_domain``.
        by_domain: P(e|d): domain -> (E,) mean gate weight.
        by_domain_class: P(e|d, y): domain -> class -> (E,).
        spare: slots without an expert, which methods with a changing number of experts have.
    """

    entropy: float
    entropy_share: float
    load: Row
    top1_share: Row
    load_deviation: float
    most_deviation: float
    most_load: float
    spread: float
    dead: tuple[int, ...]
    class_divergence: float | None
    domain_divergence: float | None
    domain_divergences: Matrix
    by_domain: dict[str, Row]
    by_domain_class: dict[str, dict[str, Row]]
    spare: tuple[int, ...] = ()

    @property
    def experts(self) -> tuple[int, ...]:
        """Slots that hold an expert: all but the spare ones."""
        return tuple(slot for slot in range(len(self.load)) if slot not in self.spare)


@dataclass(frozen=True)
class Outputs:
    """How alike the experts of a layer are.

    Attributes:
        cosine: (E, E) mean cosine of the experts' outputs.
        cosine_mean: its mean off the diagonal, without spare slots.
        effective_rank: mean effective rank of a sample's outputs, 1 to the number of experts; without spare
            slots.
        cka: (E, E) unbiased linear CKA.
        cka_mean: its mean off the diagonal, without spare slots.
        cka_rows: number of rows (tokens) on which CKA was computed.
    """

    cosine: Matrix
    cosine_mean: float | None
    effective_rank: float | None
    cka: Matrix
    cka_mean: float | None
    cka_rows: int


@dataclass(frozen=True)
class Forced:
    """Accuracy when one expert of this layer serves every sample; the other layers route normally.

    Attributes:
        by_domain: domain -> (E,) accuracy; None in spare slots.
        routed: domain -> accuracy with normal routing.
        shared: domain -> accuracy of the shared expert alone; empty without one.
        by_top1: (E, E) accuracy; row i: samples whose top-1 expert is i; column j: forced through expert j.
            None without samples, and in spare slots.
        top1_counts: (E,) samples in each row.
    """

    by_domain: dict[str, Row]
    routed: dict[str, float]
    shared: dict[str, float]
    by_top1: Matrix
    top1_counts: tuple[int, ...]


@dataclass(frozen=True)
class Alignment:
    """Slots (expert, two domains, class) of a layer, and the energy distance between their two sides.

    Attributes:
        slots: number of valid slots.
        selected: number of selected slots, those with the largest responsibilities.
        responsibility: mean responsibility over the valid slots.
        energy_selected: mean energy distance of the selected slots, in the unit of the features.
        energy_all: the same over all valid slots.
        unit_selected: as ``energy_selected``, of features scaled to length 1.
        unit_all: as ``energy_all``, of features scaled to length 1.
    """

    slots: int
    selected: int
    responsibility: float | None
    energy_selected: float | None
    energy_all: float | None
    unit_selected: float | None
    unit_all: float | None


@dataclass(frozen=True)
class Chance:
    """Mutual information under one kind of permutation: mean and 95th percentile in nats, and the p-value."""

    mean: float
    high: float
    p: float


@dataclass(frozen=True)
class Shared:
    """Mutual information of the dominant expert with a property of the places.

    Attributes:
        samples: number of samples that have the property.
        nats: plug-in estimate of the mutual information.
        normalized: mutual information divided by the mean of both entropies, 0 to 1.
        chance: kind of permutation -> the mutual information under it.
    """

    samples: int
    nats: float
    normalized: float
    chance: dict[str, Chance]


@dataclass(frozen=True)
class Layer:
    """All diagnostics of one layer with experts; ``information``: property of the place -> what is shared."""

    name: str
    routing: Routing
    outputs: Outputs
    forced: Forced
    alignment: Alignment
    information: dict[str, Shared]
