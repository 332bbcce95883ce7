"""What a report holds, as typed values; the names are the keys of ``report.json`` (docs/formats.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

Interval = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """Scores of some samples.

    Attributes:
        count: how many.
        blocks: spatial blocks with samples.
        accuracy: share that is right.
        macro_f1: mean F1 over the classes that occur.
        calibration_error: expected, over 15 bins.
        accuracy_interval: low and high; None without bootstrap, or with fewer than two blocks to draw.
        macro_f1_interval: the same of macro_f1.
    """

    count: int
    blocks: int
    accuracy: float
    macro_f1: float
    calibration_error: float
    accuracy_interval: Interval | None
    macro_f1_interval: Interval | None


@dataclass(frozen=True)
class Reliability:
    """Bins of confidence: their edges (one more), and samples, mean confidence and accuracy in each."""

    edges: tuple[float, ...]
    count: tuple[int, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]


@dataclass(frozen=True)
class Groups:
    """A further grouping, such as years: name -> scores, and the one with the lowest accuracy."""

    parts: dict[str, Part]
    worst: str | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one choice of experts.

    Attributes:
        overall: of all samples.
        worst: name of the region with the lowest accuracy; None: none counts.
        regions: name -> scores, those with samples.
        source: under a held-out protocol all other regions together; None: no such samples.
        source_worst: the worst of them.
        held_out: the held-out region.
        reliability: how often it is right, by how sure it is.
        groups: further groupings by what they are.
    """

    overall: Part
    worst: str | None
    regions: dict[str, Part]
    source: Part | None
    source_worst: str | None
    held_out: Part | None
    reliability: Reliability
    groups: dict[str, Groups] = field(default_factory=dict)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals were made: resamples (0: none), confidence, and what is drawn whole."""

    samples: int
    confidence: float
    unit: str


@dataclass(frozen=True)
class Places:
    """The samples by place and domain, as columns with one row for each.

    Attributes:
        step: degrees on a side of the cells whose samples share a row; 0: only those at one place do.
        unplaced: samples of unknown place.
        domain: id; -1 unknown.
        lon: degrees.
        lat: degrees.
        count: samples.
        correct: choice of experts -> how many of them are right.
    """

    step: float
    unplaced: int
    domain: tuple[int, ...]
    lon: tuple[float, ...]
    lat: tuple[float, ...]
    count: tuple[int, ...]
    correct: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class OfficialRow:
    """One score by a data set's own package and by geomoe; ``equal``: the same float32."""

    experts: str
    metric: str
    wilds: float
    geomoe: float
    equal: bool


@dataclass(frozen=True)
class Official:
    """What the package wilds says of the same predictions; ``problem``: why there are no rows."""

    package: str
    rows: tuple[OfficialRow, ...]
    problem: str | None


Row = tuple[float | None, ...]


@dataclass(frozen=True)
class Forced:
    """The forced-expert matrix of one MoGE block.

    Attributes:
        block: its number.
        counts: (E,) samples whose top-1 expert is i.
        accuracy: (E, E), row i: those samples, column j: all of them forced through expert j.
        routed: (E,) the same rows with all experts.
        shared: (E,) the same rows with the shared expert alone.
    """

    block: int
    counts: tuple[int, ...]
    accuracy: tuple[Row, ...]
    routed: Row
    shared: Row


@dataclass(frozen=True)
class BlockRouting:
    """How one MoGE block shares out the samples.

    Attributes:
        block: its number.
        load: (E,) mean gate weight.
        top1_share: (E,) share of the samples that it leads.
        load_by_region: region -> (E,) mean gate weight.
        dead: experts with less than 5 % of their fair share; see :func:`geomoe.metrics.dead_experts`.
        entropy: mean over samples, in nats; see :func:`geomoe.metrics.routing_entropy`.
        effective_experts: its exponential.
        region_information: normalised mutual information of top-1 expert and region; None: no region known.
    """

    block: int
    load: tuple[float, ...]
    top1_share: tuple[float, ...]
    load_by_region: dict[str, tuple[float, ...]]
    dead: tuple[int, ...]
    entropy: float
    effective_experts: float
    region_information: float | None


@dataclass(frozen=True)
class BlockCKA:
    """Linear CKA of the experts of one MoGE block: (E, E), its mean off the diagonal, rows, estimator."""

    block: int
    matrix: tuple[Row, ...]
    mean: float | None
    rows: int
    estimator: str


@dataclass(frozen=True)
class ExpertsReport:
    """A look into the experts of a MoGE network, block by block."""

    num_experts: int
    top_k: int
    blocks: tuple[int, ...]
    forced: tuple[Forced, ...]
    routing: tuple[BlockRouting, ...]
    cka: tuple[BlockCKA, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One checkpoint on one split: everything that was measured.

    Fields with a default are those that older reports lack.

    Attributes:
        checkpoint: the file.
        algorithm: method.
        seed: of training.
        data: name of the data set.
        data_hash: of what was judged.
        split: which of its splits.
        split_seed: of the split.
        held_out: domain left out of training.
        options: keys of the data's configuration that change which samples train or are judged.
        protocol: the data set's own name of its protocol.
        encoder: location encoder.
        backbone: of the network.
        experts: choice that was evaluated.
        classes: names, by id.
        regions: names of the domains, by id.
        uncounted: domains that never are the worst.
        domain_unit: what a domain is.
        bootstrap: how intervals were made.
        scores: choice of experts -> scores.
        notes: what a reader of the scores must know.
        beside: split beside this one -> choice of experts -> scores.
        official: scores by the package wilds.
        places: what the map is drawn from.
        experts_report: a look into the experts.
    """

    checkpoint: str
    algorithm: str
    seed: int
    data: str
    data_hash: str | None
    split: str
    split_seed: int
    held_out: str | None
    options: dict[str, str | int | float | None] | None = None
    protocol: str | None = None
    encoder: str | None = None
    backbone: str | None = None
    experts: str | int
    classes: tuple[str, ...]
    regions: tuple[str, ...]
    uncounted: tuple[str, ...] = ()
    domain_unit: str = "region"
    bootstrap: Bootstrap
    scores: dict[str, Scores]
    notes: tuple[str, ...] = ()
    beside: dict[str, dict[str, Part]] = field(default_factory=dict)
    official: Official | None = None
    places: Places | None = None
    experts_report: ExpertsReport | None = None

    def scores_of(self, experts: str | int | None = None) -> Scores:
        """Scores for one choice of experts; default: the choice that was evaluated."""
        return self.scores[str(self.experts if experts is None else experts)]
