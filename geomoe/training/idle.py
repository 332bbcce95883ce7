"""Warn if a part of a method has no effect: nothing to compare in an epoch, or a run that is too short."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from geomoe.algorithms.contract import Method

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


class IdleTerms:
    """The terms that :attr:`Method.compares` names, of a method and of the methods inside it.

    Each process warns about a name once.
    """

    def __init__(self, method: Method) -> None:
        self.parts = [part for part in method.modules() if isinstance(part, Method)]
        self.needs = {name: what for part in self.parts for name, what in part.compares.items()}

    def tell_unreached(self, steps: int) -> None:
        """Warn of what a run of so many updates never comes to."""
        for part in self.parts:
            text = part.unreached(steps)
            if text:
                log.warning("%s", text)

    def tell(self, means: Mapping[str, float], epoch: int) -> None:
        """Warn of terms whose mean over the epoch is exactly 0.

        Args:
            means: ``train_<name>`` -> mean over the epoch.
            epoch: number of the epoch, for the message.
        """
        for name in [name for name in self.needs if means.get(f"train_{name}") == 0]:
            log.warning(
                "%s was 0 in every batch of epoch %d: no batch had %s; raise data.batch_size, "
                "or set data.groups_per_batch",
                name, epoch, self.needs.pop(name),
            )  # fmt: skip
