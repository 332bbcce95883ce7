"""The result of a data check as one offline page: a map of the splits and the suspicious samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.checking.leakage import different_places, known_places
from geomoe.pages.atlas import Layer, Mark, render_atlas
from geomoe.pages.palette import expert_colours
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geomoe.checking.check import Check
    from geomoe.checking.places import Odd
    from geomoe.datasets.base import LabelledImages

MOST = 4000  # marks of a layer; if there are more, every n-th is drawn, with a note on the page
ODD = {"near": "#000000", "country": "#c1121f"}


def check_page(parts: Mapping[str, LabelledImages], found: Check, title: str) -> str | None:
    """Render the page; return None if no place is known.

    Args:
        parts: name -> split; the first is the training split.
        found: result of the check.
        title: title of the page.
    """
    layers = check_layers(parts, found)
    if not layers:
        return None
    facts = [
        ("splits", ", ".join(f"{name} {split.samples:,}" for name, split in found.splits.items())),
        ("near", f"within {found.near_km:g} km"),
        ("sound", "yes" if found.sound else "no: see the table that was printed, or check.json"),
    ]
    facts += [(one.severity, f"{one.where}: {one.what}") for one in found.findings]
    return render_atlas(title, facts, layers, about="What was found")


def check_layers(parts: Mapping[str, LabelledImages], found: Check) -> list[Layer]:
    """Return layers for all splits together, each split alone, and each kind of suspicious samples."""
    shown = {name: data for name, data in parts.items() if name != "held_out" and len(known_places(data))}
    if not shown:
        return []
    colours = dict(zip(shown, expert_colours(len(shown)), strict=True))
    columns = ("lon, lat", "split", "samples")
    every = {name: _places(name, data, colours[name], MOST // len(shown)) for name, data in shown.items()}
    total = sum(found.splits[name].places for name in shown)
    marks = [mark for some in every.values() for mark in some]
    keys = tuple((colour, name) for name, colour in colours.items())
    note = _thinned(len(marks), total)
    layers = [Layer("Places", "All splits", "Where the splits are", columns, 3, marks, keys=keys, note=note)]
    for name, data in shown.items():
        marks = _places(name, data, colours[name], MOST)
        note = _thinned(len(marks), found.splits[name].places)
        layers.append(Layer("Places", name, f"Places of {name}", columns, 3, marks, note=note))
    first = next(iter(parts))
    near = f"Within {found.near_km:g} km of a sample of {first}"
    layers += _odd_layer(parts, found, "near", "Near-duplicates", near, f"km to {first}")
    away = f"More than {found.border_km:g} km outside the country of their code"
    return layers + _odd_layer(parts, found, "country", "Other countries", away, "km outside")


def _places(name: str, data: LabelledImages, colour: str, most: int) -> list[Mark]:
    """Return a disc for each distinct place of a split; if more than ``most``, for every n-th."""
    places, which = different_places(known_places(data))
    count, step = np.bincount(which), -(-len(places) // most)
    return [
        Mark((_place(place), name, f"{number:,}"), colour, lonlat=tuple(place), radius=4)
        for place, number in zip(places[::step].tolist(), count[::step].tolist(), strict=True)
    ]


def _odd_layer(
    parts: Mapping[str, LabelledImages], found: Check, why: str, name: str, title: str, km: str
) -> list[Layer]:
    """Return samples suspicious for one reason, nearest to another split or furthest abroad first."""
    odd = [
        (distance, one, k)
        for one in found.odd
        if one.why == why and one.split != "held_out"
        for k, distance in enumerate(one.km.tolist())
    ]
    if not odd:
        return []
    odd.sort(key=lambda item: item[0], reverse=why == "country")
    marks = [_odd_mark(parts[one.split], one, k) for _, one, k in odd[:MOST]]
    note = f"The first {MOST:,} of {len(odd):,} samples." if len(odd) > MOST else ""
    columns = ("lon, lat", "split", km, "row", "domain", *(["code"] if why == "country" else []))
    return [Layer("To look at", name, title, columns, 4, marks, note=note)]


def _odd_mark(data: LabelledImages, odd: Odd, k: int) -> Mark:
    position, place, km = int(odd.position[k]), odd.lonlat[k].tolist(), float(odd.km[k])
    domain = int(data.domains[position])
    values = [
        _place(place),
        odd.split,
        f"{km:,.3g}" if km < 100 else f"{km:,.0f}",
        str(data.rows[position]),
        data.regions[domain] if domain >= 0 else "unknown",
    ]
    if odd.why == "country":
        values.append(data.countries[int(data.extra["country"][position])])
    return Mark(tuple(values), ODD[odd.why], lonlat=tuple(place), radius=5)


def _place(place: Sequence[float]) -> str:
    return f"{place[0]:.4f}, {place[1]:.4f}"


def _thinned(drawn: int, total: int) -> str:
    return "" if drawn == total else f"{drawn:,} of {counted(total, 'place')} are drawn."
