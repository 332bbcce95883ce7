"""The facts about the task that a training method may use, from the data and the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.algorithms import Facts
from geomoe.catalogue import METHODS
from geomoe.coords import mean_place
from geomoe.losses.class_weights import class_weights

if TYPE_CHECKING:
    from geomoe.config import LossConfig, RunConfig


def facts_of(config: RunConfig, data: Any) -> Facts:  # noqa: ANN401 - a data module, after its setup
    """Return the facts about the task that a training method may use."""
    train = data.train_dataset
    domains, samples = np.unique(train.domains[train.domains >= 0], return_counts=True)
    return Facts(
        classes=len(train.classes),
        domains=tuple(domains.tolist()),
        samples=tuple(samples.tolist()),
        num_domains=len(train.regions),
        label_smoothing=config.loss.label_smoothing,
        centres=tuple(mean_place(train.lonlat[train.domains == domain]) for domain in domains),
        unplaced=_unplaced(config, data),
        class_weights=_class_weights(config.loss, train),
    )


def _unplaced(config: RunConfig, data: Any) -> str:  # noqa: ANN401 - a data module
    """Return the name of the held-out domain if the method uses places and none is known there, else ''."""
    if data.held_out is None or not METHODS[config.algorithm].places:
        return ""
    lonlat = data.dataset("held_out").lonlat
    return data.held_out if len(lonlat) and np.isnan(lonlat[:, 0]).all() else ""


def _class_weights(options: LossConfig, train: Any) -> tuple[float, ...]:  # noqa: ANN401 - a data set
    if options.class_weights == "none":
        return ()
    samples = np.bincount(train.labels, minlength=len(train.classes)).tolist()
    return class_weights(samples, options.effective_beta if options.class_weights == "effective" else 1.0)
