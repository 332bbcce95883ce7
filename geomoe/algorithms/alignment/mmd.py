"""MMD: features with the same distribution in every domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from geomoe.algorithms.alignment.matching import MatchedFeatures
from geomoe.algorithms.contract import Method
from geomoe.losses import squared_mmd
from geomoe.support.options import option


class MMD(MatchedFeatures):
    """Features matched by maximum mean discrepancy (Li et al., CVPR 2018), in DomainBed's form.

    The distance of :class:`~geomoe.algorithms.alignment.matching.MatchedFeatures` is the squared discrepancy
    under a sum of seven Gaussian kernels (:func:`geomoe.losses.squared_mmd`). The authors match codes of an
    autoencoder, and train them against an adversary; DomainBed omits both.

    Raises:
        ConfigError: fewer than two training domains, or an option out of its range.
    """

    name = "mmd"
    note = "discrepancy"
    compares: ClassVar[Mapping[str, str]] = {note: "two training domains"}

    @dataclass(frozen=True)
    class Options(Method.Options):
        """The penalty's weight."""

        weight: float = option(1.0, "weight of the discrepancy between domains", at_least=0)

    def distance(self, features: Tensor, members: Tensor) -> Tensor:
        """() the discrepancy between the domains' features."""
        return squared_mmd(features, members)
