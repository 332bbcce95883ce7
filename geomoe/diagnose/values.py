"""The typed values of a diagnosis; field names are the keys of ``diagnosis.json`` (docs/diagnose.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

Row = tuple[float | None, ...]
Matrix = tuple[Row, ...]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Subject:
    """A checkpoint that is diagnosed.

    Attributes:
        name: A, B, ..., by which the rest of the report calls it.
        checkpoint: file.
        algorithm: training method.
        seed: training seed.
        held_out: domain left out of training.
        split_samples: how many samples its split has.
        encoder: location encoder; None: places are ignored.
        backbone: backbone of the network.
        experts: E; 0 without experts.
        layers: names of the layers with experts.
        answers: how many answers were asked for each image: normal, with forced experts, at other places.
    """

    name: str
    checkpoint: str
    algorithm: str
    seed: int
    held_out: str | None
    split_samples: int
    encoder: str | None
    backbone: str
    experts: int
    layers: tuple[str, ...]
    answers: int


@dataclass(frozen=True)
class Routing:
    """How a layer distributes the samples; E experts, nats.

    Attributes:
        entropy: mean entropy of the gate weights.
        entropy_share: the same over ln E.
        load: (E,) mean gate weight.
        top1_share: (E,) share of samples with the largest weight there.
        load_deviation: standard deviation of ``load``, divisor E.
        most_deviation: the largest it can be, sqrt(E - 1) / E.
        most_load: largest of ``load``.
        spread: largest difference between two samples' weights of one expert.
        dead: experts with less than 5 % of their fair share.
        class_divergence: Jensen-Shannon divergence of cells from their class's template; None: no class is in
            two domains.
        domain_divergence: mean over pairs of domains.
        domain_divergences: (K, K) between domains, in the order of ``by_domain``.
        by_domain: P(e|d): domain -> (E,) mean gate weight.
        by_domain_class: P(e|d, y): domain -> class -> (E,).
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


@dataclass(frozen=True)
class Outputs:
    """How alike the experts of a layer are.

    Attributes:
        cosine: (E, E) mean cosine of the experts' outputs.
        cosine_mean: its mean off the diagonal.
        effective_rank: mean over samples, 1 to E.
        cka: (E, E) unbiased linear CKA.
        cka_mean: its mean off the diagonal.
        cka_rows: rows on which it was computed.
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
        by_domain: domain -> (E,) accuracy.
        routed: domain -> accuracy with normal routing.
        shared: domain -> accuracy of the shared expert alone; empty without one.
        by_top1: (E, E) row i: samples whose top-1 expert is i; column j: forced through expert j.
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
        slots: valid slots.
        selected: those with the largest responsibilities.
        responsibility: mean over the valid slots.
        energy_selected: mean energy distance of the selected slots, in the unit of the features.
        energy_all: the same over valid slots.
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
    """What a kind of permutation gives: mean and 95th percentile in nats, and the p-value of the observed."""

    mean: float
    high: float
    p: float


@dataclass(frozen=True)
class Shared:
    """Mutual information of the dominant expert with a property of the places.

    Attributes:
        samples: how many.
        nats: plug-in estimate.
        normalized: over the mean of both entropies, 0 to 1.
        chance: kind of permutation -> what it gives.
    """

    samples: int
    nats: float
    normalized: float
    chance: dict[str, Chance]


@dataclass(frozen=True)
class Layer:
    """Everything on one layer with experts; ``information``: property of the place -> what is shared."""

    name: str
    routing: Routing
    outputs: Outputs
    forced: Forced
    alignment: Alignment
    information: dict[str, Shared]


@dataclass(frozen=True)
class ProbeOfClass:
    """The probe within one class: accuracy, the most frequent domain's share, domains and samples."""

    accuracy: float
    chance: float
    domains: int
    samples: int


@dataclass(frozen=True)
class Probe:
    """Class-conditional domain probe of the pooled features.

    Attributes:
        accuracy: mean over classes.
        chance: mean share of the most frequent domain in these classes.
        uniform: mean of 1 / number of domains.
        classes: class -> the probe within it, for each class that has two domains.
    """

    accuracy: float
    chance: float
    uniform: float
    classes: dict[str, ProbeOfClass]


