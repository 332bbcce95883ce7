"""The routing of the joint batch, for methods that several processes train."""

from __future__ import annotations

from geomoe.support.ranks import gathered
from geomoe.types import Routing


def joint_routing(routing: Routing) -> Routing:
    """The decisions for the samples of all processes; every process has to call this."""
    return Routing(gathered(routing.weights), gathered(routing.probs), gathered(routing.logits))
