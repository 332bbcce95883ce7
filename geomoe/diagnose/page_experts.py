"""The part of a page about the layers with experts of one checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.diagnose import figures
from geomoe.diagnose.text import decimal, layer_rows, of_experts, percent
from geomoe.pages.document import Heading, bitmap, listing
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geomoe.diagnose.layer_values import Layer, Matrix
    from geomoe.diagnose.values import Diagnosed
    from geomoe.pages.document import Part, Table

MOST_DOMAINS = 40  # domains up to which there are figures and tables by domain


def expert_parts(layers: tuple[Layer, ...], report: Diagnosed) -> list[Part]:
    """Numbers, figures and tables; those by domain are left out if there are many domains."""
    heads = tuple(layer.name for layer in layers)
    rows = [[one[0][0], *(value for _, value in one)] for one in zip(*map(layer_rows, layers), strict=True)]
    few = len(report.domains) <= MOST_DOMAINS
    parts: list[Part] = [
        Heading("Routing and experts"),
        listing("Numbers", ("", *heads), rows, open=True),
        bitmap(
            figures.load_figure(layers),
            "Mean gate weight of each expert (colour), and share of the samples for which it is first "
            "(grey); the dashed line is an even load.",
        ),
    ]
    if few:
        parts.append(
            bitmap(figures.domain_figure(layers), "P(e|d): mean gate weight of each expert by domain.")
        )
    caption = "P(e|d, y): the same by domain and class, in the last layer with experts."
    if len(report.domains) > figures.CELLS:
        caption += f" The first {figures.CELLS} domains; diagnosis.json has all."
    alike = "How alike the experts are: mean cosine of their outputs, and linear CKA (unbiased)."
    parts += [
        bitmap(figures.class_figure(layers[-1], report.classes), caption),
        bitmap(figures.likeness_figure(layers), alike),
    ]
    if few:
        forced = (
            "Accuracy by domain with normal routing (all), with the shared expert alone (SE), and with one "
            "expert of this layer forced on every sample."
        )
        parts.append(bitmap(figures.forced_figure(layers), forced))
    for layer in layers:
        parts += _tables(layer, report.domains if few else ())
    return [*parts, *_information(layers)] if layers[0].information else parts


def _tables(layer: Layer, domains: Sequence[str]) -> list[Part]:
    there = layer.routing.experts
    experts = tuple(map(str, there))
    counts, by_top1 = layer.forced.top1_counts, layer.forced.by_top1
    forced = [
        [f"{one} ({counted(counts[one], 'sample')})", *map(percent, of_experts(by_top1[one], there))]
        for one in there
    ]
    cosine, cka = (
        tuple(of_experts(square[one], there) for one in there)
        for square in (layer.outputs.cosine, layer.outputs.cka)
    )
    title = f"{layer.name}: forced experts by top-1 expert (accuracy, percent)"
    parts: list[Part] = [
        _square(f"{layer.name}: cosine of the experts", cosine, experts, 2),
        _square(f"{layer.name}: linear CKA of the experts", cka, experts, 2),
        listing(title, ("top-1 expert", *experts), forced),
    ]
    if domains:
        between = f"{layer.name}: Jensen-Shannon divergence of the routing between domains (nats)"
        parts.append(_square(between, layer.routing.domain_divergences, domains, 3))
    return parts


def _square(title: str, matrix: Matrix, names: Sequence[str], places: int) -> Table:
    rows = [
        [name, *(decimal(value, places) for value in row)] for name, row in zip(names, matrix, strict=True)
    ]
    return listing(title, ("", *names), rows)


def _information(layers: tuple[Layer, ...]) -> list[Part]:
    rows = []
    for layer in layers:
        for what, one in layer.information.items():
            start = [f"{layer.name}, {what}", f"{one.samples:,}", decimal(one.nats), percent(one.normalized)]
            for kind, by in one.chance.items():
                explained = percent(by.mean / one.nats if one.nats else None)
                rows.append([*start, kind, decimal(by.mean), explained, decimal(by.high), decimal(by.p)])
    head = ("", "samples", "nats", "normalised (%)", "permuted", "mean", "explained (%)", "95 %", "p")
    caption = (
        "Mutual information of the dominant expert with properties of the place (bars); marks: what 95 % of "
        "the permutations stay below."
    )
    return [
        Heading("What the dominant expert knows about the place"),
        bitmap(figures.information_figure(layers), caption),
        *([listing("Numbers", head, rows)] if rows else []),
    ]
