"""All measurements of one checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.diagnose.alignment import discrepancy_of
from geomoe.diagnose.between import land_of
from geomoe.diagnose.geography import changes_of
from geomoe.diagnose.layers import accuracy_by_domain, layers_of
from geomoe.diagnose.values import Found, Probe, ProbeOfClass, Subject
from geomoe.metrics.probe import domain_probe

if TYPE_CHECKING:
    from pathlib import Path

    from geomoe.diagnose.between import Side
    from geomoe.diagnose.geography import Moves
    from geomoe.diagnose.information import Property
    from geomoe.diagnose.samples import Samples
    from geomoe.diagnose.values import Settings
    from geomoe.inference import Predictor


def subject_of(
    side: Side, file: Path, predictor: Predictor, split_samples: int, trained_on: int | None = None
) -> Subject:
    """Describe a checkpoint.

    Args:
        side: name and answers of the checkpoint.
        file: the checkpoint file.
        predictor: its network.
        split_samples: number of samples in its split.
        trained_on: number of the samples used here that it was trained on; None: not counted.
    """
    config, seen = predictor.config, side.seen
    return Subject(
        name=side.name,
        checkpoint=file.as_posix(),
        algorithm="+".join(config.methods),
        seed=config.seed,
        held_out=config.data.held_out,
        split_samples=split_samples,
        trained_on=trained_on,
        encoder=None if predictor.encoder is None else config.encoder.name,
        backbone=config.model.backbone,
        experts=seen.weights.shape[2] if seen.layers else 0,
        layers=seen.layers,
        answers=seen.answers,
    )


def found_of(
    side: Side, samples: Samples, settings: Settings, properties: dict[str, Property], moves: Moves
) -> Found:
    """Measure a checkpoint.

    Args:
        side: name and answers of the checkpoint.
        samples: the samples that the answers are for.
        settings: options of the diagnosis.
        properties: properties of the places, by name.
        moves: other places of the samples.
    """
    seen = side.seen
    probe = probe_of(side, samples, settings)
    left_out = list(moves.left_out)
    if not seen.layers:
        left_out.insert(0, "experts: the network has none, so there is no routing to look at")
    if probe is None:
        left_out.append("domain probe: no class has two samples in each of two domains")
    if seen.layers and not samples.placed.any():
        left_out.append("continent, land cover and climate: no sample has a known place")
    return Found(
        accuracy=float((seen.predicted == samples.label).mean()),
        accuracy_by_domain=accuracy_by_domain(seen.predicted, samples),
        layers=layers_of(seen, samples, settings, properties),
        probe=probe,
        discrepancy=discrepancy_of(seen.features, samples),
        geography=changes_of(seen, samples, moves),
        land=land_of(side),
        left_out=tuple(left_out),
    )


def probe_of(side: Side, samples: Samples, settings: Settings) -> Probe | None:
    """The class-conditional domain probe of the pooled features; None if no class can have one."""
    found = domain_probe(side.seen.features, samples.label, samples.domain, seed=settings.seed)
    if found is None:
        return None
    classes = {
        samples.classes[one.label]: ProbeOfClass(one.accuracy, one.chance, one.domains, one.samples)
        for one in found.classes
    }
    return Probe(found.accuracy, found.chance, found.uniform, classes)
