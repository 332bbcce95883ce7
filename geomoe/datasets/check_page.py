"""What a check of a data set found, as one offline page: where its splits are, what is to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.datasets.leakage import different_places, known_places
from geomoe.mapping.atlas import Layer, Mark, render_atlas
from geomoe.mapping.palette import expert_colours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages
    from geomoe.datasets.checks import Check
    from geomoe.datasets.place_checks import Odd

MOST = 4000  # marks of a layer; of more, every n-th is drawn, and the page says so
ODD = {"near": "#000000", "country": "#c1121f"}


def check_page(parts: Mapping[str, LabelledImages], found: Check, title: str) -> str | None:
    """The page; None where no place is known.

    Args:
        parts: name -> split; the first is taken for the one that trains.
        found: what was found in them.
        title: of the page.
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
    """All splits together, each alone, and the samples to be looked at for each reason."""
    shown = {name: data for name, data in parts.items() if name != "held_out" and len(known_places(data))}
    if not shown:
        return []
    colours = dict(zip(shown, expert_colours(len(shown)), strict=True))
    marks = {name: list(_places(name, data, colours[name])) for name, data in shown.items()}
    every = [mark for some in marks.values() for mark in some]
    kept = _some(every)
    layers = [
        Layer(
            "Places", "All splits", "Where the splits are", ("lon, lat", "split", "samples"), 3, kept,
            keys=tuple((colour, name) for name, colour in colours.items()), note=_thinned(kept, every),
        )
    ]  # fmt: skip
    for name, some in marks.items():
        kept = _some(some)
        title = f"Places of {name}"
        layers.append(
            Layer("Places", name, title, ("lon, lat", "split", "samples"), 3, kept, note=_thinned(kept, some))
        )
    first = next(iter(parts))
    near = f"Within {found.near_km:g} km of a sample of {first}"
    layers += _odd_layer(parts, found, "near", "Near-duplicates", near, f"km to {first}")
    away = f"More than {found.border_km:g} km outside the country of their code"
    return layers + _odd_layer(parts, found, "country", "Other countries", away, "km outside")


def _places(name: str, data: LabelledImages, colour: str) -> Iterator[Mark]:
    """A disc for each different place of a split."""
    places, which = different_places(known_places(data))
    for place, count in zip(places.tolist(), np.bincount(which).tolist(), strict=True):
        yield Mark((_place(place), name, f"{count:,}"), colour, lonlat=tuple(place), radius=4)


def _odd_layer(
    parts: Mapping[str, LabelledImages], found: Check, why: str, name: str, title: str, km: str
) -> list[Layer]:
    odd = [one for one in found.odd if one.why == why and one.split != "held_out" and len(one.position)]
    marks = [mark for one in odd for mark in _odd_marks(parts[one.split], one)]
    if not marks:
        return []
    marks.sort(key=lambda mark: float(mark.values[2].replace(",", "")), reverse=why == "country")
    kept = marks[:MOST]
    note = f"The first {MOST:,} of {len(marks):,} samples." if len(marks) > MOST else ""
    columns = ("lon, lat", "split", km, "row", "domain", *(["code"] if why == "country" else []))
    return [Layer("To look at", name, title, columns, 4, kept, note=note)]


def _odd_marks(data: LabelledImages, odd: Odd) -> Iterator[Mark]:
    codes: NDArray[np.int64] | None = data.extra.get("country")
    for position, place, km in zip(odd.position.tolist(), odd.lonlat.tolist(), odd.km.tolist(), strict=True):
        domain = int(data.domains[position])
        values = [
            _place(place),
            odd.split,
            f"{km:,.3g}" if km < 100 else f"{km:,.0f}",
            str(data.rows[position]),
        ]
        values.append(data.regions[domain] if domain >= 0 else "unknown")
        if odd.why == "country" and codes is not None:
            values.append(data.countries[int(codes[position])])
        yield Mark(tuple(values), ODD[odd.why], lonlat=tuple(place), radius=5)


def _place(place: Sequence[float]) -> str:
    return f"{place[0]:.4f}, {place[1]:.4f}"


def _some(marks: list[Mark]) -> list[Mark]:
    return marks[:: -(-len(marks) // MOST)]


def _thinned(kept: list[Mark], every: list[Mark]) -> str:
    return "" if len(kept) == len(every) else f"{len(kept):,} of {len(every):,} places are drawn."
