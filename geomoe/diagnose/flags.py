"""Red flags: warnings about numbers of a diagnosis that are easily misread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.diagnose.geography import DROPPED, SHUFFLED
from geomoe.diagnose.values import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geomoe.diagnose.layer_values import Layer, Row
    from geomoe.diagnose.values import Found, Pair, PairLayer, Subject

# The thresholds of the flags.
COLLAPSED = 0.9  # least mean gate weight of one expert, or share of the samples for which it is first
CONSTANT = 0.01  # a gate weight whose largest difference between two samples is below this is constant
ALIKE = 0.9  # least mean cosine or CKA off the diagonal
UNUSED = 0.01  # largest share of the answers that change with the places
EXPLAINED = (0.7, 0.3)  # least r with matched experts, and least gain over r
NEAR = 0.03  # largest distance of r from -1 / (E - 1)
CHANCE = 0.05  # p-value
IDLE = ("collapsed", "one first", "constant")  # flags of routers that treat nearly all samples alike


def flags_of(subjects: Sequence[Subject], found: Sequence[Found], pairs: Sequence[Pair]) -> tuple[Flag, ...]:
    """All flags: of each checkpoint, then of each pair."""
    flags: list[Flag] = []
    for subject, one in zip(subjects, found, strict=True):
        for layer in one.layers:
            flags += _layer(f"{subject.name}, {layer.name}", layer)
        flags += _geography(subject.name, one)
    idle = {flag.where for flag in flags if flag.kind in IDLE}
    for pair in pairs:
        for between in pair.layers:
            flags += _pair(pair, between, idle)
    return tuple(flags)


def _layer(where: str, layer: Layer) -> Iterator[Flag]:
    routing, outputs = layer.routing, layer.outputs
    experts = len(routing.experts)
    (heavy, load), (first, share) = _largest(routing.load), _largest(routing.top1_share)
    if experts > 1 and load > COLLAPSED:
        text = f"routing has collapsed: expert {heavy} has {load:.0%} of the gate weight; "
        yield Flag("collapsed", where, f"{text}entropy, divergences, r and J say little then")
    elif experts > 1 and share > COLLAPSED:
        mean = f"its mean gate weight is {layer.routing.load[first] or 0.0:.0%}"
        yield Flag("one first", where, f"expert {first} is first for {share:.0%} of the samples; {mean}")
    if experts > 1 and routing.spread < CONSTANT:
        text = "routing is the same for every sample: no gate weight moves by more than "
        yield Flag("constant", where, f"{text}{100 * routing.spread:.1f} points")
    if routing.dead:
        loads = ", ".join(
            f"{expert} ({100 * (routing.load[expert] or 0.0):.2f} %)" for expert in routing.dead
        )
        are = "expert is" if experts == 1 else "experts is" if len(routing.dead) == 1 else "experts are"
        text = f"{len(routing.dead)} of {experts} {are} dead, by mean gate weight: {loads}"
        yield Flag("dead", where, text)
    for what, value in (("cosine", outputs.cosine_mean), ("linear CKA", outputs.cka_mean)):
        if value is not None and value > ALIKE:
            yield Flag("alike", where, f"the experts are alike: their mean {what} is {value:.2f}")
    for what, shared in layer.information.items():
        chance = shared.chance.get("blocks")
        if chance is not None and chance.p > CHANCE and shared.nats > 0:
            text = (
                f"permuted blocks explain what the dominant expert shares with {what}: "
                f"{shared.nats:.3f} nats, {chance.mean:.3f} by chance (p = {chance.p:.2f})"
            )
            yield Flag("permutation", where, text)


def _largest(row: Row) -> tuple[int, float]:
    """Position and value of the largest number."""
    values = [value or 0.0 for value in row]
    return max(enumerate(values), key=lambda item: item[1])


def _geography(where: str, found: Found) -> Iterator[Flag]:
    changes = {change.what: change for change in found.geography}
    if SHUFFLED not in changes:
        return
    shuffled, dropped = changes[SHUFFLED], changes[DROPPED]
    if max(shuffled.changed, dropped.changed) < UNUSED:
        text = f"the network makes no use of geography: shuffled places change {shuffled.changed:.1%} of its "
        yield Flag("no geography", where, f"{text}answers, and dropped ones {dropped.changed:.1%}")
    elif shuffled.loss_interval is not None and shuffled.loss_interval[0] <= 0:
        low, high = (f"{100 * end:+.1f}" for end in shuffled.loss_interval)
        text = f"places change {shuffled.changed:.1%} of the answers, but do not make them better: "
        yield Flag(
            "no gain",
            where,
            f"{text}shuffled ones cost {100 * shuffled.loss:+.1f} points (95 %: {low} to {high})",
        )


def _pair(pair: Pair, layer: PairLayer, idle: set[str]) -> Iterator[Flag]:
    where = f"{pair.first} and {pair.second}, {layer.name}"
    experts = layer.experts
    sides = [name for name in (pair.first, pair.second) if f"{name}, {layer.name}" in idle]
    if layer.r is None or layer.r_matched is None:
        text = "r is not defined: a router gives every slot the same responsibility"
        yield Flag("undefined", where, text)
        return
    if experts > 1 and abs(layer.r + 1 / (experts - 1)) < NEAR:
        text = (
            f"r = {layer.r:+.2f} is -1 / (E - 1) = {-1 / (experts - 1):+.2f}: two routers that each send all "
            "samples to one expert have it when these experts have different numbers"
        )
        if len(sides) < 2:
            does = f"only that of {sides[0]} does" if sides else "neither does"
            text += f"; here {does}, so r may be near it by chance"
        yield Flag("-1/(E-1)", where, text)
    if len(sides) == 2:
        text = "both routers treat nearly all samples alike: r, J and the agreement say which experts each "
        yield Flag("idle routers", where, f"{text}uses, and nothing else (r = {layer.r:+.2f})")
    if layer.r_matched > EXPLAINED[0] and layer.r_matched - layer.r > EXPLAINED[1]:
        text = (
            f"a renumbering of the experts explains r: {layer.r:+.2f} becomes {layer.r_matched:+.2f} "
            f"with matched experts, and J {_j(layer.overlap)} becomes {_j(layer.overlap_matched)}"
        )
        yield Flag("permutation", where, text)


def _j(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
