"""Training methods: which network, which losses. A new method is one file and one line in the table."""

from geomoe.algorithms.contract import Algorithm
from geomoe.algorithms.erm import ERM
from geomoe.algorithms.erm_le import ERMLE
from geomoe.algorithms.moge import MoGE

#: Name in configurations -> class.
ALGORITHMS: dict[str, type[Algorithm]] = {"erm": ERM, "erm_le": ERMLE, "moge": MoGE}

__all__ = ["ALGORITHMS", "ERM", "ERMLE", "Algorithm", "MoGE"]
