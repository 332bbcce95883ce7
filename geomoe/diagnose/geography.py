"""Whether a network uses the place: how its answers change when samples get other places."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.coords import great_circle_km
from geomoe.diagnose.values import Change
from geomoe.earth.land import earth_at
from geomoe.earth.moves import move_km
from geomoe.earth.nearest import NearestPlace
from geomoe.metrics.intervals import block_bootstrap, weighted_accuracy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from geomoe.diagnose.samples import Samples
    from geomoe.diagnose.sweep import Seen
    from geomoe.inference import Predictor
    from geomoe.types import Place

SHUFFLED = "shuffled"
DROPPED = "dropped"


class Moves(NamedTuple):
    """Other places of the samples: name -> (N, 2) lonlat degrees; and what was left out, in words."""

    places: dict[str, NDArray[np.float64]]
    left_out: tuple[str, ...]


def moves_for(
    predictor: Predictor,
    samples: Samples,
    km: tuple[float, ...],
    unit: str,
    seed: int,
    place: Place | None = None,
) -> Moves:
    """The other places for one network; if it reads no places, only the reason why there are none.

    Args:
        predictor: the network.
        samples: the samples.
        km: distances of the jitter, in km.
        place: the same samples as networks receive them; None: not considered.
        unit: word for a domain.
        seed: seed of everything random; the same for all checkpoints.
    """
    if predictor.encoder is None:
        return Moves({}, ("geography: the network has no location encoder, so places change no answer",))
    if predictor.config.encoder.name == "domain":
        return Moves({}, (f"geography: its location encoder reads {unit} ids, not places",))
    if place is not None and not predictor.model.asks_place(place.to(predictor.device)).any():
        text = f"geography: all samples are of training {unit}s, by which alone the network describes them"
        return Moves({}, (text,))
    if samples.placed.sum() < 2:
        return Moves({}, ("geography: fewer than two samples have a known place",))
    return other_places(samples, predictor.info, km, unit, seed)


def other_places(
    samples: Samples, info: Mapping[str, Any], km: tuple[float, ...], unit: str, seed: int
) -> Moves:
    """Places that are shuffled, shuffled within domains, dropped, jittered, or replaced by others.

    They are replaced by places on another continent, and by the nearest training place. Samples of unknown
    place are not changed.

    Args:
        samples: the samples.
        info: facts of the checkpoint; ``places`` are its training places.
        km: distances of the jitter, in km.
        unit: word for a domain.
        seed: seed of everything random.
    """
    rng = np.random.default_rng(seed)
    lonlat, placed = samples.lonlat, np.flatnonzero(samples.placed)
    places = {SHUFFLED: _reordered(lonlat, placed, rng)}
    within = lonlat
    for one in range(-1, len(samples.domains)):
        within = _reordered(within, placed[samples.domain[placed] == one], rng)
    places[f"shuffled within its {unit}"] = within
    places[DROPPED] = np.full_like(lonlat, np.nan)
    for distance in km:
        bearing = rng.uniform(0, 2 * np.pi, len(lonlat))
        places[f"jittered by {distance:g} km"] = move_km(lonlat, distance, bearing)
    left_out = []
    elsewhere = _other_continent(lonlat, placed, rng)
    if elsewhere is None:
        left_out.append("geography: all samples lie on one continent, so there is no other one to move to")
    else:
        places["on another continent"] = elsewhere
    trained = info.get("places") or {}
    known = np.stack([trained.get("lon", []), trained.get("lat", [])], axis=1).astype(np.float64)
    if len(known):
        places["nearest training place"] = NearestPlace(known).of(lonlat)
    else:
        left_out.append("geography: the checkpoint does not have its training places")
    return Moves(places, tuple(left_out))


def _reordered(
    lonlat: NDArray[np.float64], rows: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    moved = lonlat.copy()
    moved[rows] = lonlat[rng.permutation(rows)]
    return moved


def _other_continent(
    lonlat: NDArray[np.float64], placed: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """The place of a random sample on another continent; samples at sea move to any continent."""
    continent = earth_at(lonlat[placed]).region
    land = np.unique(continent[continent > 0])
    if len(land) < 2:
        return None
    moved = lonlat.copy()
    for one in np.unique(continent):
        here, others = placed[continent == one], placed[(continent != one) & (continent > 0)]
        moved[here] = lonlat[rng.choice(others, len(here))]
    return moved


def changes_of(seen: Seen, samples: Samples, moves: Moves) -> tuple[Change, ...]:
    """How other places change accuracy, answers and routing of the samples that have a place."""
    rows = np.flatnonzero(samples.placed)
    label = samples.label[rows]
    right = (seen.predicted[rows] == label).astype(float)
    found = []
    for name, lonlat in moves.places.items():
        answer = seen.moved[name]
        now = (answer.predicted[rows] == label).astype(float)
        km = great_circle_km(samples.lonlat[rows], lonlat[rows])
        found.append(
            Change(
                what=name,
                samples=len(rows),
                distance_km=None if np.isnan(km).all() else float(np.median(km)),
                accuracy=float(now.mean()),
                loss=float((right - now).mean()),
                loss_interval=_interval(right - now, samples.block[rows]),
                changed=float((answer.predicted[rows] != seen.predicted[rows]).mean()),
                rerouted=tuple((answer.top1[:, rows] != seen.top1[:, rows]).mean(axis=1).tolist()),
            )
        )
    return tuple(found)


def _interval(loss: NDArray[np.float64], block: NDArray[np.int64]) -> tuple[float, float] | None:
    """95 % interval of the mean, by resampling spatial blocks."""
    if len(np.unique(block)) < 2:
        return None
    ends = block_bootstrap(weighted_accuracy(loss), block, resamples=1000, confidence=0.95)
    return float(ends.low), float(ends.high)
