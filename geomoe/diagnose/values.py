"""The typed values of a diagnosis; field names are the keys of ``diagnosis.json`` (docs/diagnose.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

from geomoe.diagnose.layer_values import Layer, Row

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
        split_samples: number of samples in its split.
        trained_on: number of the samples used here that are in its training split; None: not counted.
        encoder: location encoder; None: places are ignored.
        backbone: backbone of the network.
        experts: E; 0 without experts.
        layers: names of the layers with experts.
        answers: number of answers computed for each image: normal, with forced experts, at other places.
    """

    name: str
    checkpoint: str
    algorithm: str
    seed: int
    held_out: str | None
    split_samples: int
    trained_on: int | None
    encoder: str | None
    backbone: str
    experts: int
    layers: tuple[str, ...]
    answers: int


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
        accuracy: mean accuracy over classes.
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
    """How one change of the places changes the answers.

    Attributes:
        what: how the places were changed.
        samples: number of samples whose place was changed.
        distance_km: median distance from the true place; None if places were dropped.
        accuracy: accuracy on these samples at the other places.
        loss: accuracy at the true places minus ``accuracy``.
        loss_interval: 95 % interval of ``loss``, by resampling spatial blocks; None with fewer than two
            blocks.
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
        accuracy: accuracy on all samples.
        accuracy_by_domain: domain -> accuracy.
        layers: diagnostics of each layer with experts.
        probe: domain probe of the features; None: no class has two domains with enough samples.
        discrepancy: mean energy distance of the pooled features between two domains of a class.
        geography: effects of other places; empty: no place is known, or the network has no encoder of places.
        land: layer -> its dominant expert at points spread evenly over land, one character for each point: 0
            to 9, then a to z; empty for a single checkpoint, or if the routers do not read places.
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
    """Mean energy distance on one router's selected slots.

    Attributes:
        own: that of the checkpoint that selected the slots, in the unit of its features.
        other: that of the other checkpoint, for the experts with the same numbers.
        other_matched: that of the other checkpoint, for the matched experts.
        unit_own: as ``own``, of features scaled to length 1.
        unit_other: as ``other``, of features scaled to length 1.
        unit_other_matched: as ``other_matched``, of features scaled to length 1.
    """

    own: float | None
    other: float | None
    other_matched: float | None
    unit_own: float | None
    unit_other: float | None
    unit_other_matched: float | None


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
        name: name of the layer.
        r: correlation of the responsibilities; None if one of them is constant.
        r_matched: the same with matched experts, the largest of all renumberings.
        r_mean: mean over all renumberings.
        r_worst: smallest of all renumberings.
        overlap: J of the selected slots.
        overlap_matched: the same with matched experts.
        partner: (E,) for each expert of the first, that of the second, matched by responsibilities.
        on_first: energy distances on the slots that the first checkpoint selects.
        on_second: energy distances on the slots that the second checkpoint selects.
        samples: agreement on the samples.
        map: agreement on points spread evenly over land; None: the routers do not read places.
        spare: slots without an expert in both, which are in none of the above; their partner is themselves.
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
    spare: tuple[int, ...] = ()

    @property
    def experts(self) -> int:
        """Number of slots with an expert in one of the two."""
        return len(self.partner) - len(self.spare)


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
    """Options of the diagnosis: see :class:`geomoe.diagnose.DiagnosisOptions`."""

    split: str
    split_of: str
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
        data_hash: hash of the data.
        domain_unit: word for a domain.
        samples: number of samples used.
        of: number of samples that could be drawn.
        domains: names of the domains that have samples.
        classes: names of the classes, by id.
        settings: options of the diagnosis.
        subjects: the checkpoints.
        found: their diagnostics, in the same order.
        pairs: all pairs of checkpoints.
        flags: red flags.
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
