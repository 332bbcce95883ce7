"""ERM: cross-entropy over all regions at once; places are ignored."""

from __future__ import annotations

from geomoe.algorithms.contract import Method


class ERM(Method):
    """Empirical risk minimisation: mean cross-entropy over the batch, whatever the region."""
