"""Evaluate one checkpoint on one split, and return one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.config.limits import MOST_BATCH, MOST_RESAMPLES
from geomoe.errors import InputError
from geomoe.evaluation.experts import cka_matrices, forced_matrices, routing_stats
from geomoe.evaluation.official import official_scores
from geomoe.evaluation.places import places_of
from geomoe.evaluation.reports.report import Report
from geomoe.evaluation.reports.values import Bootstrap, ExpertsReport, Part, Scores
from geomoe.evaluation.scores import part, score
from geomoe.inference import Predictor, load, open_split, predict_many
from geomoe.inference.sweep import forced_choices
from geomoe.support.options import call_options, within
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from geomoe.config import DataConfig
    from geomoe.datasets.base import LabelledImages
    from geomoe.inference import Predictions
    from geomoe.types import BlockExperts, Experts

#: Options of a data set that affect which samples are trained on or evaluated.
_PROTOCOL = ("protocol", "domain_by", "num_environments", "num_domains", "budget")


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What to evaluate, and how.

    Args:
        split: train, val, test, held_out, or another split of the data set (FMoW's id_test).
        experts: "all", "shared" or the number of the only specialist to use.
        data_root: folder of the data; default: the folder used by the run.
        bootstrap: resamples for each interval; 0: no intervals.
        confidence: confidence level of the intervals, between 0 and 1.
        diagnostics: for MoGE, analyse the experts (one more pass for each expert of each block).
        beside: whether to score the additional splits of the protocol.
        batch_size: images in a forward pass.
        device: auto, cpu, cuda, ...
        allow_vrt: whether to read VRTs; their sources must be in the folder of the data.

    Raises:
        InputError: the number of resamples or the confidence is invalid.
    """

    split: str = "test"
    experts: Experts = "all"
    data_root: str | PathLike[str] | None = None
    bootstrap: int = within(1000, at_least=0, at_most=MOST_RESAMPLES)
    confidence: float = 0.95
    diagnostics: bool = True
    beside: bool = True
    batch_size: int = within(256, at_least=1, at_most=MOST_BATCH)
    device: str = "auto"
    allow_vrt: bool = False

    def __post_init__(self) -> None:
        if self.bootstrap < 0 or not 0 < self.confidence < 1:
            found = f"{self.bootstrap} and {self.confidence}"
            raise InputError(f"bootstrap must be >= 0 and confidence inside (0, 1); got {found}")


class Evaluation(NamedTuple):
    """A report, and the values that it was made from.

    Attributes:
        report: the scores.
        predictions: choice of experts -> predictions on the samples of the split.
        predictor: the network.
        dataset: the split.
    """

    report: Report
    predictions: dict[str, Predictions]
    predictor: Predictor
    dataset: LabelledImages


class _Judging(NamedTuple):
    """A checkpoint, the split to evaluate it on, and the options."""

    predictor: Predictor
    dataset: LabelledImages
    options: EvaluationOptions

    @property
    def looks_inside(self) -> bool:
        """Return whether the experts are analysed."""
        return self.options.diagnostics and self.options.experts == "all" and self.predictor.num_experts > 0


def evaluate(
    checkpoint: str | PathLike[str],
    options: EvaluationOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of EvaluationOptions
) -> Report:
    """Evaluate a checkpoint on one split of the data set that it was trained on.

    Overall, per-region and worst-region accuracy, macro F1, calibration error, counts, and
    bootstrap intervals blocked in space (whole spatial blocks are drawn, because neighbours are
    not independent). If a region was held out, the source regions and the held-out region are
    scored separately. Further groups of the data set (years) are scored too, and further splits that its
    protocol requires (fmow-lao: ``pooled``). If places are known, the report has a map. With
    experts="all", a MoGE checkpoint is also evaluated with only its shared expert (MoGE-SE), and its
    experts are analysed: the forced-expert matrix, routing entropy and load, and the experts' CKA.

    For a data set of WILDS, and if the extra ``wilds`` is installed, wilds' own scores of the same
    predictions are listed next to ours.

    Args:
        checkpoint: a file written by ``geomoe train``.
        options: what to evaluate, and how; default: the test split.
        **changes: fields of :class:`EvaluationOptions` by name: ``evaluate(file, split="val")``.

    Raises:
        CheckpointError: the file is missing, not a geomoe checkpoint, corrupt or of another model.
        ConfigError: the checkpoint does not have these experts.
        InputError: the number of resamples or the confidence is invalid.
        DatasetNotFoundError: the data is missing.
    """
    return evaluate_fully(checkpoint, options, **changes).report


def evaluate_fully(
    checkpoint: str | PathLike[str],
    options: EvaluationOptions | None = None,
    **changes: Any,  # noqa: ANN401 - fields of EvaluationOptions
) -> Evaluation:
    """Evaluate like :func:`evaluate`, and also return the predictions, the network and the split."""
    asked = call_options(EvaluationOptions, options, changes)
    predictor = load(checkpoint, asked.device)
    predictor.check_experts(asked.experts)
    judging = _Judging(
        predictor, open_split(predictor, asked.split, root=asked.data_root, allow_vrt=asked.allow_vrt), asked
    )
    found = predict_many(predictor, judging.dataset, _choices(judging), batch_size=asked.batch_size)
    judged = {str(choice): found[choice] for choice in found if choice in (asked.experts, "shared")}
    scores = _scores(judging, judged)
    unit = judging.dataset.block_unit
    report = Report(
        **_facts(predictor, asked),
        checkpoint=Path(checkpoint).as_posix(),
        domain_unit=judging.dataset.domain_unit,
        bootstrap=Bootstrap(asked.bootstrap, asked.confidence, unit),
        scores=scores,
        notes=_notes(predictor, judging.dataset),
        beside=_scores_beside(judging, judged),
        official=official_scores(predictor.config.data.name, judging.dataset, judged, scores),
        places=places_of(judged),
        experts_report=_experts_report(judging, found) if judging.looks_inside else None,
    )
    return Evaluation(report, judged, predictor, judging.dataset)


