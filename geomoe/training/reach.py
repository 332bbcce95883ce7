"""Report the extent of a run's data and the resolution of its encoder when training begins."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from geomoe.build import extent_of
from geomoe.config.reach import reach_doubt, reach_text

if TYPE_CHECKING:
    from geomoe.training.task import TrainingTask

log = logging.getLogger(__name__)


def tell_reach(task: TrainingTask, *, chosen: bool) -> None:
    """Log in one line the extent of the training places and the distances that the encoder distinguishes.

    The line is a warning if the encoder is too coarse. Nothing is logged for a method without a location
    encoder, for an encoder of domains, and if no place is known.

    Args:
        task: the task, whose configuration defines the encoder.
        chosen: whether geomoe chose an option of the encoder that the configuration left open.
    """
    encoder, options = task.algorithm.answering().encoder, task.config.encoder
    extent = None if encoder is None or options.name == "domain" else extent_of(task.info)
    if encoder is None or extent is None:
        return
    doubt = reach_doubt(options, encoder.resolution_km, extent)
    if doubt:
        log.warning("%s", doubt)
        return
    text = reach_text(options, encoder.resolution_km, extent)
    log.info("%s%s", text, "; chosen by this extent, written to config.yaml" if chosen else "")
