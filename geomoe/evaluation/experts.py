"""Analysis of experts: accuracy with forced experts, routing statistics, and similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from geomoe import metrics
from geomoe.evaluation.reports.values import BlockCKA, BlockRouting, Forced
from geomoe.inference.sweep import batches, forced_choices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages
    from geomoe.inference import Predictions, Predictor
    from geomoe.types import BlockExperts


def forced_matrices(
    blocks: tuple[int, ...], predictions: dict[BlockExperts, Predictions], alive: Sequence[Sequence[bool]]
) -> tuple[Forced, ...]:
    """Compute the forced-expert matrix of the poster for each MoGE block.

    Row i: the samples whose top-1 expert in that block is i. Column j: the accuracy on them when
    every sample is forced through expert j of that block. The other MoGE blocks route normally,
    because expert j of one block is unrelated to expert j of another.

    Args:
        blocks: numbers of the MoGE blocks.
        predictions: for "all", "shared" (where there is one) and each of :func:`forced_choices`, on the
            same samples.
        alive: for each block, which of its E slots hold an expert.

    Returns:
        One matrix for each block; None in rows without samples, and in columns of spare slots.
    """
    choices = iter(forced_choices(alive))
    out = []
    for number, block in enumerate(blocks):
        slots = alive[number]
        hits = [predictions[next(choices)].correct if there else None for there in slots]
        top1, shared = predictions["all"].top1[number], predictions.get("shared")
        rows = [np.flatnonzero(top1 == expert) for expert in range(len(slots))]
        matrix = Forced(
            block=block,
            counts=tuple(len(row) for row in rows),
            accuracy=tuple(
                tuple(None if right is None else _mean(right[row]) for right in hits) for row in rows
            ),
            routed=tuple(_mean(predictions["all"].correct[row]) for row in rows),
            shared=tuple(None if shared is None else _mean(shared.correct[row]) for row in rows),
        )
        out.append(matrix)
    return tuple(out)


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def routing_stats(
    blocks: tuple[int, ...],
    predictions: Predictions,
    regions: list[str],
    alive: Sequence[Sequence[bool] | None] = (),
) -> tuple[BlockRouting, ...]:
    """Compute how each MoGE block distributes the samples among its experts.

    Args:
        blocks: numbers of the blocks.
        predictions: predictions for all samples, with their gate weights.
        regions: names of the domains.
        alive: for each block, which slots hold an expert; empty: all do.
    """
    alive = alive or (None,) * len(blocks)
    out = []
    for number, block in enumerate(blocks):
        weights, top1 = predictions.weights[number], predictions.top1[number]
        load, nats = metrics.routing_load(weights), metrics.routing_entropy(weights)
        known = predictions.domain >= 0
        present = {name: predictions.domain == domain for domain, name in enumerate(regions)}
        information = (
            metrics.mutual_information(top1[known], predictions.domain[known]) if known.any() else None
        )
        routing = BlockRouting(
            block=block,
            load=tuple(load.mean_weight.tolist()),
            top1_share=tuple(load.top1_share.tolist()),
            load_by_region={
                name: tuple(metrics.routing_load(weights[rows]).mean_weight.tolist())
                for name, rows in present.items()
                if rows.any()
            },
            dead=tuple(metrics.dead_experts(load.mean_weight, alive[number])),
            spare=tuple(k for k, there in enumerate(alive[number] or ()) if not there),
            entropy=nats,
            effective_experts=float(np.exp(nats)),
            region_information=None if information is None else information.normalized,
        )
        out.append(routing)
    return tuple(out)


def cka_matrices(
    predictor: Predictor,
    dataset: LabelledImages,
    *,
    images: int = 512,
    tokens: int = 8,
) -> tuple[BlockCKA, ...]:
    """Compute linear CKA between all pairs of experts of each MoGE block, on a fixed sample.

    The sample consists of ``images`` evenly spaced images of the data set and ``tokens`` tokens of
    each, drawn with a fixed seed; all experts see the same rows, regardless of the router.

    Returns:
        One matrix for each block: ones on the diagonal, None for an expert whose output never changes. The
        mean is over the slots that hold an expert.
    """
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(images, len(dataset))).round().astype(np.int64))
    parts: list[tuple[torch.Tensor, ...]] = []
    with torch.random.fork_rng(devices=[] if predictor.device.type == "cpu" else [predictor.device]):
        torch.manual_seed(0)
        place = dataset.place
        for index, image in batches(dataset, rows=rows):
            here = place.take(torch.from_numpy(index))
            parts.append(predictor.forward(image, here, cka_tokens=tokens).expert_outputs)
    out = []
    for number, block in enumerate(predictor.blocks):
        outputs = torch.cat([part[number] for part in parts], dim=1)
        matrix = metrics.expert_cka(outputs, estimator="unbiased")
        there = np.array(predictor.model.alive[number])
        off = matrix[there[:, None] & there & ~np.eye(len(matrix), dtype=bool)]
        off = off[np.isfinite(off)]
        found = BlockCKA(
            block=block,
            matrix=tuple(tuple(float(v) if np.isfinite(v) else None for v in row) for row in matrix),
            mean=float(off.mean()) if off.size else None,
            rows=outputs.shape[1],
            estimator="unbiased",
        )
        out.append(found)
    return tuple(out)