def _choices(judging: _Judging) -> Sequence[BlockExperts]:
    predictor, experts = judging.predictor, judging.options.experts
    if not predictor.num_experts or experts != "all":
        return [experts]
    inside = judging.looks_inside
    forced = forced_choices(predictor.model.alive) if inside else []
    shared: list[BlockExperts] = ["shared"] if predictor.model.has_shared else []
    return ["all", *shared, *forced]


def _scores(judging: _Judging, judged: Mapping[str, Predictions]) -> dict[str, Scores]:
    """Return the scores of each evaluated choice of experts."""
    predictor, options = judging.predictor, judging.options
    dataset = judging.dataset
    groupings = dataset.groupings()
    return {
        choice: score(
            one,
            predictor.domains,
            predictor.config.data.held_out,
            uncounted=predictor.info.get("uncounted", []),
            groupings=groupings,
            bootstrap=options.bootstrap,
            confidence=options.confidence,
        )
        for choice, one in judged.items()
    }


def _experts_report(judging: _Judging, found: dict[BlockExperts, Predictions]) -> ExpertsReport:
    """Analyse the experts on this split."""
    predictor = judging.predictor
    return ExpertsReport(
        num_experts=predictor.num_experts,
        top_k=predictor.model.top_k,
        blocks=tuple(predictor.blocks),
        forced=forced_matrices(predictor.blocks, found, predictor.model.alive),
        routing=routing_stats(predictor.blocks, found["all"], predictor.domains, predictor.model.alive),
        cka=cka_matrices(predictor, judging.dataset),
    )


def _scores_beside(judging: _Judging, judged: dict[str, Predictions]) -> dict[str, dict[str, Part]]:
    """Return the scores on the additional splits."""
    options = judging.options
    if not options.beside:
        return {}
    drawn: dict[str, Any] = {"bootstrap": options.bootstrap, "confidence": options.confidence}
    return {
        name: {choice: part(one, **drawn) for choice, one in found.items()}
        for name, found in _beside(judging, judged).items()
    }


def _beside(judging: _Judging, judged: dict[str, Predictions]) -> dict[str, dict[str, Predictions]]:
    """Return predictions on the additional splits; reuse those of this split for shared samples."""
    predictor, dataset, options = judging
    found = {}
    for name in dataset.beside:
        other = open_split(predictor, name, root=options.data_root, allow_vrt=options.allow_vrt)
        inside = np.isin(dataset.rows, other.rows)
        if inside.sum() == len(other):
            found[name] = {choice: one.take(inside) for choice, one in judged.items()}
            continue
        choices: dict[str, Experts] = {one: int(one) if one.isdecimal() else one for one in judged}  # type: ignore[misc]
        asked = predict_many(predictor, other, list(choices.values()), batch_size=options.batch_size)
        found[name] = {one: asked[choice] for one, choice in choices.items()}
    return found


def _notes(predictor: Predictor, dataset: Any) -> tuple[str, ...]:  # noqa: ANN401 - a data set
    """Return notes for readers of the scores."""
    trained = (
        None if predictor.encoder is None else predictor.encoder.trained
    )  # only the encoder of domain ids has this attribute
    if trained is None:
        return ()
    known = np.append(trained.cpu().numpy(), False)[
        dataset.domains
    ]  # -1 (unknown domain) selects the last entry
    if known.all():
        return ()
    count = f"{int((~known).sum()):,} of {counted(len(known), 'sample')}"
    what = dataset.domain_unit
    return (
        f"{count} are of a {what} that training did not have: the location encoder knows {what} ids alone, "
        "and gives all of these one vector that it never learned; read the shared expert's scores",
    )


def _options(data: DataConfig) -> dict[str, Any]:
    """Return the options of the protocol; a choice of source domains counts as their number."""
    found = {key: getattr(data, key) for key in _PROTOCOL}
    return {**found, "num_domains": len(data.train_domains)} if data.train_domains else found


def _facts(predictor: Predictor, asked: EvaluationOptions) -> dict[str, Any]:
    """Return the facts about the checkpoint and the data for the report."""
    config = predictor.config
    return {
        "algorithm": "+".join(config.methods),
        "seed": config.seed,
        "data": config.data.name,
        "data_hash": predictor.info.get("data_hash"),
        "split": asked.split,
        "split_seed": config.data.split_seed,
        "held_out": config.data.held_out,
        "options": _options(config.data),
        "protocol": predictor.info.get("protocol"),
        "encoder": None if predictor.encoder is None else config.encoder.name,
        "backbone": config.model.backbone,
        "experts": asked.experts,
        "classes": tuple(predictor.classes),
        "regions": tuple(predictor.domains),
        "uncounted": tuple(predictor.info.get("uncounted", ())),
    }
