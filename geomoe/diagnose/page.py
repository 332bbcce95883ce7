"""A diagnosis as one HTML page with figures, which opens from disk without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.diagnose import figures
from geomoe.diagnose.page_experts import expert_parts
from geomoe.diagnose.text import (
    cost_text,
    geography_rows,
    pair_rows,
    percent,
    samples_text,
    short,
    subject_text,
)
from geomoe.pages.document import Heading, Section, Text, Warned, bitmap, listing, render_document

if TYPE_CHECKING:
    from geomoe.diagnose.values import Diagnosed, Found, Pair, Probe, Subject
    from geomoe.pages.document import Part

MOST_DOMAINS = 40  # domains that are named at the top
MOST_CLASSES = 40  # classes with a bar of their own


def render_diagnosis(report: Diagnosed) -> str:
    """Render the page of a diagnosis: red flags, each checkpoint, each pair."""
    names = ", ".join(f"{one.name} {one.algorithm}" for one in report.subjects)
    sections = [Section("Red flags", parts=_flags(report))]
    for subject, found in zip(report.subjects, report.found, strict=True):
        parts = _subject(subject, found, report)
        sections.append(Section(f"{subject.name}: {subject.algorithm}", parts=parts))
    sections += [Section(f"{one.first} and {one.second}", parts=_pair(one, report)) for one in report.pairs]
    return render_document(f"Diagnosis of {names} on {report.data}", _facts(report), sections)


def _facts(report: Diagnosed) -> list[tuple[str, str]]:
    settings = report.settings
    domains = ", ".join(report.domains[:MOST_DOMAINS])
    more = len(report.domains) - MOST_DOMAINS
    return [
        ("data", f"{report.data}, {samples_text(report)}"),
        (f"by {report.domain_unit}", f"{domains} and {more} more" if more > 0 else domains),
        *(
            (one.name, f"{subject_text(one, found)}, {one.backbone}; {one.checkpoint}")
            for one, found in zip(report.subjects, report.found, strict=True)
        ),
        ("cost", cost_text(report)),
        ("settings", f"seed {settings.seed}, {settings.permutations} permutations, slots: alpha "
         f"{settings.alpha:g}, the top {settings.top_percent:g} %"),
    ]  # fmt: skip


def _flags(report: Diagnosed) -> tuple[Part, ...]:
    if not report.flags:
        return (Text("Nothing stands out."),)
    return tuple(Warned(f"{flag.where}:", flag.text) for flag in report.flags)


def _subject(subject: Subject, found: Found, report: Diagnosed) -> tuple[Part, ...]:
    parts: list[Part] = [Text(f"Accuracy {percent(found.accuracy)} %.")]
    parts += [Text(f"Left out: {line}.") for line in found.left_out]
    if found.layers:
        parts += expert_parts(found.layers, report)
    if found.geography:
        head, rows = geography_rows(subject, found)
        caption = (
            "What other places cost in accuracy (lines: 95 %, over spatial blocks), and what they change."
        )
        parts += [
            Heading("Does it use geography?"),
            bitmap(figures.geography_figure(found.geography), caption),
            listing("Numbers", head, rows, open=True),
            Text(
                "Percent of the samples with a place. → is how many have another first expert in that layer."
            ),
        ]
    if found.probe is not None:
        parts += _probe(found.probe, found.discrepancy)
    return tuple(parts)


def _probe(probe: Probe, discrepancy: float | None) -> list[Part]:
    said = (
        f"A linear model reads the domain from the features of a class in {percent(probe.accuracy)} % of the "
        f"samples that it has not seen (mean over {len(probe.classes)} classes); the most frequent domain "
        f"alone gives {percent(probe.chance)} %. Mean energy distance of the features between two domains "
        f"of a class: {short(discrepancy)}."
    )
    parts: list[Part] = [Heading("Domain probe within classes"), Text(said)]
    rows = [[name, percent(one.accuracy), percent(one.chance)] for name, one in probe.classes.items()]
    if len(rows) <= MOST_CLASSES:
        caption = "The probe within each class; dash: most frequent domain."
        parts.append(bitmap(figures.probe_figure(probe), caption))
    return [*parts, listing("Numbers", ("class", "probe (%)", "chance (%)"), rows)]


def _pair(pair: Pair, report: Diagnosed) -> tuple[Part, ...]:
    parts: list[Part] = [Text(f"{percent(pair.same_answers)} % of the answers are the same.")]
    if not pair.layers:
        return (*parts, Text("Left out: routers, as the networks have no experts."))
    caption = (
        "Responsibility correlation r, overlap J of the selected slots, and share of samples and of points "
        "on land with the same dominant expert; with the same numbers, and with matched experts."
    )
    rows = [[name, *values] for name, values in pair_rows(pair)]
    heads = ("", *(one.name for one in pair.layers))
    matched = [
        [one.name, *("-" if k in one.spare else f"{k} → {to}" for k, to in enumerate(one.partner))]
        for one in pair.layers
    ]
    experts = tuple(f"expert {k}" for k in range(len(pair.layers[0].partner)))
    parts += [
        bitmap(figures.pair_figure(pair.layers), caption),
        listing("Numbers (in brackets: features of length 1)", heads, rows, open=True),
        listing("Matched experts (by responsibilities)", ("", *experts), matched),
    ]
    sides = [
        found.land
        for subject, found in zip(report.subjects, report.found, strict=True)
        if subject.name in (pair.first, pair.second)
    ]
    if all(sides):
        said = (
            f"Dominant expert on land; {pair.second} has the colours of the matched experts of {pair.first}."
        )
        parts.append(bitmap(figures.map_figure(pair, *sides), said))
    return tuple(parts)
