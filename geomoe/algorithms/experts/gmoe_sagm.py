"""GMoE trained with SAGM."""

from __future__ import annotations

from dataclasses import dataclass

from geomoe.algorithms.contract import Answer, Now, Stepper
from geomoe.algorithms.experts.gmoe import GMoE
from geomoe.algorithms.pooled.sagm import matched_update
from geomoe.support.options import option
from geomoe.types import Batch


class GMoESAGM(GMoE):
    """GMoE (Li et al., ICLR 2023) with the update of SAGM (Wang et al., CVPR 2023): ``gmoe`` around ``sagm``.

    The loss of both passes is that of GMoE, including the balance. Both passes draw the same noise, so their
    choices of experts differ only because of their weights.

    Raises:
        ConfigError: an option out of its range.
    """

    accumulates = False  # the second point belongs to one batch

    @dataclass(frozen=True)
    class Options(GMoE.Options):
        """How far the second point of an update is from the weights."""

        rho: float = option(0.05, "length of the step up the gradient", at_least=0)
        alpha: float = option(0.001, "multiple of the gradient that is subtracted from that step", at_least=0)

    def update(self, batch: Batch, now: Now, stepper: Stepper) -> Answer:
        """Compute the gradients at both points, and take one step along their mean."""
        return matched_update(self, batch, now, stepper, rho=self.options.rho, alpha=self.options.alpha)
