"""The typed values of a report; field names are the keys of ``report.json`` (docs/formats.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

Interval = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """Scores of a set of samples.

    Attributes:
        count: number of samples.
        blocks: number of spatial blocks with samples.
        accuracy: share of correct predictions.
        macro_f1: mean F1 over the classes that occur.
        calibration_error: expected calibration error over 15 bins.
        accuracy_interval: low and high; None without bootstrap, or with fewer than two blocks.
        macro_f1_interval: the same for macro_f1.
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
    """Confidence bins: edges (one more than bins), and count, mean confidence and accuracy of each."""

    edges: tuple[float, ...]
    count: tuple[int, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        count: samples of the class.
        answered: samples that were given the class.
        correct: samples of the class that were given it.
        precision: correct / answered (user's accuracy); None: no sample was given the class.
        recall: correct / count (producer's accuracy); None: there are no samples of the class.
        f1: 2 correct / (count + answered); None if both are 0.
    """

    count: int
    answered: int
    correct: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Confusion:
    """Labels against answers.

    Attributes:
        classes: (C,) scores of each class, by id.
        label: class id of the samples of each cell of the confusion matrix that is not zero.
        answer: class id that they were given.
        count: number of samples in the cell.
    """

    classes: tuple[ClassScore, ...]
    label: tuple[int, ...]
    answer: tuple[int, ...]
    count: tuple[int, ...]


@dataclass(frozen=True)
class Groups:
    """A further grouping, such as years: name -> scores, and the group with the lowest accuracy."""

    parts: dict[str, Part]
    worst: str | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one choice of experts.

    Attributes:
        overall: scores of all samples.
        worst: name of the region with the lowest accuracy; None: no region counts.
        regions: name -> scores of each region with samples.
        source: under a held-out protocol, scores of all other regions together; None: no such samples.
        source_worst: the worst of these regions.
        held_out: scores of the held-out region.
        reliability: accuracy as a function of confidence.
        groups: kind of grouping -> its groups.
        confusion: labels against answers, of all samples; None in older reports.
        held_out_confusion: the same for the held-out region; None: no such samples.
    """

    overall: Part
    worst: str | None
    regions: dict[str, Part]
    source: Part | None
    source_worst: str | None
    held_out: Part | None
    reliability: Reliability
    groups: dict[str, Groups] = field(default_factory=dict)
    confusion: Confusion | None = None
    held_out_confusion: Confusion | None = None


@dataclass(frozen=True)
class Bootstrap:
    """How intervals were computed: resamples (0: none), confidence, and the resampling unit."""

    samples: int
    confidence: float
    unit: str


@dataclass(frozen=True)
class Places:
    """The samples by place and domain, as columns with one row for each place and domain.

    Attributes:
        step: side in degrees of the cells whose samples share a row; 0: only samples at the same place do.
        unplaced: number of samples with unknown place.
        domain: domain id; -1 if unknown.
        lon: degrees.
        lat: degrees.
        count: number of samples.
        correct: choice of experts -> number of correct samples.
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
    """One score from the package wilds and from geomoe; ``equal``: both are the same float32."""

    experts: str
    metric: str
    wilds: float
    geomoe: float
    equal: bool


@dataclass(frozen=True)
class Official:
    """Scores of the same predictions by the package wilds; ``problem``: why there are no rows."""

    package: str
    rows: tuple[OfficialRow, ...]
    problem: str | None


Row = tuple[float | None, ...]


@dataclass(frozen=True)
class Forced:
    """The forced-expert matrix of one MoGE block.

    Attributes:
        block: block number.
        counts: (E,) entry i: number of samples whose top-1 expert is i.
        accuracy: (E, E), row i: those samples, column j: all of them forced through expert j.
        routed: (E,) accuracy of the same rows with all experts.
        shared: (E,) accuracy of the same rows with only the shared expert.
    """

    block: int
    counts: tuple[int, ...]
    accuracy: tuple[Row, ...]
    routed: Row
    shared: Row


@dataclass(frozen=True)
class BlockRouting:
    """How one MoGE block distributes the samples.

    Attributes:
        block: block number.
        load: (E,) mean gate weight.
        top1_share: (E,) share of the samples for which the expert is top-1.
        load_by_region: region -> (E,) mean gate weight.
        dead: experts with less than 5 % of their fair share; see :func:`geomoe.metrics.dead_experts`.
        entropy: mean over samples, in nats; see :func:`geomoe.metrics.routing_entropy`.
        effective_experts: exponential of the entropy.
        region_information: normalised mutual information of top-1 expert and region; None: no region known.
        spare: slots without an expert, which methods with a changing number of experts have.
    """

    block: int
    load: tuple[float, ...]
    top1_share: tuple[float, ...]
    load_by_region: dict[str, tuple[float, ...]]
    dead: tuple[int, ...]
    entropy: float
    effective_experts: float
    region_information: float | None
    spare: tuple[int, ...] = ()


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
    """Analysis of the experts of a MoGE network, by block."""

    num_experts: int
    top_k: int
    blocks: tuple[int, ...]
    forced: tuple[Forced, ...]
    routing: tuple[BlockRouting, ...]
    cka: tuple[BlockCKA, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """All results of one checkpoint on one split.

    Fields with a default are missing from older reports.

    Attributes:
        checkpoint: checkpoint file.
        algorithm: training method.
        seed: training seed.
        data: name of the data set.
        data_hash: hash of the evaluated data.
        split: the evaluated split.
        split_seed: seed of the split.
        held_out: domain left out of training.
        options: configuration keys of the data that affect which samples are trained on or evaluated.
        protocol: the data set's name of its protocol.
        encoder: location encoder.
        backbone: backbone of the network.
        experts: evaluated choice of experts.
        classes: class names, by id.
        regions: domain names, by id.
        uncounted: domains that never count as the worst.
        domain_unit: word for a domain.
        bootstrap: how intervals were computed.
        scores: choice of experts -> scores.
        notes: notes for readers of the scores.
        beside: additional split -> choice of experts -> scores.
        official: scores by the package wilds.
        places: data of the map.
        experts_report: analysis of the experts.
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
        """Return the scores of one choice of experts; default: the evaluated choice."""
        return self.scores[str(self.experts if experts is None else experts)]
