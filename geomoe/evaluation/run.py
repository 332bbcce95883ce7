"""One checkpoint, one split, one report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.errors import InputError
from geomoe.evaluation.experts import cka_matrices, forced_choices, forced_matrices, routing_stats
from geomoe.evaluation.official import official_scores
from geomoe.evaluation.places import places_of
from geomoe.evaluation.reports.report import FORMAT, Report
from geomoe.evaluation.scores import part, score
from geomoe.inference import Predictor, load, open_split, predict_many

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from geomoe.datasets.base import LabelledImages
    from geomoe.inference import Predictions
    from geomoe.types import BlockExperts, Experts


def evaluate(
    checkpoint: str | PathLike[str],
    *,
    split: str = "test",
    experts: Experts = "all",
    data_root: str | None = None,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    diagnostics: bool = True,
    beside: bool = True,
    batch_size: int = 256,
    device: str = "auto",
    allow_vrt: bool = False,
) -> Report:
    """Judge a checkpoint on one split of the data set that it was trained on.

    Overall, per-region and worst-region accuracy, macro F1, calibration error, counts, and
    bootstrap intervals blocked in space (whole spatial blocks are drawn, because neighbours are
    not independent). Where a region was held out, the source regions and the held-out region are
    scored apart. Where the data set has further groups (years), they are scored too, and splits that its
    protocol wants beside this one (fmow-lao: ``pooled``). Where places are known, the report has a map. With
    experts="all", a MoGE checkpoint is also judged by its shared expert alone (MoGE-SE), and its
    experts are looked into: the forced-expert matrix, routing entropy and load, and the experts' CKA.

    On a data set of WILDS, and where the extra ``wilds`` is installed, wilds' own scores of the same
    predictions stand beside ours.

    Args:
        checkpoint: a file written by ``geomoe train``.
        split: train, val, test, held_out, or another split of the data set (FMoW's id_test).
        experts: "all", "shared" or the number of one specialist that answers alone.
        data_root: folder of the data; default: where the run found it.
        bootstrap: resamples for each interval; 0: no intervals.
        confidence: of the intervals, between 0 and 1.
        diagnostics: for MoGE, look into the experts (one more pass for each expert of each block).
        beside: also score the splits that the protocol wants beside this one.
        batch_size: images in a forward pass.
        device: auto, cpu, cuda, ...
        allow_vrt: read VRTs too, whose sources have to lie in the folder of the data.

    Raises:
        CheckpointError: the file is missing, foreign, corrupt or of another model.
        ConfigError: experts that this checkpoint does not have.
        InputError: an impossible number of resamples or confidence.
        DatasetNotFoundError: the data is not where it was looked for.
    """
    if bootstrap < 0 or not 0 < confidence < 1:
        msg = f"bootstrap must be >= 0 and confidence inside (0, 1); got {bootstrap} and {confidence}"
        raise InputError(msg)
    predictor = load(checkpoint, device)
    predictor.check_experts(experts)
    dataset = open_split(predictor, split, root=data_root, allow_vrt=allow_vrt)
    inside = diagnostics and experts == "all" and predictor.num_experts > 0
    choices = _choices(predictor, experts, inside)
    predictions = predict_many(predictor, dataset, choices, batch_size=batch_size)
    held_out = predictor.config.data.held_out
    wanted = [choice for choice in choices if choice in (experts, "shared")]
    uncounted = predictor.info.get("uncounted", [])
    groupings = dataset.groupings()
    drawn: dict[str, Any] = {"bootstrap": bootstrap, "confidence": confidence}
    scores = {
        str(choice): score(
            predictions[choice], predictor.domains, held_out,
            uncounted=uncounted, groupings=groupings, **drawn,
        )
        for choice in wanted
    }  # fmt: skip
    report = None
    if inside:
        report = {
            "num_experts": predictor.num_experts,
            "top_k": predictor.config.model.top_k,
            "blocks": list(predictor.blocks),
            "forced": forced_matrices(predictor.blocks, predictions, predictor.num_experts),
            "routing": routing_stats(predictor.blocks, predictions["all"], predictor.domains),
            "cka": cka_matrices(predictor, dataset),
        }
    judged = {str(choice): predictions[choice] for choice in wanted}
    return Report(
        {
            **_facts(predictor, checkpoint, split, experts),
            "domain_unit": dataset.domain_unit,
            "bootstrap": {"samples": bootstrap, "confidence": confidence, "unit": dataset.block_unit},
            "scores": scores,
            "notes": _notes(predictor, dataset),
            "beside": {
                name: {choice: part(one, **drawn) for choice, one in found.items()}
                for name, found in _beside(predictor, dataset, judged, data_root, batch_size).items()
            }
            if beside
            else {},
            "official": official_scores(predictor.config.data.name, dataset, judged, scores),
            "places": places_of(judged),
            "experts_report": report,
        }
    )


def _beside(
    predictor: Predictor,
    dataset: LabelledImages,
    judged: dict[str, Predictions],
    root: str | None,
    batch_size: int,
) -> dict[str, dict[str, Predictions]]:
    """Predictions on the splits that stand beside this one; its own where it has the samples already."""
    found = {}
    for name in dataset.beside:
        other = open_split(predictor, name, root=root)
        inside = np.isin(dataset.rows, other.rows)
        if inside.sum() == len(other):
            found[name] = {choice: one.take(inside) for choice, one in judged.items()}
            continue
        choices: dict[str, Experts] = {one: int(one) if one.isdecimal() else one for one in judged}  # type: ignore[misc]
        asked = predict_many(predictor, other, list(choices.values()), batch_size=batch_size)
        found[name] = {one: asked[choice] for one, choice in choices.items()}
    return found


def _choices(predictor: Predictor, experts: Experts, inside: bool) -> Sequence[BlockExperts]:
    if not predictor.num_experts or experts != "all":
        return [experts]
    forced = forced_choices(len(predictor.blocks), predictor.num_experts) if inside else []
    return ["all", "shared", *forced]


def _notes(predictor: Predictor, dataset: LabelledImages) -> list[str]:
    """What a reader of the scores must know."""
    trained = None if predictor.encoder is None else predictor.encoder.trained  # of that of domain ids
    if trained is None:
        return []
    known = np.append(trained.cpu().numpy(), False)[dataset.domains]  # -1, an unknown domain: the last
    if known.all():
        return []
    count = f"{int((~known).sum()):,} of {len(known):,} samples"
    what = dataset.domain_unit
    return [
        f"{count} are of a {what} that training did not have: the location encoder knows {what} ids alone, "
        "and gives all of these one vector that it never learned; read the shared expert's scores"
    ]


#: Options of a data set that change which samples train or are judged.
_PROTOCOL = ("protocol", "domain_by", "num_environments", "num_domains", "budget")


def _facts(
    predictor: Predictor, checkpoint: str | PathLike[str], split: str, experts: Experts
) -> dict[str, Any]:
    config = predictor.config
    return {
        "format": FORMAT,
        "checkpoint": Path(checkpoint).as_posix(),
        "algorithm": config.algorithm,
        "seed": config.seed,
        "data": config.data.name,
        "data_hash": predictor.info.get("data_hash"),
        "split": split,
        "split_seed": config.data.split_seed,
        "held_out": config.data.held_out,
        "options": {key: getattr(config.data, key) for key in _PROTOCOL},
        "protocol": predictor.info.get("protocol"),
        "encoder": None if config.algorithm == "erm" else config.encoder.name,
        "backbone": config.model.backbone,
        "experts": experts,
        "classes": predictor.classes,
        "regions": predictor.domains,
        "uncounted": predictor.info.get("uncounted", []),
    }
