"""CORAL: features with the same mean and covariance in every domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from geomoe.algorithms.alignment.matching import MatchedFeatures
from geomoe.algorithms.contract import Method
from geomoe.losses import coral_distance
from geomoe.support.options import option


class CORAL(MatchedFeatures):
    """Deep CORAL (Sun and Saenko, ECCV workshops 2016), in DomainBed's form for several domains.

    The distance of :class:`~geomoe.algorithms.alignment.matching.MatchedFeatures` is the one between means
    and covariances of the features (:func:`geomoe.losses.coral_distance`). DomainBed's weight is 1; WILDS
    uses 0.1 for FMoW and 10 for iWildCam, and takes the mean cross-entropy over samples, not over domains.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "coral"
    note = "coral_distance"
    compares: ClassVar[Mapping[str, str]] = {note: "two training domains"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The penalty's weight."""

        weight: float = option(1.0, "weight of the distance between domains", at_least=0)

    def distance(self, features: Tensor, members: Tensor) -> Tensor:
        """() the distance between the domains' means and covariances."""
        return coral_distance(features, members)
