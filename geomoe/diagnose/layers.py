"""Diagnostics of one layer with experts: routing, similarity of the experts, forced experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.diagnose.alignment import alignment_of
from geomoe.diagnose.information import information_of
from geomoe.diagnose.layer_values import Forced, Layer, Outputs, Routing
from geomoe.diagnose.plain import matrix, number, row
from geomoe.metrics.prototypes import (
    class_routing,
    domain_divergences,
    domain_routing,
    load_deviation,
    most_deviation,
    routing_divergence,
)
from geomoe.metrics.routing import dead_experts, normalised_entropy, routing_entropy, routing_load
from geomoe.metrics.similarity import expert_cka
from geomoe.metrics.specialisation import effective_ranks, expert_cosines, off_diagonal_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.diagnose.information import Property
    from geomoe.diagnose.samples import Samples
    from geomoe.diagnose.sweep import Seen
    from geomoe.diagnose.values import Settings

_LEAST_ROWS = 4  # rows that the unbiased CKA needs


def layers_of(
    seen: Seen, samples: Samples, settings: Settings, properties: dict[str, Property]
) -> tuple[Layer, ...]:
    """All layers of a checkpoint.

    Args:
        seen: the checkpoint's answers.
        samples: the samples that they are for.
        settings: options of the diagnosis.
        properties: properties of the places, by name.
    """
    return tuple(_layer(seen, at, samples, settings, properties) for at in range(len(seen.layers)))


def _layer(
    seen: Seen, at: int, samples: Samples, settings: Settings, properties: dict[str, Property]
) -> Layer:
    alive, weights, outputs = seen.alive_in(at), seen.weights[at], seen.outputs[at]
    there = np.array(alive)
    return Layer(
        name=seen.layers[at],
        routing=routing_of(weights, samples, alive),
        outputs=outputs_of(outputs, seen.tokens[at], alive),
        forced=forced_of(seen, at, samples),
        alignment=alignment_of(weights[:, there], outputs[there], samples, settings),
        information=information_of(seen.top1[at], samples, properties, settings),
    )


def routing_of(
    weights: NDArray[np.float32], samples: Samples, alive: tuple[bool, ...] | None = None
) -> Routing:
    """Statistics of the gate weights (N, E); ``alive``: which slots hold an expert, None: all."""
    load = routing_load(weights)
    there = _there(alive, weights.shape[1])
    domains, classes = len(samples.domains), len(samples.classes)
    by_domain = domain_routing(weights, samples.domain, domains)
    cells = class_routing(weights, samples.domain, samples.label, domains, classes)
    between = domain_divergences(by_domain)
    return Routing(
        entropy=routing_entropy(weights),
        entropy_share=normalised_entropy(weights[:, there]),
        load=row(load.mean_weight),
        top1_share=row(load.top1_share),
        load_deviation=load_deviation(load.mean_weight[there]),
        most_deviation=most_deviation(len(there)),
        most_load=float(load.mean_weight.max()),
        spread=float(np.ptp(weights, axis=0).max()),
        dead=tuple(dead_experts(load.mean_weight, alive)),
        class_divergence=number(routing_divergence(cells)),
        domain_divergence=number(off_diagonal_mean(between)),
        domain_divergences=matrix(between),
        by_domain={name: row(by_domain[at]) for at, name in enumerate(samples.domains)},
        by_domain_class={
            name: {
                samples.classes[one]: row(cells[at, one])
                for one in range(classes)
                if not np.isnan(cells[at, one]).any()
            }
            for at, name in enumerate(samples.domains)
        },
        spare=() if alive is None else tuple(k for k, there in enumerate(alive) if not there),
    )


def outputs_of(
    outputs: NDArray[np.float32], tokens: NDArray[np.float32], alive: tuple[bool, ...] | None = None
) -> Outputs:
    """Similarity of experts, by outputs (E, N, D) and tokens (E, R, D); ``alive``: see :func:`routing_of`."""
    there = _there(alive, len(outputs))
    pairs = np.ix_(there, there)
    cosine = expert_cosines(outputs)
    experts, count = tokens.shape[:2]
    cka = expert_cka(tokens) if count >= _LEAST_ROWS else np.full((experts, experts), np.nan)
    ranks = effective_ranks(outputs[there])
    return Outputs(
        cosine=matrix(cosine),
        cosine_mean=number(off_diagonal_mean(cosine[pairs])),
        effective_rank=None if np.isnan(ranks).all() else number(float(np.nanmean(ranks))),
        cka=matrix(cka),
        cka_mean=number(off_diagonal_mean(cka[pairs])),
        cka_rows=count,
    )


def _there(alive: tuple[bool, ...] | None, slots: int) -> NDArray[np.int64]:
    """The slots that hold an expert."""
    return np.flatnonzero(np.ones(slots, dtype=bool) if alive is None else alive)


def forced_of(seen: Seen, at: int, samples: Samples) -> Forced:
    """Accuracy with forced experts, by domain and by top-1 expert; none in spare slots."""
    hits = (seen.forced[at] == samples.label).T.astype(np.float64)  # (N, E)
    hits[:, ~np.array(seen.alive_in(at))] = np.nan
    top1, experts = seen.top1[at], hits.shape[1]
    rows = [samples.domain == one for one in range(len(samples.domains))]
    groups = [hits[top1 == expert] for expert in range(experts)]
    return Forced(
        by_domain={
            name: row(hits[here].mean(axis=0)) for name, here in zip(samples.domains, rows, strict=True)
        },
        routed=accuracy_by_domain(seen.predicted, samples),
        shared={} if seen.shared is None else accuracy_by_domain(seen.shared, samples),
        by_top1=tuple(row(one.mean(axis=0)) if len(one) else (None,) * experts for one in groups),
        top1_counts=tuple(len(one) for one in groups),
    )


def accuracy_by_domain(predicted: NDArray[np.int64], samples: Samples) -> dict[str, float]:
    """Domain -> accuracy."""
    right = predicted == samples.label
    return {name: float(right[samples.domain == at].mean()) for at, name in enumerate(samples.domains)}
