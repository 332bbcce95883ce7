"""Energy distances between the domains of a class, on slots and on pooled features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.diagnose.layer_values import Alignment
from geomoe.diagnose.plain import number
from geomoe.metrics.prototypes import class_routing
from geomoe.metrics.slots import energy_distance, selected_slots, slots_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.diagnose.samples import Samples
    from geomoe.diagnose.values import Settings
    from geomoe.metrics.slots import Slots

MOST_SLOTS = 1000  # slots whose energy distance is computed; if there are more, evenly spaced ones are used
MOST_SAMPLES = 128  # samples of a cell that are used; if there are more, evenly spaced ones


def slots_of_layer(weights: NDArray[np.float32], samples: Samples, alpha: float) -> Slots:
    """The slots and responsibilities of a router with gate weights (N, E)."""
    domains, classes = len(samples.domains), len(samples.classes)
    return slots_of(class_routing(weights, samples.domain, samples.label, domains, classes), alpha)


def alignment_of(
    weights: NDArray[np.float32], outputs: NDArray[np.float32], samples: Samples, settings: Settings
) -> Alignment:
    """Slots of one layer and their energy distances.

    Args:
        weights: (N, E) gate weights.
        outputs: (E, N, D) the experts' outputs.
        samples: the samples.
        settings: sharpness of the responsibilities, and percentage of selected slots.
    """
    slots = slots_of_layer(weights, samples, settings.alpha)
    chosen = selected_slots(slots.responsibility, settings.top_percent)
    every = np.ones_like(chosen)
    unit = unit_length(outputs)
    return Alignment(
        slots=chosen.size,
        selected=int(chosen.sum()),
        responsibility=number(slots.responsibility.mean()) if chosen.size else None,
        energy_selected=slot_energy(outputs, samples, slots, chosen),
        energy_all=slot_energy(outputs, samples, slots, every),
        unit_selected=slot_energy(unit, samples, slots, chosen),
        unit_all=slot_energy(unit, samples, slots, every),
    )


def unit_length(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features scaled to length 1 along the last axis; zero stays zero."""
    length = np.sqrt(np.square(features).sum(axis=-1, keepdims=True))
    return np.asarray(features / np.where(length > 0, length, 1), dtype=np.float32)


def slot_energy(
    outputs: NDArray[np.float32], samples: Samples, slots: Slots, chosen: NDArray[np.bool_]
) -> float | None:
    """Mean energy distance over chosen slots (MESSI, eq. 70); None without slots.

    Args:
        outputs: (E, N, D) the experts' outputs.
        samples: the samples.
        slots: the valid slots.
        chosen: (E, S) bool, the slots over which the mean is taken.
    """
    expert, pair = np.nonzero(chosen)
    if not len(expert):
        return None
    some = evenly(len(expert), MOST_SLOTS)
    cells = {}
    found = []
    for m, s in zip(expert[some].tolist(), pair[some].tolist(), strict=True):
        sides = []
        for domain in (int(slots.first[s]), int(slots.second[s])):
            key = (domain, int(slots.label[s]))
            if key not in cells:
                rows = np.flatnonzero((samples.domain == key[0]) & (samples.label == key[1]))
                cells[key] = rows[evenly(len(rows), MOST_SAMPLES)]
            sides.append(outputs[m, cells[key]])
        found.append(energy_distance(*sides))
    return float(np.mean(found))


def discrepancy_of(features: NDArray[np.float32], samples: Samples) -> float | None:
    """Mean energy distance of features (N, D) between two domains of a class (the discrepancy of E.5)."""
    ones = np.ones((len(features), 1), dtype=np.float32)  # one expert that has every sample
    slots = slots_of_layer(ones, samples, 0.0)
    return slot_energy(features[None], samples, slots, np.ones_like(slots.responsibility, dtype=bool))


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` evenly spaced numbers out of 0 to ``count`` - 1."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