@dataclass(frozen=True)
class Change:
    """What other places do to the answers.

    Attributes:
        what: how the places were changed.
        samples: how many were changed.
        distance_km: median distance from the true place; None where places were dropped.
        accuracy: on these samples.
        loss: accuracy at the true places minus this.
        loss_interval: 95 %, by resampling spatial blocks; None with fewer than two.
        changed: share of the answers that changed.
        rerouted: for each layer, share of the samples with another top-1 expert.
    """

    what: str
    samples: int
    distance_km: float | None
    accuracy: float
    loss: float
    loss_interval: Interval | None
    changed: float
    rerouted: Row


@dataclass(frozen=True)
class Found:
    """All diagnostics of one checkpoint.

    Attributes:
        accuracy: on all samples.
        accuracy_by_domain: domain -> accuracy.
        layers: one for each layer with experts.
        probe: None: no class has two domains with enough samples.
        discrepancy: mean energy distance of the pooled features between two domains of a class.
        geography: what other places change; empty: no places, or a network without an encoder of places.
        land: layer -> its dominant expert at points spread evenly over land, a character for each: 0 to 9,
            then a to z; empty for one checkpoint alone, or routers that do not read places.
        left_out: what was left out, and why.
    """

    accuracy: float
    accuracy_by_domain: dict[str, float]
    layers: tuple[Layer, ...]
    probe: Probe | None
    discrepancy: float | None
    geography: tuple[Change, ...]
    land: dict[str, str]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class SlotEnergy:
    """Mean energy distance on one router's selected slots, in features scaled to length 1.

    Attributes:
        own: of the checkpoint that selected them.
        other: of the other one, same numbers of experts.
        other_matched: of the other one, matched experts.
    """

    own: float | None
    other: float | None
    other_matched: float | None


@dataclass(frozen=True)
class Matching:
    """How far two routers agree on the dominant expert: see :class:`geomoe.metrics.agreement.Agreement`."""

    count: int
    same: float
    matched: float
    adjusted_rand: float
    partner: tuple[int, ...]


@dataclass(frozen=True)
class PairLayer:
    """One layer in two checkpoints.

    Attributes:
        name: of the layer.
        r: correlation of the responsibilities; None where one is constant.
        r_matched: the same with matched experts, the largest of all renumberings.
        r_mean: mean over all renumberings.
        r_worst: smallest of all renumberings.
        overlap: J of the selected slots.
        overlap_matched: the same with matched experts.
        partner: (E,) for each expert of the first, that of the second, matched by responsibilities.
        on_first: energy distance on the first one's selected slots.
        on_second: on the second one's.
        samples: agreement on the samples.
        map: agreement on points spread evenly over land; None: routers that do not read places.
    """

    name: str
    r: float | None
    r_matched: float | None
    r_mean: float | None
    r_worst: float | None
    overlap: float | None
    overlap_matched: float | None
    partner: tuple[int, ...]
    on_first: SlotEnergy
    on_second: SlotEnergy
    samples: Matching
    map: Matching | None


@dataclass(frozen=True)
class Pair:
    """Two checkpoints, by name; ``same_answers``: share of the samples with the same predicted class."""

    first: str
    second: str
    same_answers: float
    layers: tuple[PairLayer, ...]


@dataclass(frozen=True)
class Flag:
    """A warning: kind (such as ``collapsed``), where (such as ``A, block 8``), and what, in words."""

    kind: str
    where: str
    text: str


@dataclass(frozen=True)
class Settings:
    """What was asked: see :class:`geomoe.diagnose.DiagnosisOptions`."""

    split: str
    seed: int
    km: tuple[float, ...]
    permutations: int
    alpha: float
    top_percent: float
    climate: bool


@dataclass(frozen=True, kw_only=True)
class Diagnosed:
    """All results.

    Attributes:
        data: name of the data set.
        data_hash: its hash.
        domain_unit: word for a domain.
        samples: how many were used.
        of: how many there are in the split of every checkpoint.
        domains: names of the domains that have samples.
        classes: names of the classes, by id.
        settings: what was asked.
        subjects: the checkpoints.
        found: their diagnostics, in the same order.
        pairs: all pairs of checkpoints.
        flags: what to look at.
    """

    data: str
    data_hash: str | None
    domain_unit: str
    samples: int
    of: int
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    settings: Settings
    subjects: tuple[Subject, ...]
    found: tuple[Found, ...]
    pairs: tuple[Pair, ...] = ()
    flags: tuple[Flag, ...] = field(default=())
