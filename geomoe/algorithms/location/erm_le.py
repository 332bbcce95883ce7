"""ERM+LE: cross-entropy on image features and a location encoding, side by side."""

from __future__ import annotations

from geomoe.algorithms.contract import Method


class ERMLE(Method):
    """ERM with the location as an input (ERM+LE on the MoGE poster), trained by cross-entropy alone.

    The poster only names the method. Here the network is a :class:`~geomoe.models.LocationNetwork` with the
    same location encoder as MoGE.
    """
